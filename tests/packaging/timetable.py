"""One timetable: the numbers of chart, task definition, compose file and unit, and what they must be to each other.

docs/operations.md has the table. All times are in seconds.
"""

from __future__ import annotations

import json
import re

import yaml

import chart
import task
from tools import ROOT, need


def seconds(text: object) -> float:
    number, unit = re.fullmatch(r"(\d+)(ms|s|m|min|h|d)?", str(text)).groups()
    return int(number) * {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, None: 1}[unit]


class Code:
    """The defaults of the code: conf/reference.yaml is tested to be equal to them."""

    def __init__(self) -> None:
        reference = yaml.safe_load((ROOT / "conf" / "reference.yaml").read_text())
        self.pause = seconds(reference["server"]["drain"]["pause"])
        self.deadline = seconds(reference["server"]["drain"]["deadline"])
        self.keepalive = seconds(reference["listeners"][0]["keepalive_timeout"])
        shipped = (ROOT / "conf" / "edgeway.yaml").read_text()
        self.request = seconds(re.search(r"\$\{HTTPX_TIMEOUT:-(\d+)\}", shipped)[1])
        need("drain:" not in shipped and "keepalive_timeout" not in shipped, "conf/edgeway.yaml has times of its own")
        idle = re.search(r"^ +#? ?idle_timeout: (\S+)$", (ROOT / "conf" / "reference.yaml").read_text(), re.MULTILINE)
        self.pooled = seconds(idle[1])

    @property
    def kill(self) -> float:
        return self.pause + self.deadline + 10


def of_the_code() -> str:
    code = Code()
    need(code.deadline >= code.request + 5, f"deadline {code.deadline}, longest request {code.request}")
    need(code.pause >= 5 * 2 + 5, f"pause {code.pause}, and a balancer needs three intervals of 5")
    need(code.keepalive >= 60 + 10, f"keepalive_timeout {code.keepalive}, and an ALB reuses connections for 60")
    need(code.pooled < 5, f"idle_timeout {code.pooled}, and uvicorn closes after 5")
    return f"pause {code.pause:.0f}, deadline {code.deadline:.0f}, killed at {code.kill:.0f}"


def of_the_chart() -> str:
    code, rendered = Code(), chart.render("default", "1.30.0")
    values = rendered.values()
    need(values["drain"] == {"pause": code.pause, "deadline": code.deadline}, f"drain of the values: {values['drain']}")
    grace = rendered.pod["terminationGracePeriodSeconds"]
    need(grace == code.kill, f"terminationGracePeriodSeconds is {grace}, the code's own drain needs {code.kill}")
    need(values["balancer"]["idleTimeout"] + 10 <= code.keepalive, f"balancer {values['balancer']}")
    ingress = chart.render("production", "1.30.0").one("Ingress")["metadata"]["annotations"]
    prefix = "alb.ingress.kubernetes.io/"
    interval = seconds(ingress[f"{prefix}healthcheck-interval-seconds"])
    threshold = int(ingress[f"{prefix}unhealthy-threshold-count"])
    need(code.pause >= interval * threshold + interval, "the balancer of the production values sees too late")
    need(seconds(ingress[f"{prefix}healthcheck-timeout-seconds"]) < interval, "a check lasts longer than its interval")
    attributes = dict(pair.split("=") for key in ("load-balancer-attributes", "target-group-attributes")
                      for pair in ingress[f"{prefix}{key}"].split(","))  # fmt: skip
    need(seconds(attributes["idle_timeout.timeout_seconds"]) + 10 <= code.keepalive, "idle_timeout of the balancer")
    need(seconds(attributes["deregistration_delay.timeout_seconds"]) > code.request, "deregistration delay")
    return f"terminationGracePeriodSeconds {grace}"


def of_the_task() -> str:
    code = Code()
    for name in task.DEFINITIONS:
        container = json.loads((ROOT / "deploy" / "ecs" / name).read_text())["containerDefinitions"][0]
        need(code.kill <= container["stopTimeout"] <= 120, f"{name}: stopTimeout {container['stopTimeout']}")
    group = task.resources()["TargetGroup"]["Properties"]
    interval, threshold = group["HealthCheckIntervalSeconds"], group["UnhealthyThresholdCount"]
    need(code.pause >= interval * threshold + interval, f"{interval} s × {threshold}")
    need(group["HealthCheckTimeoutSeconds"] < interval, "a check lasts longer than its interval")
    delay = int(task.attributes()["deregistration_delay.timeout_seconds"])
    need(code.request < delay <= 60, f"deregistration delay {delay}, longest request {code.request}")
    return f"stopTimeout {container['stopTimeout']}, deregistration {delay}"


def of_compose() -> str:
    service = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["edgeway"]
    grace = seconds(service["stop_grace_period"])
    need(grace >= Code().kill, f"stop_grace_period {grace}")
    return f"stop_grace_period {grace:.0f}"


def of_the_unit() -> str:
    """The unit of deploy/systemd, or the one that docs/operations.md shows where there is no file."""
    file = ROOT / "deploy" / "systemd" / "edgeway.service"
    text = (file if file.exists() else ROOT / "docs" / "operations.md").read_text()
    stop = re.search(r"^TimeoutStopSec=(\w+)$", text, re.MULTILINE)
    need(stop, f"no TimeoutStopSec in {file}")
    need(seconds(stop[1]) >= Code().kill, f"TimeoutStopSec {stop[1]}")
    return f"TimeoutStopSec {stop[1]}" + ("" if file.exists() else " (as in docs/operations.md)")
