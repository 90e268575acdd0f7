"""Before anything is timed: does a gateway do the work at all?"""

import http.client
import json
import time

from peers import NAMES
from processes import Trouble

LIES = {"X-User-ID": "evil", "X-User-Name": "evil", "X-User-Role": "evil"}
TRUTH = {"x_user_id": "1004", "x_user_name": "kim", "x_user_role": "admin"}

PATIENCE = 5
"""Seconds until a line of the access log must be there."""


def check(server, run, token, body):
    """Raise what is wrong, in a sentence."""
    bearer = {"Authorization": f"Bearer {token}"} if run.is_job else {}
    for name in NAMES:
        expect(ask(run.port, f"/api/{name}/42", bearer), 200, body, f"/api/{name}/42")
    expect(ask(run.port, "/elsewhere", bearer), {404, 503}, None, "a path of no route")
    if run.is_job:
        check_callers(run, token, bearer)
        check_log(server)


def check_callers(run, token, bearer):
    """The service is told who calls, and strangers do not reach it."""
    status, told = ask(run.port, "/api/members/echo", {**bearer, **LIES})
    if status != 200 or json.loads(told) != TRUTH:
        raise Trouble(f"the service was told {told!r} with {status}, not {TRUTH}")
    expect(ask(run.port, "/api/members/42", {}), 401, None, "no token")
    head, claims, signature = token.split(".")
    bent = claims[:-4] + ("AAAA" if claims[-4:] != "AAAA" else "BBBB")
    for name, wrong in [
        ("claims of somebody else", f"{head}.{bent}.{signature}"),
        ("a bent signature", f"{head}.{claims}.{'A' * 8}{signature[8:]}"),
        ("no signature", f"{head}.{claims}."),
    ]:
        expect(ask(run.port, "/api/members/42", {"Authorization": f"Bearer {wrong}"}), 401, None, name)


def check_log(server):
    """A line of JSON names the caller and the status."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        lines = [line for line in server.output.read_text(errors="replace").splitlines() if '"1004"' in line]
        if lines:
            line = json.loads(lines[0])
            if (line["user_id"], line["username"], int(line["status_code"])) != ("1004", "kim", 200):
                raise Trouble(f"its log line says something else: {lines[0]}")
            return
        time.sleep(0.05)
    raise Trouble("it wrote no log line of the caller")


def ask(port, path, headers):
    """One request: status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def expect(answer, status, body, what):
    """Compare an answer."""
    allowed = status if isinstance(status, set) else {status}
    if answer[0] not in allowed or (body is not None and answer[1] != body):
        raise Trouble(f"{what}: answered {answer[0]} {answer[1][:80]!r} instead of {status}")
