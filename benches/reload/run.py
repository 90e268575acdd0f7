#!/usr/bin/env python3
"""What a reload of many routes costs: how long it takes, and what callers notice of it.

A gateway with 10,000 routes serves open-loop load while its file changes and is reloaded, again and again. Latency is
taken in windows of one second, which begin with each reload and between them. Goals: each reload takes less than a second; the median of the 99th percentiles of the windows that
hold a reload is at most twice that of the others; no request fails. Where one is missed, it exits with 1.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

# Seconds a process may take to listen.
PATIENCE = 60
LONGEST = 1.0
RATIO = 2.0
SERVICES = 100


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edgeway", type=Path, required=True, help="the binary")
    parser.add_argument("--callers", type=Path, required=True, help="the example `reload-callers`")
    parser.add_argument("--routes", type=int, default=10_000, help="routes (10,000)")
    parser.add_argument("--reloads", type=int, default=20, help="reloads (20)")
    parser.add_argument("--rate", type=int, default=1_000, help="requests a second (1,000)")
    parser.add_argument("--every", type=float, default=4.0, help="seconds from one reload to the next (4)")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    return parser.parse_args()


def written(path, text):
    """In one step, as whoever changes a file of a running gateway should."""
    draft = path.with_suffix(".draft")
    draft.write_text(text)
    draft.replace(path)


def common(folder, name, admin):
    return f"""server: {{ threads: 1, run_dir: "{folder}/{name}", reload_on_change: false }}
listeners: [{{ address: "127.0.0.1:0" }}]
admin: {admin}
log: {{ access: false }}
"""


def service(folder):
    path = Path(folder) / "service.yaml"
    routes = 'routes: [{ id: all, match: { path: "/*" }, respond: { body: ok }, auth: public }]\n'
    path.write_text(common(folder, "service", "{ enabled: false }") + routes)
    return path


def routes(count, turn, port):
    """Routes as files have them: of several kinds, on many services. One of them is another one each time."""
    yield f'auth: {{ jwt: {{ algorithm: HS256, secret: "bench-0123456789-0123456789-012345" }} }}\n'
    yield "services:\n"
    for number in range(SERVICES):
        yield f'  s{number}: {{ endpoints: ["127.0.0.1:{port}"], health: {{ probe: off }} }}\n'
    yield "routes:\n"
    yield f'- {{ id: turn, match: {{ path: /turn }}, respond: {{ body: "{turn}" }}, auth: public }}\n'
    kinds = [
        "auth: public",
        "methods: [GET, POST], access: [{ any_role: [admin, editor] }]",
        "auth: public, limits: [{ requests: 1000000, window: 60s }]",
        "auth: public, timeouts: { request: 20s, attempt: 10s }, retry: { attempts: 2 }",
    ]
    for number in range(1, count):
        # The one that is called is of the first kind.
        kind = kinds[number % len(kinds)]
        match = f"path: /r{number}/*"
        if kind.startswith("methods"):
            methods, kind = kind.split("], ", 1)
            match += f", {methods}]"
        yield f"- {{ id: r{number}, match: {{ {match} }}, service: s{number % SERVICES}, {kind} }}\n"


@contextmanager
def running(edgeway, folder, path):
    """Ports of callers and operators."""
    errors = Path(folder) / f"{path.stem}.log"
    with errors.open("wb") as stderr:
        command = [edgeway.resolve(), "run", "--config", path]
        gateway = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr)
    try:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and gateway.poll() is None:
            if found := re.search(r" serves on 127\.0\.0\.1:(\d+) .*?(?:admin on 127\.0\.0\.1:(\d+)|no admin)\n",
                                  errors.read_text()):
                break
            time.sleep(0.05)
        else:
            sys.exit(f"the gateway did not start:\n{errors.read_text()}")
        yield int(found[1]), int(found[2] or 0), gateway.pid
    finally:
        gateway.kill()
        gateway.wait()


def reload(admin):
    """Seconds from the question to the answer."""
    begun = time.monotonic()
    question = urllib.request.Request(f"http://127.0.0.1:{admin}/api/v1/reload", method="POST")
    with urllib.request.urlopen(question, timeout=PATIENCE) as answer:
        answer.read()
    return time.monotonic() - begun


def resident(pid):
    """MiB."""
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1024


def measure(asked, folder):
    with running(asked.edgeway, folder, service(folder)) as (endpoint, _, _):
        path = Path(folder) / "edgeway.yaml"
        text = lambda turn: common(folder, "run", '{ address: "127.0.0.1:0" }') + "".join(
            routes(asked.routes, turn, endpoint))
        written(path, text(0))
        with running(asked.edgeway, folder, path) as (port, admin, pid):
            # One reload and a second of load, so that everything has been done once.
            reload(admin)
            seconds = 3 + asked.every * asked.reloads
            command = [asked.callers.resolve(), f"127.0.0.1:{port}", str(asked.rate), str(seconds)]
            callers = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            begun, reloads = time.time() + 2, []
            # The callers' lines wait in their memory until the end: the pipe does not fill meanwhile.
            for turn in range(1, asked.reloads + 1):
                written(path, text(turn))
                time.sleep(max(0.0, begun + asked.every * (turn - 1) - time.time()))
                at = time.time()
                reloads.append((at, reload(admin)))
            said, _ = callers.communicate()
            return said, reloads, resident(pid), path.stat().st_size


def windows(said, reloads):
    """99th percentiles of the seconds that begin with a reload, and of those that do not, in ms; failed ones."""
    requests, failed, late = [], 0, 0
    for line in said.splitlines():
        first, second = line.split()
        if first == "late":
            late = int(second) / 1e3
        elif second == "failed":
            failed += 1
        else:
            requests.append((int(first) / 1e9, int(second) / 1e3))
    requests.sort()
    ratios = {True: [], False: []}
    starts = [at for at, _ in reloads]
    for this, following in zip(starts, [*starts[1:], starts[-1] + 2.5]):
        # The second that follows a window with a reload is left out: it tidies up.
        for start in [this, *(this + 2 + number for number in range(int(following - this - 2)))]:
            found = sorted(latency for due, latency in requests if start <= due < start + 1)
            if found:
                ratios[start == this].append(found[min(len(found) - 1, int(len(found) * 0.99))])
    return ratios[True], ratios[False], failed, len(requests), late


def main():
    asked = arguments()
    with tempfile.TemporaryDirectory() as folder:
        said, reloads, memory, size = measure(asked, folder)
    during, between, failed, answered, late = windows(said, reloads)
    times = [seconds for _, seconds in reloads]
    ratio = statistics.median(during) / statistics.median(between)
    show = lambda values: f"median {statistics.median(values):.2f}, {min(values):.2f} to {max(values):.2f}"
    print(f"{asked.routes:,} routes, {size / 1e6:.1f} MB of YAML, {asked.rate:,} requests/s, {answered:,} answered; "
          f"{memory:.0f} MiB at the end; sent {late:.1f} ms late at most")
    print(f"reloads, seconds: {show(times)}")
    print(f"p99 of {len(during)} seconds with a reload, ms: {show(during)}")
    print(f"p99 of {len(between)} seconds without, ms: {show(between)}")
    goals = {
        f"longest reload: {max(times):.2f} s (goal: below {LONGEST:.0f} s)": max(times) < LONGEST,
        f"p99 with a reload to p99 without: {ratio:.2f} (goal: {RATIO:.0f} at most)": ratio <= RATIO,
        f"failed requests: {failed} (goal: none)": failed == 0,
    }
    for goal, met in goals.items():
        print(goal, "met" if met else "MISSED")
    if asked.json:
        asked.json.write_text(json.dumps({"reloads": times, "during": during, "between": between, "failed": failed}))
    sys.exit(0 if all(goals.values()) else 1)


if __name__ == "__main__":
    main()
