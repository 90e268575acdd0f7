#!/usr/bin/env python3
"""Balancers under open-loop load, with one endpoint of three that is far slower than the others.

Requests are sent at the times of a Poisson process, whatever the answers: callers do not wait for each other. Latency is
measured from the time at which a request should have been sent. What has no answer at the end of a round counts with its age.
Goals: ewma cuts the 99th percentile of round_robin by 3 at least, least_request its mean.
"""

import argparse
import asyncio
import json
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ALGORITHMS = ["round_robin", "least_request", "ewma"]
SERVICE_TIME = 0.02
# Workers and service time of each endpoint: the third has one worker, and takes twenty times as long.
ENDPOINTS = [(4, SERVICE_TIME), (4, SERVICE_TIME), (1, 20 * SERVICE_TIME)]
CAPACITY = sum(workers / seconds for workers, seconds in ENDPOINTS)
LOAD = 0.6
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
REQUEST = b"GET /x/1 HTTP/1.1\r\nHost: bench.test\r\n\r\n"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edgeway", type=Path, required=True, help="the binary")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, each with every balancer (3)")
    parser.add_argument("--seconds", type=float, default=10.0, help="load per balancer and round (10)")
    parser.add_argument("--quick", action="store_true", help="one round of 6 s")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    asked = parser.parse_args()
    if asked.quick:
        asked.rounds, asked.seconds = 1, 6.0
    return asked


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


async def endpoint(workers, seconds):
    """A server that takes hardly any time of the processor: its work is to wait."""
    places = asyncio.Semaphore(workers)

    async def serve(reader, writer):
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                async with places:
                    await asyncio.sleep(seconds)
                writer.write(ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", 0)


def configuration(folder, port, balancer, servers):
    addresses = ", ".join(f'"127.0.0.1:{server.sockets[0].getsockname()[1]}"' for server in servers)
    off = "health: { probe: off }, ejection: { mode: off }, breaker: { mode: off }, retry: { attempts: 1 }"
    text = f"""
server: {{ threads: 1, run_dir: "{folder}/run" }}
listeners: [{{ address: "127.0.0.1:{port}" }}]
admin: {{ enabled: false }}
log: {{ access: false }}
timeouts: {{ request: 120s, attempt: 120s }}
services: {{ s: {{ endpoints: [{addresses}], balancer: {balancer}, {off} }} }}
routes: [{{ id: all, match: {{ path: /x/* }}, service: s, auth: public }}]
"""
    file = Path(folder) / "edgeway.yaml"
    file.write_text(text)
    return file


class Callers:
    """Kept connections; a new one where none is free."""

    def __init__(self, port):
        self.port, self.free = port, []

    async def ask(self):
        reader, writer = self.free.pop() if self.free else await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(REQUEST)
        await reader.readuntil(b"ok")
        self.free.append((reader, writer))


async def load(port, seconds, seed):
    """All latencies of one round, in seconds."""
    chance, callers, latencies, pending = random.Random(seed), Callers(port), [], {}

    async def one(due):
        await callers.ask()
        latencies.append(time.monotonic() - due)

    begun = due = time.monotonic()
    while due - begun < seconds:
        due += chance.expovariate(LOAD * CAPACITY)
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        pending[asyncio.create_task(one(due))] = due
    _, late = await asyncio.wait(pending, timeout=seconds)
    for task in late:
        latencies.append(time.monotonic() - pending[task])
        task.cancel()
    return latencies


async def measure(edgeway, balancer, seconds, seed):
    servers = [await endpoint(*each) for each in ENDPOINTS]
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        command = [edgeway.resolve(), "run", "--config", configuration(folder, port, balancer, servers)]
        gateway = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            while b" serves on " not in (line := gateway.stderr.readline()):
                if not line:
                    sys.exit("the gateway did not start")
            latencies = await load(port, seconds, seed)
        finally:
            gateway.kill()
            gateway.wait()
    for server in servers:
        server.close()
    latencies.sort()
    share = lambda part: latencies[min(len(latencies) - 1, int(part * len(latencies)))]
    return {"mean": statistics.fmean(latencies), "p50": share(0.5), "p99": share(0.99), "requests": len(latencies)}


def report(figures):
    print("| balancer | mean | p50 | p99 |\n|---|---|---|---|")
    median = {}
    for name, rounds in figures.items():
        median[name] = {key: statistics.median(one[key] for one in rounds) for key in ("mean", "p50", "p99")}
        print(f"| {name} | " + " | ".join(f"{median[name][key] * 1e3:,.0f} ms" for key in ("mean", "p50", "p99")) + " |")
    ratios = {
        "p99 of round_robin to ewma": median["round_robin"]["p99"] / median["ewma"]["p99"],
        "mean of round_robin to least_request": median["round_robin"]["mean"] / median["least_request"]["mean"],
    }
    for name, ratio in ratios.items():
        print(f"{name}: {ratio:.1f} (goal: 3 at least)")
    return ratios


def main():
    asked = arguments()
    figures = {name: [] for name in ALGORITHMS}
    print(f"{LOAD * CAPACITY:.0f} requests/s, {LOAD:.0%} of capacity", flush=True)
    for turn in range(asked.rounds):
        for name in ALGORITHMS:
            found = asyncio.run(measure(asked.edgeway, name, asked.seconds, turn))
            figures[name].append(found)
            print(f"round {turn + 1} {name}: mean {found['mean'] * 1e3:.0f} ms, p99 {found['p99'] * 1e3:.0f} ms, "
                  f"{found['requests']} requests", flush=True)
    ratios = report(figures)
    if asked.json:
        asked.json.write_text(json.dumps({"figures": figures, "ratios": ratios}, indent=1))
    sys.exit(0 if all(ratio >= 3 for ratio in ratios.values()) else 1)


if __name__ == "__main__":
    main()
