"""Caddy, which as it is delivered checks no JWT and limits nobody."""

import json

from processes import first_line
from works import NAMES


class Caddy:
    """As one thread of Go code."""

    name = "caddy"
    environment = {"GOMAXPROCS": "1"}

    def __init__(self, binary):
        self.binary = binary

    def version(self):
        """With the library of TLS, which is that of its compiler."""
        number = first_line([self.binary, "version"]).split()[0]
        build = first_line([self.binary, "build-info"], 200).splitlines()
        go = next((line.split()[-1] for line in build if line.startswith("go\t")), "Go")
        return f"Caddy {number}, {go} crypto/tls"

    def command(self, run):
        """How it is started: nothing is asked of the outside, and nothing is kept."""
        file = run.write(f"caddy-{run.work.name}.json", json.dumps(config(run), indent=1))
        return ["env", f"HOME={run.folder}", f"XDG_DATA_HOME={run.folder}", self.binary, "run", "--config", file]


def config(run):
    """One server, routes by prefix."""
    nothing = {"handler": "static_response", "status_code": 404}
    server = {
        "listen": [f"127.0.0.1:{run.port}"],
        "automatic_https": {"disable": True},
        "protocols": ["h1", "h2"] if run.work.http2 else ["h1"],
        "routes": [*(route(run, name) for name in NAMES), {"handle": [nothing]}],
    }
    apps = {"http": {"servers": {"all": server}}}
    if run.work.tls:
        server["tls_connection_policies"] = [{"alpn": ["h2", "http/1.1"] if run.work.http2 else ["http/1.1"]}]
        file = str(run.certificate)
        apps["tls"] = {"certificates": {"load_files": [{"certificate": file, "key": file}]}}
    return {
        "admin": {"disabled": True, "config": {"persist": False}},
        "logging": {"logs": {"default": {"level": "ERROR"}}},
        "apps": apps,
    }


def route(run, name):
    """One prefix and its endpoints."""
    proxy = {
        "handler": "reverse_proxy",
        "load_balancing": {"selection_policy": {"policy": "round_robin"}},
        # As many as there are callers; its default of 32 for both endpoints together would be used up just so.
        "transport": {"protocol": "http", "keep_alive": {"max_idle_conns_per_host": 100}},
        "upstreams": [{"dial": address} for address in run.endpoints],
    }
    return {"match": [{"path": [f"/api/{name}/*"]}], "handle": [proxy], "terminal": True}
