#!/usr/bin/env python3
"""Instructions per request, and per stage of one, held against recorded bounds.

callgrind counts what the processor would execute in user mode. Each figure is the difference of two runs with different
numbers of requests, so that start and end of the process do not count, and only of the thread that serves: the others
work by the clock, so that a slow machine would raise the count.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

from traffic import Service, Trouble, free_port, requests

HERE = Path(__file__).resolve().parent
BOUNDS = HERE.parent / "instructions.toml"
SLACK = 1.05
"""A bound is what was measured, and 5 %."""

BALANCERS = ["round_robin", "least_request", "ewma", "consistent_hash", "random"]
PICKS = {f"pick-{balancer}-{endpoints}": most for balancer in BALANCERS for endpoints, most in ((3, 400), (100, 700))}
TOKENS = ["token", "token-of-1", "token-of-10000"]
STAGES = ["find-in-10", "find-in-1000", "find-in-10000", "normalise", *TOKENS, "inject", "log", *PICKS]
WORKS = ["plain", "hs256"]
TIMES = 2_000
"""A stage is run so many times, and twice as many."""

BESIDE = {"inject": "copy"}
"""What a stage's loop does beside the stage is counted apart and taken off."""

FLAT = [("find-in-10000", "find-in-10", 1.5), ("token-of-10000", "token-of-1", 1.1)]
"""A look-up must not grow with the number of routes or of remembered tokens: at most so many times."""

CEILING = {"find-in-10000": 1_500, **dict.fromkeys(TOKENS, 1_200), **PICKS}
"""Bounds that no recording raises."""

HEADER = """\
# Instructions per request and per stage: what was measured when it was recorded, and the bound, 5 % above it.
# `make bench-instructions` fails above a bound; `make bench-instructions ARGS=--record` writes new ones.
# Bounds only go down, or the commit that raises one says why. How they are counted: docs/performance.md.
"""


def arguments():
    """What was asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--edgeway", type=Path, help="the binary; without it only stages are counted")
    parser.add_argument("--stages", type=Path, help="the example `stages`; without it only requests are counted")
    parser.add_argument("--requests", type=int, default=20_000, help="requests of the shorter run (20000)")
    parser.add_argument("--record", action="store_true", help="write what is measured as new bounds")
    parser.add_argument("--keep", type=Path, help="keep callgrind's profile of each longer run in this folder")
    return parser.parse_args()


def callgrind(command, folder):
    """A command under callgrind, which writes one profile per thread."""
    options = ["--tool=callgrind", "--separate-threads=yes", f"--callgrind-out-file={folder}/profile"]
    return ["valgrind", *options, *map(str, command)]


def counted(folder, keep=None):
    """The sum of the busiest thread: the one that serves. Others tick by the clock, and would count its time."""

    def total(profile):
        sums = re.findall(r"^(?:totals|summary): (\d+)", profile.read_text(), re.M)
        return int(sums[-1]) if sums else 0

    profiles = {total(profile): profile for profile in Path(folder).glob("profile-*")}
    if not any(profiles):
        raise Trouble("callgrind wrote no profile")
    if keep:
        shutil.copy(profiles[max(profiles)], keep)
    return max(profiles)


def stage(binary, name, keep=None):
    """Instructions of one pass of a stage."""

    def count(times, keep=None):
        with tempfile.TemporaryDirectory(prefix="edgeway-instructions-") as folder:
            words = [binary, name, times]
            if name.startswith("token-of-"):
                # So many distinct tokens in turn; signing them is not counted.
                words.append(Path(folder) / "tokens")
                make = [binary, "make-tokens", name.removeprefix("token-of-"), words[-1]]
                subprocess.run([str(word) for word in make], check=True)
            done = subprocess.run(callgrind(words, folder), capture_output=True, text=True)
            if done.returncode:
                raise Trouble(f"{name}: {done.stderr[-400:]}")
            return counted(folder, keep)

    return (count(2 * TIMES, keep) - count(TIMES)) / TIMES


def config(work, folder, port, spare, service):
    """One route, one endpoint; the job with tokens and an access log, plain without."""
    job = work != "plain"
    text = {
        "server": {"threads": 1, "run_dir": str(folder), "drain": {"pause": "0s", "deadline": "35s"}},
        "listeners": [{"address": f"127.0.0.1:{port}"}],
        "admin": {"address": f"127.0.0.1:{spare}"},
        "log": {"level": "warn", "access": job},
        "health": {"probe": "off"},
        "limits": {"requests": 1_000_000_000} if job else {},
        "services": {"members": {"endpoints": [f"127.0.0.1:{service}"]}},
        "routes": [{"id": "members", "match": {"path": "/api/members/*"}, "service": "members"}],
    }
    if job:
        secret = "instructions-0123456789-0123456789"
        text["auth"] = {"jwt": {"algorithm": "HS256", "secret": secret, "lifetime": "1d"}}
    else:
        text["routes"][0]["auth"] = "public"
    file = folder / f"{work}.yaml"
    file.write_text(json.dumps(text))
    return file


def served(binary, work, number, keep=None):
    """Instructions of a gateway that serves so many requests on one connection."""
    with tempfile.TemporaryDirectory(prefix="edgeway-instructions-") as folder, Service() as service:
        folder, port = Path(folder), free_port()
        file = config(work, folder, port, free_port(), service.port)
        headers = []
        if work != "plain":
            made = [binary, "token", "--config", file, "--sub", "1004", "--username", "kim", "--role", "admin"]
            token = subprocess.run([str(word) for word in made], capture_output=True, text=True, check=True).stdout
            headers = [f"Authorization: Bearer {token.strip()}"]
        command = callgrind([binary, "run", "--config", file], folder)
        silent = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        gateway = subprocess.Popen(command, **silent)
        try:
            requests(port, "/api/members/42", headers, number)
            gateway.terminate()
            gateway.wait(timeout=60)
        finally:
            if gateway.poll() is None:
                gateway.kill()
                gateway.wait()
        return counted(folder, keep)


def request(binary, work, number, keep=None):
    """Instructions of one request."""
    return (served(binary, work, 2 * number, keep) - served(binary, work, number)) / number


def measure(asked):
    """Everything that was asked for, by name."""
    keep = (lambda name: asked.keep / f"callgrind.{name}") if asked.keep else (lambda _: None)
    if asked.keep:
        asked.keep.mkdir(parents=True, exist_ok=True)
    figures = {}
    for name in STAGES if asked.stages else []:
        figures[name] = stage(asked.stages, name, keep(name))
        if name in BESIDE:
            figures[name] -= stage(asked.stages, BESIDE[name])
        print(f"{name}: {figures[name]:,.0f}", file=sys.stderr)
    for work in WORKS if asked.edgeway else []:
        began = time.monotonic()
        figures[work] = request(asked.edgeway, work, asked.requests, keep(work))
        print(f"{work}: {figures[work]:,.0f} ({time.monotonic() - began:.0f} s)", file=sys.stderr)
    return {name: round(figure) for name, figure in figures.items()}


def machine():
    """Vector instructions that callgrind passes on: libraries choose their code by them."""
    text = Path("/proc/cpuinfo").read_text()
    flags = set(re.search(r"flags\s*:(.*)|$", text).group(0).split())
    return [flag for flag in ["avx", "avx2", "aes", "sse4_2"] if flag in flags]


def record(figures, known):
    """Write new bounds; what was not measured stays as it is."""
    lines = [HEADER, f"flags = {json.dumps(machine())}", ""]
    for name in [*STAGES, *WORKS]:
        measured = figures.get(name, known.get(name, {}).get("measured"))
        if measured is not None:
            bound = round(measured * SLACK) if name in figures else known[name]["bound"]
            bound = min(bound, CEILING.get(name, bound))
            lines += [f"[{name}]", f"measured = {measured}", f"bound = {bound}", ""]
    BOUNDS.write_text("\n".join(lines))
    print(f"recorded in {BOUNDS.name}")


def complaints(figures, known):
    """What is above its bound."""
    for name, measured in figures.items():
        bound = known.get(name, {}).get("bound")
        if bound is None:
            yield f"{name} has no bound yet: make bench-instructions ARGS=--record"
        elif measured > bound:
            yield (
                f"{name}: {measured} instructions, the bound is {bound}. Make it cheaper, or raise the bound with "
                "`make bench-instructions ARGS=--record` in a commit that says why"
            )
    for many, few, times in FLAT:
        if many in figures and figures[many] > times * figures[few]:
            yield f"{many}: {figures[many]} instructions, more than {times} times those of {few} ({figures[few]})"


def main():
    """Count, compare, and say what to do."""
    asked = arguments()
    if not shutil.which("valgrind"):
        raise Trouble("valgrind is missing: benches/load/setup.sh installs it")
    known = tomllib.loads(BOUNDS.read_text()) if BOUNDS.exists() else {}
    figures = measure(asked)
    print("| instructions of | measured | bound |\n|---|---|---|")
    for name, measured in figures.items():
        print(f"| {name} | {measured:,} | {known.get(name, {}).get('bound', 'none')} |")
    if asked.record:
        return record(figures, known)
    if known.get("flags", machine()) != machine():
        print(f"bounds were recorded on a machine with {known['flags']}, this one has {machine()}", file=sys.stderr)
    wrong = list(complaints(figures, known))
    if wrong:
        raise Trouble("\n".join(wrong))


if __name__ == "__main__":
    try:
        main()
    except Trouble as trouble:
        sys.exit(f"bench-instructions: {trouble}")
    except KeyboardInterrupt:
        sys.exit(130)
