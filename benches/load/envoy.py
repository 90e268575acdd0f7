"""Envoy, with its JWT cache. It does not count per user: its filters for that answer another question."""

import json
import subprocess

from works import NAMES

TYPES = "type.googleapis.com/envoy.extensions."


class Envoy:
    """Envoy, as one worker."""

    name = "envoy"

    def __init__(self, binary):
        self.binary = binary

    def version(self):
        """Number and TLS library."""
        done = subprocess.run([self.binary, "--version"], capture_output=True, text=True, check=True)
        parts = done.stdout.split("version:")[1].strip().split("/")
        return f"Envoy {parts[1]}, {parts[-1].splitlines()[0]}"

    def command(self, run):
        """How it is started."""
        file = run.write(f"envoy-{run.work.name}.json", json.dumps(config(run), indent=1))
        return [self.binary, "--concurrency", "1", "-l", "error", "--use-dynamic-base-id", "-c", file]


def typed(kind, **values):
    """A message with its type's name."""
    return {"@type": TYPES + kind, **values}


def address(port):
    """A port of loopback."""
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def config(run):
    """One listener, six routes or more, six clusters."""
    manager = typed(
        "filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="all",
        http_filters=filters(run),
        access_log=[access_log()] if run.is_job else [],
        route_config={"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes(run)}]},
    )
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]} | tls(run)
    listener = {"name": "all", "address": address(run.port), "filter_chains": [chain]}
    endpoints = [{"endpoint": {"address": address(port)}} for port in run.upstreams]
    cluster = {"type": "STATIC", "connect_timeout": "10s"}
    clusters = [
        {**cluster, "name": name, "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]}}
        for name in NAMES
    ]
    return {"static_resources": {"listeners": [listener], "clusters": clusters}}


def routes(run):
    """By prefix."""
    return [
        {"match": {"prefix": f"/api/{name}/"}, "route": {"cluster": NAMES[place % len(NAMES)]}}
        for place, name in enumerate(run.work.names)
    ]


def tls(run):
    """What callers are shown."""
    if not run.work.tls:
        return {}
    file = {"filename": str(run.certificate)}
    common = {
        "alpn_protocols": ["h2", "http/1.1"] if run.work.http2 else ["http/1.1"],
        "tls_certificates": [{"certificate_chain": file, "private_key": file}],
    }
    context = typed("transport_sockets.tls.v3.DownstreamTlsContext", common_tls_context=common)
    return {"transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": context}}


def filters(run):
    """The token first, then the route."""
    router = {"name": "envoy.filters.http.router", "typed_config": typed("filters.http.router.v3.Router")}
    if not run.is_job:
        return [router]
    # Claims of a token replace what a caller says under these names.
    claims = {"sub": "X-User-ID", "username": "X-User-Name", "role": "X-User-Role"}
    provider = {
        "local_jwks": {"inline_string": run.keys.for_envoy()},
        "claim_to_headers": [{"header_name": header, "claim_name": claim} for claim, header in claims.items()],
        "payload_in_metadata": "token",
        "forward": True,
        "jwt_cache_config": {"jwt_cache_size": 10000},
    }
    jwt = typed(
        "filters.http.jwt_authn.v3.JwtAuthentication",
        providers={"callers": provider},
        rules=[{"match": {"prefix": "/"}, "requires": {"provider_name": "callers"}}],
    )
    return [{"name": "envoy.filters.http.jwt_authn", "typed_config": jwt}, router]


def access_log():
    """The fields of Edgeway's line."""
    token = "%DYNAMIC_METADATA(envoy.filters.http.jwt_authn:token:{})%".format
    fields = {
        "timestamp": "%START_TIME%",
        "level": "INFO",
        "request_id": "%REQ(X-REQUEST-ID)%",
        "method": "%REQ(:METHOD)%",
        "path": "%REQ(:PATH)%",
        "user_id": token("sub"),
        "username": token("username"),
        "response_time": "%DURATION%ms",
        "status_code": "%RESPONSE_CODE%",
        "target_service": "%UPSTREAM_CLUSTER%",
        "endpoint": "%UPSTREAM_HOST%",
        "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    }
    config = typed("access_loggers.stream.v3.StdoutAccessLog", log_format={"json_format": fields})
    return {"name": "envoy.access_loggers.stdout", "typed_config": config}
