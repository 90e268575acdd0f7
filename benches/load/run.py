#!/usr/bin/env python3
"""CPU per request of Edgeway and of other gateways on the same work, interleaved in one run.

Each gateway has one worker thread on the first core; load and the service (nginx) share the second. In every round each
gateway has its turn, so that a noisy machine is noisy for all; a ratio is the median of the ratios within the rounds.
"""

import argparse
import json
import platform
import shutil
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from chart import chart
from contest import Contest
from goals import judged
from keys import certificate
from peers import installed
from processes import Servers, Trouble, cores, free_ports
from report import report
from services import Redis, upstream
from works import BY_NAME, WORKS


def arguments():
    """What was asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--edgeway", type=Path, help="the binary")
    parser.add_argument("--tools", type=Path, default=Path("target/bench-tools"), help="where setup.sh put the peers")
    parser.add_argument("--json", type=Path, default=Path("target/bench-load.json"), help="where the figures go")
    parser.add_argument("--chart", type=Path, help="where a picture of them goes (SVG)")
    parser.add_argument("--quick", action="store_true", help="short rounds: a first look, no figures to quote")
    parser.add_argument("--rounds", type=int, help="rounds of each work (5; quick: 2)")
    parser.add_argument("--seconds", type=int, help="seconds of one gateway's turn (4; quick: 1)")
    parser.add_argument("--connections", type=int, default=32, help="kept connections (32)")
    parser.add_argument("--work", default=",".join(BY_NAME), help="with commas; all: %(default)s")
    parser.add_argument("--only", default="", help="only these gateways, with commas")
    parser.add_argument("--strict", action="store_true", help="exit with 1 where a goal that must be met is missed")
    parser.add_argument("--again", type=Path, help="measure nothing: tables, goals and chart of such a JSON file")
    asked = parser.parse_args()
    asked.rounds = asked.rounds or (2 if asked.quick else 5)
    asked.seconds = asked.seconds or (1 if asked.quick else 4)
    asked.warm = min(asked.seconds, 2)
    asked.work = [work for work in asked.work.split(",") if work]
    if unknown := [work for work in asked.work if work not in BY_NAME]:
        parser.error(f"unknown work {', '.join(unknown)}; known: {', '.join(BY_NAME)}")
    if not (asked.edgeway or asked.again):
        parser.error("--edgeway or --again is needed")
    return asked


@dataclass
class Scene:
    """What all works share."""

    folder: Path
    upstreams: list
    certificate: Path
    redis: Redis


def possible(asked):
    """The works that were asked for and can be run, by group, in the order of the list."""
    groups = {}
    for work in WORKS:
        if work.name not in asked.work:
            continue
        if missing := [tool for tool in work.needs if not shutil.which(tool)]:
            print(f"left out, no {' and no '.join(missing)}: {work.name}", file=sys.stderr)
        else:
            groups.setdefault(work.group or work.name, []).append(work)
    return groups.values()


def measure(asked, peers, servers, folder):
    """All works, one group after the other."""
    groups = possible(asked)
    scene = Scene(folder, free_ports(2), certificate(folder), Redis(free_ports(1)[0]))
    core = cores()[1]
    servers.begin("upstream", upstream(folder, scene.upstreams), core, folder).wait_for(scene.upstreams[0])
    if any(work.limit == "exact" for group in groups for work in group):
        servers.begin("redis", scene.redis.command(), core, folder).wait_for(scene.redis.port)
    found = {"rows": [], "lost": []}
    for group in groups:
        contest = Contest(group, peers, asked, servers, scene)
        contest.measure()
        found["rows"] += contest.rows()
        found["lost"] += contest.lost()
    return found


def fresh(asked):
    """Measure."""
    if cores()[0] == cores()[1]:
        print("one core only: the gateways share it with the load, and no figure means anything", file=sys.stderr)
    peers = installed(asked)
    with tempfile.TemporaryDirectory(prefix="edgeway-bench-") as folder, Servers() as servers:
        found = measure(asked, peers, servers, Path(folder))
    seen = {row["gateway"] for row in found["rows"]}
    how = f"{asked.rounds} rounds of {asked.seconds} s, {asked.connections} connections, {platform.platform()}"
    return found | {"how": how, "versions": {peer.name: peer.version() for peer in peers if peer.name in seen}}


def main():
    """Measure, print, keep."""
    asked = arguments()
    # A supervisor's SIGTERM ends the servers as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    found = json.loads(asked.again.read_text()) if asked.again else fresh(asked)
    found["goals"] = list(judged(found["rows"]))
    print(report(found))
    if not asked.again:
        asked.json.parent.mkdir(parents=True, exist_ok=True)
        asked.json.write_text(json.dumps(found, indent=1))
    if asked.chart:
        asked.chart.write_text(chart(found))
    missed = any(goal["verdict"] == "MISSED" for goal in found["goals"])
    # Who could not be measured has not met anything either.
    if asked.strict and (missed or any(one["gateway"] == "edgeway" for one in found["lost"])):
        sys.exit(1)


if __name__ == "__main__":
    try:
        main()
    except Trouble as trouble:
        sys.exit(f"bench-load: {trouble}")
    except KeyboardInterrupt:
        sys.exit(130)
