"""The chart, rendered by Helm 3 and Helm 4, and what must hold of it.

Most assertions are a mistake that a known chart has made; the name of each says what is right.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

import yaml

from tools import CHART, HELM3, ROOT, Failed, need, run

VALUES = {
    "default": None,
    "production": CHART / "ci" / "production-values.yaml",
    "minimal": CHART / "ci" / "minimal-values.yaml",
    "everything": ROOT / "tests" / "packaging" / "everything-values.yaml",
}
# The oldest that Chart.yaml allows, the first with preStop.sleep, and newer ones to the newest that schemas exist for.
VERSIONS = ["1.25.0", "1.27.0", "1.29.0", "1.32.0", "1.35.0", "1.37.0"]
NAMESPACE = "portal"


@dataclass
class Rendered:
    """What one set of values makes on one version of Kubernetes."""

    name: str
    version: str
    objects: list[dict]

    def all(self, kind: str) -> list[dict]:
        return [found for found in self.objects if found["kind"] == kind]

    def one(self, kind: str) -> dict:
        found = self.all(kind)
        need(len(found) == 1, f"{len(found)} objects of kind {kind}")
        return found[0]

    @property
    def pod(self) -> dict:
        return self.one("Deployment")["spec"]["template"]["spec"]

    @property
    def container(self) -> dict:
        need(len(self.pod["containers"]) == 1, "one process, one container")
        return self.pod["containers"][0]

    def environment(self) -> dict[str, dict]:
        return {entry["name"]: entry for entry in self.container["env"]}

    def values(self) -> dict:
        merged = yaml.safe_load((CHART / "values.yaml").read_text())
        own = VALUES[self.name]
        return merge(merged, yaml.safe_load(own.read_text())) if own else merged


def merge(below: dict, above: dict) -> dict:
    """As Helm does it: maps key by key, everything else whole."""
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(below.get(key), dict)
        below[key] = merge(dict(below[key]), value) if both else value
    return below


def documents(text: str) -> list[dict]:
    return [found for found in yaml.safe_load_all(text) if found]


def helm3(values: Path | None, version: str, *more: str, chart: Path = CHART) -> str:
    given = ["--values", values] if values else []
    return run(HELM3, "template", "ts", chart, "--namespace", NAMESPACE, "--kube-version", version, *given, *more)


def render(name: str, version: str) -> Rendered:
    return Rendered(name, version, documents(helm3(VALUES[name], version)))


def helm4(name: str) -> list[dict]:
    """The same by the library of Helm 4."""
    import helm_python

    values = helm_python.values_from_yaml(VALUES[name].read_text()) if VALUES[name] else None
    with helm_python.Chart.load(CHART) as chart:
        texts = chart.render(values=values, name="ts", namespace=NAMESPACE)
    return [found for path, text in texts.items() if not path.endswith(".txt") for found in documents(text)]


HELD: list[Callable[[Rendered], None]] = []


def holds(assertion: Callable[[Rendered], None]) -> Callable[[Rendered], None]:
    HELD.append(assertion)
    return assertion


@holds
def the_pod_meets_the_restricted_standard(it: Rendered) -> None:
    pod, container = it.pod, it.container
    for key in ("hostNetwork", "hostPID", "hostIPC", "hostUsers"):
        need(key not in pod, f"{key} is set")
    wanted = {"runAsNonRoot": True, "runAsUser": 65532, "runAsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
    need(pod["securityContext"] == wanted, f"the pod's securityContext is {pod['securityContext']}")
    wanted = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    need(container["securityContext"] == wanted, f"the container's securityContext is {container['securityContext']}")
    allowed = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
    for volume in pod["volumes"]:
        need(set(volume) - {"name"} <= allowed, f"volume {volume}")
    for port in container["ports"]:
        need("hostPort" not in port and port["containerPort"] > 1023, f"port {port}")


@holds
def nothing_asks_the_cluster(it: Rendered) -> None:
    need(it.pod["automountServiceAccountToken"] is False, "the pod mounts a token")
    for account in it.all("ServiceAccount"):
        need(account["automountServiceAccountToken"] is False, "the account mounts a token")


@holds
def links_of_services_set_no_variables(it: Rendered) -> None:
    need(it.pod["enableServiceLinks"] is False, "a Service named redis would set REDIS_PORT to tcp://…")


@holds
def the_kill_timer_is_computed_from_the_drain(it: Rendered) -> None:
    drain, sleep = it.values()["drain"], it.values()["preStop"]["sleepSeconds"]
    grace = it.pod["terminationGracePeriodSeconds"]
    need(grace >= sleep + drain["pause"] + drain["deadline"] + 10, f"terminationGracePeriodSeconds is {grace}")
    maps = {found["metadata"]["name"]: found["data"] for found in it.all("ConfigMap")}
    own = next(data["zz-chart.yaml"] for data in maps.values() if "zz-chart.yaml" in data)
    told = yaml.safe_load(own)["server"]["drain"]
    need(told == {key: f"{drain[key]}s" for key in ("pause", "deadline")}, f"the configuration says {told}")


@holds
def no_hook_is_needed_and_none_needs_a_shell(it: Rendered) -> None:
    hook = it.container.get("lifecycle", {}).get("preStop")
    need(hook is None or set(hook) == {"sleep"}, f"preStop is {hook}")
    need("command" not in it.container, "the image's own entry point is the process")
    need(it.container["args"][0] == "run", f"args are {it.container['args']}")


@holds
def a_rollout_takes_nobody_away_first(it: Rendered) -> None:
    strategy = it.one("Deployment")["spec"]["strategy"]
    wanted = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": "25%"}}
    need(strategy == wanted, f"strategy is {strategy}")


@holds
def autoscaling_and_replicas_exclude_each_other(it: Rendered) -> None:
    spec, scalers = it.one("Deployment")["spec"], it.all("HorizontalPodAutoscaler")
    need(("replicas" in spec) != bool(scalers), f"replicas {spec.get('replicas')}, {len(scalers)} autoscalers")
    for scaler in scalers:
        need(scaler["spec"]["minReplicas"] >= 2, "one replica is none while it is replaced")
        need(it.container["resources"]["requests"]["cpu"], "autoscaling without a CPU request")
        need(scaler["spec"]["scaleTargetRef"]["name"] == it.one("Deployment")["metadata"]["name"], "another Deployment")


@holds
def only_current_kinds_are_used(it: Rendered) -> None:
    known = {
        "Deployment": "apps/v1", "Service": "v1", "ServiceAccount": "v1", "ConfigMap": "v1",
        "HorizontalPodAutoscaler": "autoscaling/v2", "PodDisruptionBudget": "policy/v1",
        "NetworkPolicy": "networking.k8s.io/v1", "Ingress": "networking.k8s.io/v1",
        "HTTPRoute": "gateway.networking.k8s.io/v1", "ServiceMonitor": "monitoring.coreos.com/v1",
        "PrometheusRule": "monitoring.coreos.com/v1",
    }  # fmt: skip
    for found in it.objects:
        need(known.get(found["kind"]) == found["apiVersion"], f"{found['kind']} {found['apiVersion']}")


@holds
def a_drained_node_is_never_blocked(it: Rendered) -> None:
    for budget in it.all("PodDisruptionBudget"):
        spec, replicas = budget["spec"], it.one("Deployment")["spec"].get("replicas", 3)
        need(("minAvailable" in spec) != ("maxUnavailable" in spec), f"{spec}")
        need(spec.get("maxUnavailable", 1) not in (0, "0", "0%"), f"{spec}")
        least = spec.get("minAvailable", 0)
        need(least != "100%" and (isinstance(least, str) or least < replicas), f"{spec} of {replicas}")


@holds
def the_configuration_is_a_folder_that_follows_its_source(it: Rendered) -> None:
    for mount in it.container["volumeMounts"]:
        need("subPath" not in mount and "subPathExpr" not in mount, f"subPath never changes: {mount}")
    mount = next(mount for mount in it.container["volumeMounts"] if mount["name"] == "config")
    need(mount["mountPath"] == it.container["args"][2] == "/etc/edgeway", f"{mount}, {it.container['args']}")
    for found in it.all("ConfigMap"):
        need(not found.get("immutable"), "an immutable ConfigMap never changes")
    sources = next(volume for volume in it.pod["volumes"] if volume["name"] == "config")["projected"]["sources"]
    names = {source["configMap"]["name"] for source in sources}
    made = {found["metadata"]["name"] for found in it.all("ConfigMap")}
    need(names <= made, f"mounted are {names}, made {made}")


@holds
def a_change_of_the_file_replaces_no_pods_unless_asked(it: Rendered) -> None:
    annotations = it.one("Deployment")["spec"]["template"]["metadata"]["annotations"]
    need(("checksum/config" in annotations) == it.values()["config"]["rolloutOnChange"], f"{annotations}")
    need("edgeway/drain" in annotations, "a drain that no reload takes must replace the pods")


@holds
def probes_look_at_the_process_alone_and_differ(it: Rendered) -> None:
    paths = {kind: it.container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}
    wanted = {"startup": "/health/live", "liveness": "/health/live", "readiness": "/health/ready"}
    need({kind: probe["path"] for kind, probe in paths.items()} == wanted, f"{paths}")
    need(all(probe["port"] == "http" for probe in paths.values()), "the main port, by name")
    for kind in paths:
        need(it.container[f"{kind}Probe"]["timeoutSeconds"] > 1, "one second is short on a busy node")


@holds
def threads_come_from_the_limit_or_the_request(it: Rendered) -> None:
    resources, threads = it.container["resources"], it.environment()["THREADS"]
    if "cpu" in resources.get("limits", {}):
        need(threads.get("value") == "0", f"with a limit the gateway reads it itself: {threads}")
    else:
        field = threads["valueFrom"]["resourceFieldRef"]
        need(field == {"resource": "requests.cpu", "divisor": "1"}, f"THREADS is {threads}")


@holds
def memory_is_requested_and_limited_and_cpu_is_free(it: Rendered) -> None:
    resources = it.container["resources"]
    need(resources["requests"]["memory"] and resources["requests"]["cpu"], f"{resources}")
    need(resources["limits"]["memory"], f"{resources}")
    need(it.name == "everything" or "cpu" not in resources["limits"], "a CPU limit by default throttles")


@holds
def the_operators_listener_is_the_clusters_alone(it: Rendered) -> None:
    address, names = it.environment()["ADMIN_ADDRESS"]["value"], [port["name"] for port in it.container["ports"]]
    admin = [found for found in it.all("Service") if found["metadata"]["name"].endswith("-admin")]
    public = [found for found in it.all("Service") if found not in admin]
    for service in public:
        need(all(port["targetPort"] == "http" for port in service["spec"]["ports"]), "the admin port is public")
    if not admin:
        need(address.startswith("127.0.0.1:") and "admin" not in names, f"ADMIN_ADDRESS is {address}, ports {names}")
        return
    need(admin[0]["spec"]["type"] == "ClusterIP", f"{admin[0]['spec']['type']}")
    need("secretKeyRef" in it.environment()["ADMIN_TOKEN"]["valueFrom"], "reachable without a token")
    need("admin" in names, "no port of that name")


@holds
def metrics_are_found_where_the_monitor_looks(it: Rendered) -> None:
    for monitor in it.all("ServiceMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        found = [service for service in it.all("Service") if wanted <= service["metadata"]["labels"].items()]
        need(len(found) == 1, f"{len(found)} services have the labels {dict(wanted)}")
        need(monitor["spec"]["namespaceSelector"]["matchNames"] == [found[0]["metadata"]["namespace"]], "namespace")
        for endpoint in monitor["spec"]["endpoints"]:
            ports = {port["name"]: port["targetPort"] for port in found[0]["spec"]["ports"]}
            need(endpoint["port"] in ports, f"no port {endpoint['port']} in {ports}")
            targets = [port["name"] for port in it.container["ports"]]
            need(ports[endpoint["port"]] in targets, f"no port {ports[endpoint['port']]} in {targets}")


@holds
def services_and_rules_select_the_pods(it: Rendered) -> None:
    labels = it.one("Deployment")["spec"]["template"]["metadata"]["labels"]
    selectors = [service["spec"]["selector"] for service in it.all("Service")]
    selectors += [found["spec"]["selector"]["matchLabels"] for found in it.all("PodDisruptionBudget") + it.all("Deployment")]
    selectors += [found["spec"]["podSelector"]["matchLabels"] for found in it.all("NetworkPolicy")]
    for selector in selectors:
        need(selector and selector.items() <= labels.items(), f"{selector} does not select {labels}")
        need(not [key for key in selector if "version" in key or "chart" in key], f"{selector} changes with a version")


@holds
def every_backend_is_a_service_with_that_port(it: Rendered) -> None:
    ports = {service["metadata"]["name"]: service["spec"]["ports"] for service in it.all("Service")}
    for ingress in it.all("Ingress"):
        for rule in ingress["spec"]["rules"]:
            backend = rule["http"]["paths"][0]["backend"]["service"]
            need(backend["port"]["name"] in [port["name"] for port in ports[backend["name"]]], f"{backend}")
    for route in it.all("HTTPRoute"):
        for backend in route["spec"]["rules"][0]["backendRefs"]:
            need(backend["port"] in [port["port"] for port in ports[backend["name"]]], f"{backend}")


@holds
def secrets_exist_already(it: Rendered) -> None:
    need(not it.all("Secret"), "the release would hold a secret")
    for name in ("JWT_SECRET_KEY", "REDIS_PASSWORD", "ADMIN_TOKEN"):
        entry = it.environment().get(name)
        need(entry is None or "value" not in entry, f"{name} is a value")
    need(it.environment()["JWT_SECRET_KEY"]["valueFrom"]["secretKeyRef"] == {"name": "ts-portal-secrets", "key": "jwt-secret"},
         "JWT_SECRET_KEY is that of the replaced deployment")  # fmt: skip


@holds
def the_image_is_one_that_never_moves(it: Rendered) -> None:
    image, values = it.container["image"], it.values()["image"]
    app = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    wanted = f"@{values['digest']}" if values.get("digest") else f":{values.get('tag') or app}"
    need(image.endswith(wanted) and not image.endswith(":latest"), f"image {image}")


@holds
def it_listens_for_both_kinds_of_addresses(it: Rendered) -> None:
    host, port = (it.environment()[name]["value"] for name in ("HOST", "PORT"))
    need(host == it.values()["listenHost"], f"HOST is {host}")
    need(it.name == "everything" or host == "[::]", f"HOST is {host}")
    ports = {entry["name"]: entry["containerPort"] for entry in it.container["ports"]}
    need(str(ports["http"]) == port, f"PORT is {port}, ports {ports}")


@holds
def the_network_policy_lets_through_what_is_needed(it: Rendered) -> None:
    for policy in it.all("NetworkPolicy"):
        out = [(port["protocol"], port["port"]) for rule in policy["spec"]["egress"] for port in rule["ports"]]
        wanted = [("UDP", 53), ("TCP", 53), ("TCP", 6379), ("TCP", 8010), ("TCP", 8001), ("TCP", 8000)]
        need(not set(wanted) - set(out), f"no egress {set(wanted) - set(out)}")
        for rule in policy["spec"]["ingress"]:
            named = [port["port"] for port in rule["ports"]]
            need(named == ["http"] or (named == ["admin"] and rule["from"]), f"ingress {rule}")


@holds
def pods_spread_over_zones_and_nodes(it: Rendered) -> None:
    spread = it.pod.get("topologySpreadConstraints", [])
    keys = [entry["topologyKey"] for entry in spread]
    wanted = ["topology.kubernetes.io/zone", "kubernetes.io/hostname"] if it.values()["topologySpread"]["enabled"] else []
    need(keys == wanted, f"spread over {keys}")
    need(all(entry["whenUnsatisfiable"] == "ScheduleAnyway" for entry in spread), f"{spread}")


@holds
def names_and_numbers_are_those_of_the_replaced_deployment(it: Rendered) -> None:
    if it.name != "default":
        return
    deployment, service = it.one("Deployment"), it.one("Service")
    need(deployment["spec"]["replicas"] == 3, "3 replicas")
    for found in (deployment["metadata"]["labels"], deployment["spec"]["template"]["metadata"]["labels"]):
        need(found["app"] == "ts-portal-api-gateway", f"{found}")
    spec = service["spec"]
    need((spec["type"], spec["ports"][0]["port"], it.environment()["PORT"]["value"]) == ("LoadBalancer", 80, "8080"), f"{spec}")
    need(it.environment()["ENVIRONMENT"]["value"] == "production", "ENVIRONMENT=production")


@holds
def numbers_of_the_environment_stay_numbers(it: Rendered) -> None:
    for name, entry in it.environment().items():
        value = entry.get("value", "")
        need(isinstance(value, str), f"{name} is {value!r}, and a variable is a text")
        need("e+" not in value, f"{name} is {value}")


# What must not be rendered: values, and words of the reason.
REFUSED = [
    (["drain.pause=5"], ["drain.pause is 5s", "set drain.pause to 15"]),
    (["drain.deadline=30"], ["drain.deadline is 30s", "35 or more"]),
    (["env.REQUEST_TIMEOUT=60"], ["drain.deadline", "65 or more"]),
    (["terminationGracePeriodSeconds=30"], ["terminationGracePeriodSeconds is 30", "60 or more"]),
    (["preStop.sleepSeconds=5,terminationGracePeriodSeconds=60"], ["the drain takes 65s"]),
    (["balancer.idleTimeout=120"], ["keepalive_timeout is 75s", "130s or more"]),
    (["balancer.unhealthyThreshold=5"], ["needs 30s"]),
    (["admin.service.enabled=true"], ["secretEnv.ADMIN_TOKEN"]),
    (["admin.service.enabled=true,admin.service.type=LoadBalancer"], ["admin.service.type is LoadBalancer"]),
    (["admin.service.enabled=true,admin.service.type=NodePort"], ["admin.service.type is NodePort"]),
    (["serviceMonitor.enabled=true"], ["admin.service.enabled"]),
    (["ingress.enabled=true"], ["service.type: ClusterIP"]),
    (["httpRoute.enabled=true"], ["service.type: ClusterIP"]),
    (["ingress.enabled=true,service.type=ClusterIP"], ["ingress.hosts is empty"]),
    (["httpRoute.enabled=true,service.type=ClusterIP"], ["httpRoute.parentRefs is empty"]),
    (["strategy.maxSurge=0"], ["no rollout could begin"]),
    (["autoscaling.enabled=true,autoscaling.minReplicas=1"], ["autoscaling"]),
    (["autoscaling.enabled=true,autoscaling.minReplicas=20"], ["autoscaling.minReplicas is 20"]),
    (["podDisruptionBudget.maxUnavailable=,podDisruptionBudget.minAvailable=3"], ["no node could ever be drained"]),
    (["podDisruptionBudget.maxUnavailable=0"], ["no node could ever be drained"]),
    (["env.JWT_SECRET_KEY=text"], ["is a secret", "secretEnv.JWT_SECRET_KEY"]),
    (["env.HOST=0.0.0.0"], ["set listenHost"]),
    (["hostNetwork=true"], ["hostNetwork"]),
    (["containerPort=80"], ["containerPort"]),
    (["image.tag=latest"], ["image.tag"]),
    (["image.digest=sha256:short"], ["image.digest"]),
    (["replicaCount=0"], ["replicaCount"]),
    (["replicas=3"], ["replicas"]),
    (["resources.limits.memory=lots"], ["resources.limits.memory"]),
    (["config.existingConfigMap=own,config.files.a\\.yaml=x"], ["keep one"]),
    (["config.files.notes\\.txt=x"], ["notes.txt would not be read"]),
    (["config.files.edgeway\\.yaml=server: { drain: { pause: 1s } }"], ["server.drain", "drain.pause"]),
    (["config.files.edgeway\\.yaml=a: ["], ["config.files: edgeway.yaml"]),
    (["extraVolumeMounts[0].name=t,extraVolumeMounts[0].mountPath=/t,extraVolumeMounts[0].subPath=s"], ["subPath"]),
    (["extraVolumes[0].name=h,extraVolumes[0].hostPath.path=/"], ["hostPath"]),
]  # fmt: skip


def refusals() -> int:
    """Each is refused, on both versions that the reason may depend on, and says why."""
    for sets, words in REFUSED:
        # A comma within braces is the value's, not Helm's.
        given = [word for one in sets for word in ("--set", one.replace("{", "\\{").replace("}", "\\}"))]
        try:
            helm3(None, "1.30.0", *given)
        except Failed as failed:
            missing = [word for word in words if word not in str(failed)]
            need(not missing, f"{sets}: refused without {missing}:\n{failed}")
        else:
            raise Failed(f"{sets} is rendered, and should be refused with {words}")
    try:
        helm3(None, "1.28.0", "--set", "preStop.sleepSeconds=5")
    except Failed as failed:
        need("needs Kubernetes 1.29" in str(failed), str(failed))
    else:
        raise Failed("preStop.sleep is rendered for Kubernetes 1.28, which has none")
    slept = Rendered("default", "1.29.0", documents(helm3(None, "1.29.0", "--set", "preStop.sleepSeconds=5")))
    need(slept.container["lifecycle"] == {"preStop": {"sleep": {"seconds": 5}}}, "preStop.sleep")
    need(slept.pod["terminationGracePeriodSeconds"] == 65, "the kill timer counts preStop too")
    return len(REFUSED) + 2


def upgrades() -> None:
    """The next version of the chart changes nothing that cannot be changed."""
    import shutil

    before = render("default", "1.30.0").one("Deployment")
    with tempfile.TemporaryDirectory() as folder:
        later = Path(folder) / "edgeway"
        shutil.copytree(CHART, later)
        about = later / "Chart.yaml"
        about.write_text(about.read_text().replace("0.1.0", "0.2.0"))
        after = documents(helm3(None, "1.30.0", chart=later))
    after = next(found for found in after if found["kind"] == "Deployment")
    need(after["spec"]["template"]["spec"]["containers"][0]["image"].endswith(":0.2.0"), "the version did not change")
    need(before["metadata"]["name"] == after["metadata"]["name"], "another name: everything would be made anew")
    need(before["spec"]["selector"] == after["spec"]["selector"], "the selector is immutable, and changed")
