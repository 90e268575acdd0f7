"""Traefik, which checks no JWT in its free edition. It limits by address, on its own or with Redis."""

import json

from processes import first_line
from works import FEW, LIMITED, NAMES

PLENTY = 1_000_000
"""Requests per second that nobody reaches: more cannot be said in its token bucket without a loss of precision."""


class Traefik:
    """As one thread of Go code."""

    name = "traefik"
    environment = {"GOMAXPROCS": "1"}

    def __init__(self, binary):
        self.binary = binary

    def version(self):
        """With the library of TLS, which is that of its compiler."""
        words = dict(line.split(":", 1) for line in first_line([self.binary, "version"], 9).splitlines() if ":" in line)
        return f"Traefik {words['Version'].strip()}, {words['Go version'].strip()} crypto/tls"

    def command(self, run):
        """How it is started: nothing is asked of the outside."""
        dynamic = run.write(f"traefik-{run.work.name}-dynamic.yaml", json.dumps(config(run), indent=1))
        static = {
            "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
            "entryPoints": {"all": {"address": f"127.0.0.1:{run.port}"}},
            "log": {"level": "ERROR"},
            "providers": {"file": {"filename": str(dynamic), "watch": False}},
        }
        file = run.write(f"traefik-{run.work.name}.yaml", json.dumps(static, indent=1))
        return [self.binary, f"--configfile={file}"]


def config(run):
    """Routers, services, and a limit where one is asked for."""
    servers = [{"url": f"http://{address}"} for address in run.endpoints]
    http = {
        "routers": routers(run),
        "services": {name: {"loadBalancer": {"servers": servers}} for name in NAMES},
    }
    if run.work.limit:
        http["middlewares"] = {
            "plenty": {"rateLimit": {"average": PLENTY, "burst": PLENTY} | shared(run)},
            "few": {"rateLimit": {"average": FEW, "period": "1m", "burst": FEW} | shared(run)},
        }
    if not run.work.tls:
        return {"http": http}
    file = str(run.certificate)
    tls = {"certificates": [{"certFile": file, "keyFile": file}]}
    if not run.work.http2:
        tls["options"] = {"default": {"alpnProtocols": ["http/1.1"]}}
    return {"http": http, "tls": tls}


def shared(run):
    """Where all instances count together."""
    return {"redis": {"endpoints": [f"127.0.0.1:{run.redis}"]}} if run.work.limit == "exact" else {}


def routers(run):
    """By prefix."""
    more = {"entryPoints": ["all"]} | ({"tls": {}} if run.work.tls else {})
    limit = {"middlewares": ["plenty"]} if run.work.limit else {}
    found = {
        name: {"rule": f"PathPrefix(`/api/{name}/`)", "service": NAMES[place % len(NAMES)]} | more | limit
        for place, name in enumerate(run.work.names)
    }
    if run.work.limit:
        found["limited"] = {"rule": f"Path(`{LIMITED}`)", "service": "feeds", "middlewares": ["few"]} | more
    return found
