"""Load on a gateway for some seconds: wrk, h2load, or requests at a fixed rate."""

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from processes import Trouble, cores, on_core

UNITS = {"us": 1, "ms": 1e3, "s": 1e6, "m": 6e7}

STREAMS = 4
"""Requests at a time on a connection of HTTP/2."""


@dataclass
class Answered:
    """What came of it. Latencies in microseconds; None where the tool does not tell."""

    requests: int
    rps: float
    p50: float | None = None
    p99: float | None = None
    p999: float | None = None
    late: float | None = None
    """How late 99 of 100 requests were sent at most, where they had a time."""
    unanswered: int | None = None


def put(run, seconds, connections, seed):
    """The load of a work."""
    if run.work.rate:
        return at_rate(run, seconds, seed)
    if run.work.http2:
        return h2load(run, seconds, connections)
    return wrk(run, seconds, connections)


def wrk(run, seconds, connections):
    """Each connection sends its next request when it has its answer."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", script(run)]
    if run.work.close:
        command += ["-H", "Connection: close"]
    text = said([*command, f"{run.scheme}://127.0.0.1:{run.port}/"], seconds)
    requests = int(number(r"(\d+) requests in", text))
    for complaint in ("Non-2xx", "Socket errors", *([] if requests else ["requests in"])):
        if complaint in text:
            raise Trouble("wrk: " + next(line.strip() for line in text.splitlines() if complaint in line))
    return Answered(
        requests=requests,
        rps=number(r"Requests/sec:\s+([\d.]+)", text),
        p50=micros(r"(?m)^ +50%\s+(\S+)", text),
        p99=micros(r"(?m)^ +99%\s+(\S+)", text),
    )


def script(run):
    """All requests in turn, written out before the first is sent."""
    lines = run.write(f"{run.work.name}.requests", "\n".join(run.tokens if len(run.tokens) > 1 else run.work.paths))
    wanted = 'path, headers["Authorization"] = PATH, "Bearer " .. line' if len(run.tokens) > 1 else "path = line"
    token = f'headers["Authorization"] = "Bearer {run.tokens[0]}"' if len(run.tokens) == 1 else ""
    body = f'wrk.method, wrk.body = "POST", string.rep("x", {run.work.post})' if run.work.post else ""
    return run.write(
        f"{run.work.name}.lua",
        f"""
local PATH, requests, next = "{run.work.path}", {{}}, 0
function init()
  {body}
  local headers = wrk.headers
  {token}
  for line in io.lines("{lines}") do
    local path
    {wanted}
    requests[#requests + 1] = wrk.format(nil, path)
  end
end
function request()
  next = next % #requests + 1
  return requests[next]
end
""",
    )


def h2load(run, seconds, connections):
    """A quarter of the connections, each with four requests at a time."""
    clients = max(1, connections // STREAMS)
    command = ["h2load", "-t1", f"-c{clients}", f"-m{STREAMS}", f"-D{seconds}"]
    text = said([*command, f"https://127.0.0.1:{run.port}{run.work.path}"], seconds)
    if "Application protocol: h2" not in text:
        raise Trouble("h2load: HTTP/2 was not agreed on")
    done, good = number(r"(\d+) done", text), number(r"status codes: (\d+) 2xx", text)
    # Those under way at the end have a status and are not done.
    if not done or good < done or number(r"(\d+) failed", text):
        raise Trouble("h2load: " + next(line for line in text.splitlines() if line.startswith("requests:")))
    return Answered(requests=int(done), rps=number(r"finished in [\d.]+\w+, ([\d.]+) req/s", text))


def at_rate(run, seconds, seed):
    """Whatever the answers."""
    program = Path(__file__).with_name("latency.py")
    text = said([sys.executable, program, run.port, run.work.path, run.work.rate, seconds, seed], seconds)
    answered = Answered(**json.loads(text))
    if not answered.requests:
        raise Trouble("no request was answered")
    return answered


def said(command, seconds):
    """The output of a tool on the core of load and service."""
    try:
        done = subprocess.run(on_core(cores()[1], command), capture_output=True, text=True, timeout=seconds + 30)
    except subprocess.TimeoutExpired:
        raise Trouble(f"{command[0]} did not end") from None
    if done.returncode:
        raise Trouble(f"{Path(str(command[0])).name}: {(done.stderr.strip() or done.stdout.strip())[-400:]}")
    return done.stdout


def number(pattern, text):
    """The number that a tool printed."""
    found = re.search(pattern, text)
    if not found:
        raise Trouble(f"no {pattern!r} in: {text.strip()[-400:]}")
    return float(found.group(1))


def micros(pattern, text):
    """A length of time as wrk prints it."""
    found = re.search(pattern, text)
    value, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", found.group(1)).groups() if found else (0, "us")
    return float(value) * UNITS[unit]
