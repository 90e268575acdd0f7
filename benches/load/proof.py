"""Before anything is timed: does a gateway do the work at all?"""

import http.client
import json
import ssl
import time

from processes import Trouble
from services import large, small
from works import FEW, LIMITED

LIES = {"X-User-ID": "evil", "X-User-Name": "evil", "X-User-Role": "evil"}
TRUTH = {"x_user_id": "1004", "x_user_name": "kim", "x_user_role": "admin"}

PATIENCE = 5
"""Seconds until a gateway that listens has its routes, and until a line of the access log is there."""

BODY = b"x" * 20_000
"""Longer than one read."""


def check(peer, server, run):
    """Raise what is wrong, in a sentence."""
    bearer = {"Authorization": f"Bearer {run.tokens[0]}"} if run.is_job else {}
    await_routes(run, bearer)
    for name in {*run.work.names[:6], *run.work.names[-6:]}:
        expect(ask(run, f"/api/{name}/42", bearer), 200, small(), f"/api/{name}/42")
    # What only passes bytes on has no routes.
    if peer.name != "pass-through":
        expect(ask(run, "/elsewhere", bearer), {404, 503}, None, "a path of no route")
    if run.is_job:
        check_callers(run, bearer)
        check_log(server)
    if run.work.path.endswith("/large"):
        expect(ask(run, run.work.path, {}), 200, large(), run.work.path)
    if run.work.post:
        expect(ask(run, "/api/members/length", {}, BODY), 200, str(len(BODY)), "the length of a body")
    if run.work.close:
        check_close(run)
    if run.work.limit:
        check_limit(run)


def await_routes(run, bearer):
    """A gateway may listen before it has its routes and its certificate."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            if ask(run, run.work.paths[0], bearer)[0] == 200:
                return
        except Trouble:
            pass
        time.sleep(0.05)


def check_callers(run, bearer):
    """The service is told who calls, and strangers do not reach it."""
    token = run.tokens[0]
    told(run, {**bearer, **LIES}, TRUTH)
    if len(run.tokens) > 1:
        told(run, {"Authorization": f"Bearer {run.tokens[-1]}"}, TRUTH | {"x_user_id": str(1003 + len(run.tokens))})
    expect(ask(run, "/api/members/42", {}), 401, None, "no token")
    head, claims, signature = token.split(".")
    bent = claims[:-4] + ("AAAA" if claims[-4:] != "AAAA" else "BBBB")
    for name, wrong in [
        ("claims of somebody else", f"{head}.{bent}.{signature}"),
        ("a bent signature", f"{head}.{claims}.{'A' * 8}{signature[8:]}"),
        ("no signature", f"{head}.{claims}."),
    ]:
        expect(ask(run, "/api/members/42", {"Authorization": f"Bearer {wrong}"}), 401, None, name)


def told(run, headers, truth):
    """What the service is told."""
    status, body = ask(run, "/api/members/echo", headers)
    if status != 200 or json.loads(body) != truth:
        raise Trouble(f"the service was told {body!r} with {status}, not {truth}")


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


def check_close(run):
    """It ends a connection when it is asked to, so that the next request needs a new one."""
    connection = connect(run)
    try:
        connection.request("GET", run.work.path, headers={"Connection": "close"})
        answer = connection.getresponse()
        answer.read()
        if not answer.will_close:
            raise Trouble("it does not say that it closes the connection")
    finally:
        connection.close()


def check_limit(run):
    """A few pass, and then nobody does; elsewhere requests go on."""
    for place in range(FEW):
        expect(ask(run, LIMITED, {}), 200, None, f"request {place + 1} of {FEW} below the limit")
    expect(ask(run, LIMITED, {}), 429, None, "a request above the limit")
    expect(ask(run, run.work.path, {}), 200, None, "a request elsewhere")


def connect(run):
    """A connection, over TLS where the work says so."""
    if not run.work.tls:
        return http.client.HTTPConnection("127.0.0.1", run.port, timeout=10)
    context = ssl.create_default_context(cafile=run.certificate)
    return http.client.HTTPSConnection("127.0.0.1", run.port, timeout=10, context=context)


def ask(run, path, headers, body=None):
    """One request: status and body."""
    connection = connect(run)
    try:
        connection.request("POST" if body else "GET", path, body=body, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except (OSError, http.client.HTTPException) as error:
        raise Trouble(f"{path}: {error!r}") from None
    finally:
        connection.close()


def expect(answer, status, body, what):
    """Compare an answer."""
    allowed = status if isinstance(status, set) else {status}
    if answer[0] not in allowed or (body is not None and answer[1] != body):
        raise Trouble(f"{what}: answered {answer[0]} {answer[1][:80]!r} instead of {status}")
