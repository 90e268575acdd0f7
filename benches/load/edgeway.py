"""The gateway of this repository."""

import json

from processes import first_line
from works import ENDLESS, FEW, LIMITED, NAMES


class Edgeway:
    """As one worker thread."""

    name = "edgeway"

    def __init__(self, binary):
        self.binary = binary

    def version(self):
        """As it says itself, with the library of its signatures and of TLS."""
        return f"{first_line([self.binary, '--version'])}, aws-lc"

    def command(self, run):
        """How it is started."""
        return [self.binary, "run", "--config", config(run)]


def config(run):
    """A YAML file, written as JSON."""
    text = {
        "server": {"threads": 1, "run_dir": str(run.folder), "drain": {"pause": "0s", "deadline": "35s"}},
        # All callers of a bench have one address.
        "listeners": [{"address": f"127.0.0.1:{run.port}", "max_connections_per_address": 10_000} | tls(run)],
        "admin": {"address": f"127.0.0.1:{run.spare}"},
        "log": {"level": "warn", "access": run.is_job},
        "health": {"probe": "off"},
        "limits": limits(run),
        "services": {name: {"endpoints": run.endpoints} for name in NAMES},
        "routes": routes(run),
    }
    if run.is_job:
        headers = {"X-User-ID": "sub", "X-User-Name": "username", "X-User-Role": "role"}
        text["auth"] = {"jwt": run.keys.for_edgeway(), "headers": headers}
    if run.redis:
        text["redis"] = {"host": "127.0.0.1", "port": run.redis}
    return run.write(f"edgeway-{run.work.name}.yaml", json.dumps(text, indent=1))


def tls(run):
    """Both from one file."""
    if not run.work.tls:
        return {}
    pair = {"cert_file": str(run.certificate), "key_file": str(run.certificate)}
    return {"tls": {"certificates": [pair], "http2": run.work.http2}}


def limits(run):
    """The job counts requests per user, as the others do; plain counts nothing."""
    if run.work.limit:
        return {"requests": ENDLESS, "key": "address", "mode": run.work.limit}
    return {"requests": ENDLESS} if run.is_job else {}


def routes(run):
    """By path prefix; one more where a limit must be shown."""
    public = {} if run.is_job else {"auth": "public"}
    found = [
        {"id": name, "match": {"path": f"/api/{name}/*"}, "service": NAMES[place % len(NAMES)]} | public
        for place, name in enumerate(run.work.names)
    ]
    if run.work.limit:
        few = {"requests": FEW, "window": "60s", "key": "address"}
        found.append({"id": "limited", "match": {"path": LIMITED}, "service": "feeds", "limits": [few]} | public)
    return found
