"""The task definition and the CloudFormation of ECS: the values of the replaced task, and what AWS does not check itself."""

from __future__ import annotations

import json

import yaml

from tools import ROOT, Failed, need

ECS = ROOT / "deploy" / "ecs"
DEFINITIONS = ["task-definition.json", "task-definition.arm64.json"]
ACCOUNT = "111122223333"


class Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms: !Ref x is {Ref: x}."""


def short(loader: Loader, suffix: str, node: yaml.Node) -> dict:
    kinds = {yaml.ScalarNode: loader.construct_scalar, yaml.SequenceNode: loader.construct_sequence}
    value = kinds.get(type(node), loader.construct_mapping)(node)
    return {"Ref" if suffix == "Ref" else f"Fn::{suffix}": value}


Loader.add_multi_constructor("!", short)


def template() -> dict:
    return yaml.load((ECS / "service.yaml").read_text(), Loader)  # noqa: S506: a SafeLoader of our own


def resources() -> dict:
    return template()["Resources"]


def attributes() -> dict[str, str]:
    return {pair["Key"]: pair["Value"] for pair in resources()["TargetGroup"]["Properties"]["TargetGroupAttributes"]}


def resolved(value: object, given: dict[str, str]) -> object:
    """With the parameters' defaults in place of what refers to them."""
    if isinstance(value, list):
        return [resolved(item, given) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"Ref"}:
        return given[value["Ref"]]
    if set(value) == {"Fn::Sub"}:
        text = value["Fn::Sub"]
        for name, default in given.items():
            text = text.replace(f"${{{name}}}", str(default))
        need("${" not in text, f"{text} has no default")
        return text
    if set(value) == {"Fn::GetAtt"}:
        role = resources()[value["Fn::GetAtt"].split(".")[0]]["Properties"]["RoleName"]
        return f"arn:aws:iam::{ACCOUNT}:role/{role}"
    return {key: resolved(item, given) for key, item in value.items()}


def lowered(value: object) -> object:
    """Keys as the API has them: CloudFormation begins them with a capital. Those of log options are the driver's own."""
    if isinstance(value, list):
        return [lowered(item) for item in value]
    if isinstance(value, dict):
        return {key[0].lower() + key[1:]: item if key == "Options" else lowered(item) for key, item in value.items()}
    return value


def both_ways_are_the_same() -> str:
    given = {name: about.get("Default") for name, about in template()["Parameters"].items()}
    for name, architecture in zip(DEFINITIONS, ("X86_64", "ARM64")):
        properties = resources()["TaskDefinition"]["Properties"]
        formed = lowered(resolved(properties, given | {"CpuArchitecture": architecture}))
        written = json.loads((ECS / name).read_text())
        different = sorted(key for key in formed.keys() | written.keys() if formed.get(key) != written.get(key))
        need(not different, f"{name} and service.yaml differ in {different}")
    return "2 architectures"


def the_api_takes_them() -> str:
    """botocore's own model of RegisterTaskDefinition: names and kinds of everything."""
    import botocore.session
    from botocore.validate import ParamValidator

    shape = botocore.session.get_session().get_service_model("ecs").operation_model("RegisterTaskDefinition").input_shape
    for name in DEFINITIONS:
        report = ParamValidator().validate(json.loads((ECS / name).read_text()), shape)
        need(not report.has_errors(), f"{name}: {report.generate_report()}")
    wrong = json.loads((ECS / name).read_text())
    wrong["containerDefinitions"][0]["stopTimeout"] = "60"
    need(ParamValidator().validate(wrong, shape).has_errors(), "botocore takes a text for a number: it checks nothing")
    return botocore.__version__


def values_are_those_of_the_replaced_task() -> str:
    for name in DEFINITIONS:
        it = json.loads((ECS / name).read_text())
        wanted = {
            "family": "ts-portal-api-gateway", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"],
            "cpu": "512", "memory": "1024",
        }  # fmt: skip
        need(wanted.items() <= it.items(), f"{name}: {[key for key in wanted if it.get(key) != wanted[key]]}")
        need(it["taskRoleArn"] and it["executionRoleArn"], f"{name}: two roles")
        need(len(it["containerDefinitions"]) == 1, f"{name}: one container")
        container = it["containerDefinitions"][0]
        need(container["name"] == "api-gateway", f"{name}: {container['name']}")
        need(container["portMappings"][0]["containerPort"] == 8080, f"{name}: port")
        need({"name": "ENVIRONMENT", "value": "production"} in container["environment"], f"{name}: ENVIRONMENT")
        options = container["logConfiguration"]["options"]
        wanted = {
            "awslogs-group": "/ecs/ts-portal-api-gateway", "awslogs-region": "ap-northeast-2",
            "awslogs-stream-prefix": "ecs",
        }  # fmt: skip
        need(wanted.items() <= options.items(), f"{name}: {options}")
        need(container["logConfiguration"]["logDriver"] == "awslogs", f"{name}: driver")
    return "family, size, names, logs"


def what_nobody_else_checks() -> str:
    for name in DEFINITIONS:
        it = json.loads((ECS / name).read_text())["containerDefinitions"][0]
        need(it["essential"] is True and it["readonlyRootFilesystem"] is True, f"{name}: essential, read-only")
        need(it["user"] == "65532:65532", f"{name}: user {it['user']}")
        need(it["healthCheck"]["command"] == ["CMD", "/usr/bin/edgeway", "health"], f"{name}: {it['healthCheck']}")
        need(it["healthCheck"]["timeout"] < it["healthCheck"]["interval"], f"{name}: {it['healthCheck']}")
        need("entryPoint" not in it and "command" not in it, f"{name}: the image's own entry point")
        need(it["linuxParameters"]["initProcessEnabled"] is True, f"{name}: init")
        need(it["linuxParameters"]["capabilities"] == {"drop": ["ALL"]}, f"{name}: capabilities")
        secret = {entry["name"]: entry["valueFrom"] for entry in it["secrets"]}
        need(secret["JWT_SECRET_KEY"].startswith("arn:aws:secretsmanager:"), f"{name}: {secret}")
        named = [entry["name"] for entry in it["environment"]]
        for word in ("JWT_SECRET_KEY", "REDIS_PASSWORD", "ADMIN_TOKEN"):
            need(word not in named, f"{name}: {word} is a value")
        # Two descriptors for each connection, and to spare; a million is the platform's most.
        limits = {entry["name"]: entry for entry in it["ulimits"]}["nofile"]
        need(25_000 <= limits["softLimit"] <= limits["hardLimit"] <= 1_048_576, f"{name}: {limits}")
        options = it["logConfiguration"]["options"]
        need(options["mode"] == "non-blocking" and options["max-buffer-size"] == "25m", f"{name}: {options}")
        need("awslogs-multiline-pattern" not in options, f"{name}: lines of JSON are whole")
        need(not it["image"].endswith(":latest"), f"{name}: {it['image']}")
    return "14 facts"


def the_service_rolls_back() -> str:
    service = resources()["Service"]["Properties"]
    deployment = service["DeploymentConfiguration"]
    need(deployment["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}, f"{deployment}")
    need((deployment["MinimumHealthyPercent"], deployment["MaximumPercent"]) == (100, 200), f"{deployment}")
    need(service["HealthCheckGracePeriodSeconds"] == 30, "the default grace is none")
    need("DesiredCount" not in service, "each update would undo what scaling has decided")
    need(service["NetworkConfiguration"]["AwsvpcConfiguration"]["AssignPublicIp"] == "DISABLED", "a public address")
    target = resources()["ScalableTarget"]["Properties"]
    need(target["MinCapacity"] == 3, f"{target}")
    group = resources()["TargetGroup"]["Properties"]
    need((group["HealthCheckPath"], group["Matcher"]["HttpCode"]) == ("/health/ready", "200"), f"{group}")
    need((group["TargetType"], group["ProtocolVersion"]) == ("ip", "HTTP1"), f"{group}")
    ports = [(rule["FromPort"], rule["ToPort"]) for rule in resources()["SecurityGroup"]["Properties"]["SecurityGroupIngress"]]
    need(ports == [(8080, 8080)], f"open are {ports}")
    rights = [statement["Action"] for policy in resources()["ExecutionRole"]["Properties"]["Policies"]
              for statement in policy["PolicyDocument"]["Statement"]]  # fmt: skip
    need(rights == ["secretsmanager:GetSecretValue"], f"the execution role may {rights}")
    need("Policies" not in resources()["TaskRole"]["Properties"], "the gateway itself may do nothing")
    return "circuit breaker, target group, roles"


def bad_ones_are_seen() -> str:
    """The comparison itself: a change of one side is a fault."""
    file = ECS / DEFINITIONS[0]
    there = json.loads(file.read_text())
    given = {name: about.get("Default") for name, about in template()["Parameters"].items()}
    formed = lowered(resolved(resources()["TaskDefinition"]["Properties"], given))
    there["containerDefinitions"][0]["stopTimeout"] = 30
    if formed == there:
        raise Failed("a shorter stopTimeout is not seen")
    return "seen"
