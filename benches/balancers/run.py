#!/usr/bin/env python3
"""Balancers under open-loop load, with one endpoint of three that is far slower than the others.

Requests are sent at the times of a Poisson process, whatever the answers: callers do not wait for each other. Latency is
measured from the time at which a request should have been sent. What has no answer at the end of a round counts with its
age, and so does what failed. Rounds have fixed seeds: in each, all balancers get the same load, one after the other.
Goals: ewma cuts the 99th percentile of round_robin by 3 at least, least_request its mean. Where one is missed, it exits
with 1.
"""

import argparse
import asyncio
import json
import multiprocessing
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

ALGORITHMS = ["round_robin", "least_request", "ewma"]
SERVICE_TIME = 0.02
# Workers and service time of each endpoint: the third has one worker, and takes twenty times as long.
ENDPOINTS = [(4, SERVICE_TIME), (4, SERVICE_TIME), (1, 20 * SERVICE_TIME)]
CAPACITY = sum(workers / seconds for workers, seconds in ENDPOINTS)
LOAD = 0.6
GOAL = 3
FIGURES = ("mean", "p50", "p99")
# Seconds the gateway may take to listen.
PATIENCE = 20
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
REQUEST = b"GET /x/1 HTTP/1.1\r\nHost: bench.test\r\n\r\n"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edgeway", type=Path, required=True, help="the binary")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, each with every balancer (3)")
    parser.add_argument("--seconds", type=float, default=10.0,
                        help="load per balancer and round, and the longest wait for answers after it (10)")
    parser.add_argument("--quick", action="store_true", help="one round of 6 s")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    asked = parser.parse_args()
    if asked.quick:
        asked.rounds, asked.seconds = 1, 6.0
    if asked.rounds < 1 or asked.seconds <= 0:
        parser.error("there is nothing to measure: --rounds and --seconds must be positive")
    return asked


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

    # Its queue of connections is longer than any burst: what waits shall wait for a worker.
    return await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1024)


def serve_endpoints(pipe):
    """The process of the endpoints: tells their ports, and serves until it is killed."""

    async def serve():
        servers = [await endpoint(*each) for each in ENDPOINTS]
        pipe.send([server.sockets[0].getsockname()[1] for server in servers])
        await asyncio.Event().wait()

    try:
        asyncio.run(serve())
    except KeyboardInterrupt:
        pass


@contextmanager
def endpoints():
    """Ports of endpoints without a backlog. In a process of their own, so that load and answers do not delay each other."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=serve_endpoints, args=(theirs,), daemon=True)
    process.start()
    try:
        if not ours.poll(PATIENCE):
            sys.exit("the endpoints did not start")
        yield ours.recv()
    finally:
        process.kill()
        process.join()


def configuration(folder, balancer, ports):
    addresses = ", ".join(f'"127.0.0.1:{port}"' for port in ports)
    off = "health: { probe: off }, ejection: { mode: off }, breaker: { mode: off }, retry: { attempts: 1 }"
    # All callers have one address, and a connection for each request in flight: the usual limit would turn them away.
    text = f"""
server: {{ threads: 1, run_dir: "{folder}/run" }}
listeners: [{{ address: "127.0.0.1:0", max_connections_per_address: 10000 }}]
admin: {{ enabled: false }}
log: {{ access: false }}
timeouts: {{ request: 120s, attempt: 120s }}
services: {{ s: {{ endpoints: [{addresses}], balancer: {balancer}, {off} }} }}
routes: [{{ id: all, match: {{ path: /x/* }}, service: s, auth: public }}]
"""
    path = Path(folder) / "edgeway.yaml"
    path.write_text(text)
    return path


def listening(gateway, errors):
    """The port of the line that says where it serves."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and gateway.poll() is None:
        if found := re.search(r" serves on 127\.0\.0\.1:(\d+) ", errors.read_text()):
            return int(found[1])
        time.sleep(0.05)
    sys.exit(f"the gateway did not start:\n{errors.read_text()}")


@contextmanager
def running(edgeway, balancer, ports):
    """The port of a gateway that knows nothing of the rounds before."""
    with tempfile.TemporaryDirectory() as folder:
        command = [edgeway.resolve(), "run", "--config", configuration(folder, balancer, ports)]
        errors = Path(folder) / "err.log"
        with errors.open("wb") as stderr:
            gateway = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr)
        try:
            yield listening(gateway, errors)
        finally:
            gateway.kill()
            gateway.wait()


class Callers:
    """Kept connections; a new one where none is free."""

    def __init__(self, port):
        self.port, self.free, self.writers = port, [], []

    async def connection(self):
        if self.free:
            return self.free.pop()
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writers.append(writer)
        return reader, writer

    async def ask(self):
        """Whether the endpoint's answer came, whole. A connection on which anything else came is not used again."""
        try:
            reader, writer = await self.connection()
            writer.write(REQUEST)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200 ") or await reader.readexactly(2) != b"ok":
                return False
        except (OSError, asyncio.IncompleteReadError):
            return False
        self.free.append((reader, writer))
        return True

    def close(self):
        for writer in self.writers:
            writer.close()


async def load(port, seconds, seed):
    """Latencies of one round in seconds; how many of them failed or had no answer; and how late one was sent at most."""
    chance, callers, answered, due_times = random.Random(seed), Callers(port), {}, {}
    failed, lateness = set(), 0.0

    async def one(number, due):
        if await callers.ask():
            answered[number] = time.monotonic() - due
        else:
            failed.add(number)

    begun = due = time.monotonic()
    while (due := due + chance.expovariate(LOAD * CAPACITY)) - begun < seconds:
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        lateness = max(lateness, time.monotonic() - due)
        number = len(due_times)
        due_times[asyncio.create_task(one(number, due))] = due
    _, waiting = await asyncio.wait(due_times, timeout=seconds)
    # An error that comes at once must not look like a quick answer: it has the age of one that never came. That age is
    # taken at the longest wait, also where all others have been answered before.
    end = max(time.monotonic(), begun + 2 * seconds)
    latencies = [answered.get(number, end - due) for number, due in enumerate(due_times.values())]
    for task in waiting:
        task.cancel()
    callers.close()
    return latencies, len(failed), len(waiting), lateness


def measure(edgeway, balancer, seconds, seed):
    with endpoints() as ports, running(edgeway, balancer, ports) as port:
        latencies, failed, waiting, lateness = asyncio.run(load(port, seconds, seed))
    latencies.sort()
    share = lambda part: latencies[min(len(latencies) - 1, int(part * len(latencies)))]
    return {
        "mean": statistics.fmean(latencies), "p50": share(0.5), "p99": share(0.99), "requests": len(latencies),
        "failed": failed, "unanswered": waiting, "sent_late": lateness,
    }


def row(name, turn, found, rest=("", "")):
    millis = [f"{found[key] * 1e3:,.0f} ms" for key in FIGURES]
    print("| " + " | ".join([name, str(turn), *millis, *map(str, rest)]) + " |")


def report(figures):
    """Print all rounds, their medians and the ratios of these."""
    print("\n| balancer | round | mean | p50 | p99 | unanswered | failed |\n|---|---|---|---|---|---|---|")
    medians = {}
    for name, rounds in figures.items():
        for turn, found in enumerate(rounds, 1):
            row(name, turn, found, (found["unanswered"], found["failed"]))
        medians[name] = {key: statistics.median(one[key] for one in rounds) for key in FIGURES}
    for name, median in medians.items():
        row(name, "median", median)
    ratios = {
        "p99 of round_robin to ewma": medians["round_robin"]["p99"] / medians["ewma"]["p99"],
        "mean of round_robin to least_request": medians["round_robin"]["mean"] / medians["least_request"]["mean"],
    }
    print()
    for name, ratio in ratios.items():
        print(f"{name}: {ratio:.1f} (goal: {GOAL} at least) {'met' if ratio >= GOAL else 'MISSED'}")
    return medians, ratios


def main():
    asked = arguments()
    figures = {name: [] for name in ALGORITHMS}
    print(f"{LOAD * CAPACITY:.0f} requests/s, {LOAD:.0%} of capacity; at most {2 * asked.seconds:.0f} s per balancer "
          f"and round", flush=True)
    for turn in range(asked.rounds):
        for name in ALGORITHMS:
            found = measure(asked.edgeway, name, asked.seconds, turn)
            figures[name].append(found)
            print(f"round {turn + 1} {name}: mean {found['mean'] * 1e3:.0f} ms, p99 {found['p99'] * 1e3:.0f} ms, "
                  f"{found['requests']} requests, sent {found['sent_late'] * 1e3:.0f} ms late at most", flush=True)
    medians, ratios = report(figures)
    if asked.json:
        asked.json.write_text(json.dumps({"figures": figures, "medians": medians, "ratios": ratios}, indent=1))
    sys.exit(0 if all(ratio >= GOAL for ratio in ratios.values()) else 1)


if __name__ == "__main__":
    main()
