"""Dockerfile and compose file: what linters do not ask."""

from __future__ import annotations

import json
import re

import yaml

from tools import ROOT, need


def stages() -> list[list[tuple[str, str]]]:
    """The instructions of each stage: name and the rest."""
    text = re.sub(r"\\\n\s*", " ", (ROOT / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    found: list[list[tuple[str, str]]] = [[]]
    for line in lines:
        word, rest = line.split(None, 1)
        if word == "FROM":
            found.append([])
        found[-1].append((word, rest))
    return found


def the_dockerfile() -> str:
    *builders, final = stages()
    last = dict(final)
    need(last["FROM"] == "scratch", "nothing but what was put together")
    need(json.loads(last["ENTRYPOINT"]) == ["/usr/bin/edgeway"], "a shell would keep SIGTERM from the gateway")
    need(json.loads(last["CMD"]) == ["run"], last["CMD"])
    need(last["USER"] == "65532:65532", "numbers: runAsNonRoot cannot look a name up")
    need(last["STOPSIGNAL"] == "SIGTERM", "SIGQUIT would be a handoff")
    need(last["HEALTHCHECK"].endswith('CMD ["/usr/bin/edgeway", "health"]'), last["HEALTHCHECK"])
    need(not [word for word, _ in final if word == "RUN"], "there is no shell to run")
    for label in ("title", "source", "revision", "version", "licenses"):
        need(f"org.opencontainers.image.{label}=" in last["LABEL"], f"no label {label}")
    for builder in builders[1:]:
        need(builder[0][1].startswith("--platform=$BUILDPLATFORM ${"), f"{builder[0][1]}: never emulate, base by argument")
    version = re.search(r'^version = "(.+)"$', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]
    need(("ARG", f"VERSION={version}") in final, f"VERSION is not {version}, as in Cargo.toml")
    about = yaml.safe_load((ROOT / "helm" / "edgeway" / "Chart.yaml").read_text())
    need((about["version"], about["appVersion"]) == (version, version), f"the chart is not {version}")
    return "entry point, user, signal, health, labels"


def the_compose_file() -> str:
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    services = compose["services"]
    shipped = (ROOT / "conf" / "edgeway.yaml").read_text()
    hosts = set(re.findall(r":-http://([a-z-]+):\d+\}", shipped))
    need(len(hosts) == 6, f"{hosts}")
    aliases = services["demo-services"]["networks"]["default"]["aliases"]
    need(set(aliases) == hosts, f"the gateway asks for {hosts}, there are {aliases}")
    need("redis" in services, "REDIS_HOST is redis")
    secret = [services[name]["environment"]["JWT_SECRET_KEY"] for name in ("edgeway", "demo-services")]
    need(secret[0] == secret[1] and ":?" in secret[0], "one key for both, and never a default")
    for name, service in services.items():
        need(not re.search(r":latest$|^[^:@]+$", service["image"]), f"{name}: {service['image']}")
        for port in service.get("ports", []):
            need(port.startswith("127.0.0.1:"), f"{name}: {port} is open to the network")
        need(service["cap_drop"] == ["ALL"], f"{name}: capabilities")
    for service in (services["edgeway"], services["demo-services"]):
        need(service["read_only"] is True, "read-only")
    need("entrypoint" not in services["edgeway"] and "command" not in services["edgeway"], "the image's own")
    mounts = [volume.split(":")[0] for service in services.values() for volume in service.get("volumes", [])]
    inside = [mount for mount in mounts if mount.startswith("./")]
    need(all(mount.startswith("./conf/observability/") for mount in inside) and len(inside) == 4, f"{inside}")
    # They come with conf/observability as a whole.
    if (ROOT / "conf" / "observability").exists():
        missing = [mount for mount in inside if not (ROOT / mount).exists()]
        need(not missing, f"compose.yaml mounts {missing}")
    return f"{len(services)} services"
