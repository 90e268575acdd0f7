"""What gateways are measured at: the works as data, and what one gateway is started for."""

from dataclasses import dataclass, field
from pathlib import Path

NAMES = ["auth", "members", "customers", "calendar", "notices", "feeds"]
"""Six services with a path each: `/api/NAME/`. All have the same two endpoints."""

ENDLESS = 1_000_000_000
"""More requests than a connection will carry in a run, and than a limit will let through."""

LIMITED = "/api/feeds/limited"
"""Where a limit is in force, this path lets only FEW requests a minute pass: the proof that the limit is one."""

FEW = 3

FORWARD = ["edgeway", "haproxy-2.8", "nginx", "envoy", "traefik", "caddy"]
BYTES = [*FORWARD, "pass-through"]
"""With the floor, where a connection of the caller may be one to the service."""

JOB = ["edgeway", "haproxy-2.8", "envoy"]
"""nginx, Traefik and Caddy check no JWT in their free editions."""

MANY = ["edgeway", "haproxy-2.8", "nginx", "envoy"]


@dataclass(frozen=True)
class Work:
    """One work. What is not said is as in `plain`."""

    name: str
    says: str
    """For tables and charts."""
    peers: list
    group: str = ""
    """Works of one group have their turns in the same rounds, because they are compared with each other."""
    algorithm: str = ""
    """Callers have tokens of it, and requests are counted and logged."""
    tokens: int = 1
    close: bool = False
    """Every request has a connection of its own."""
    path: str = "/api/members/42"
    post: int = 0
    """Bytes of the body that each request brings."""
    tls: bool = False
    http2: bool = False
    routes: int = 0
    """So many in place of the six."""
    limit: str = ""
    rate: int = 0
    """Requests per second that come whatever the answers; latency is the figure."""
    idle: int = 0
    """Connections that stay open after one request; their memory is the figure."""

    @property
    def needs(self):
        """The programs that it takes beside the gateways."""
        return ["h2load" if self.http2 else "wrk", *(["redis-server"] if self.limit == "exact" else [])]

    @property
    def names(self):
        """What stands behind `/api/` in the paths of its routes."""
        return [f"r{number}" for number in range(self.routes)] or NAMES

    @property
    def paths(self):
        """What is asked for, in turn: of many routes a thousand that lie far apart at most."""
        if not self.routes:
            return [self.path]
        return [f"/api/{name}/42" for name in self.names[:: max(1, self.routes // 1000)]]


WORKS = [
    Work("plain", "six routes, kept connections", [*BYTES, "haproxy"]),
    Work("hs256", "the job with HS256", [*JOB, "haproxy"], group="job", algorithm="hs256"),
    Work("tokens", "the job with 10,000 HS256 tokens", JOB, group="job", algorithm="hs256", tokens=10_000),
    Work("rs256", "the job with RS256", JOB, algorithm="rs256"),
    Work("es256", "the job with ES256", JOB, algorithm="es256"),
    Work("new-connections", "a new connection for each request", FORWARD, close=True),
    Work("body-64k", "answers of 64 KiB", BYTES, path="/api/members/large"),
    Work("post-16k", "POST of 16 KiB", BYTES, post=16 * 1024),
    Work("tls", "HTTP/1.1 over TLS", FORWARD, tls=True),
    Work("h2", "HTTP/2 over TLS", FORWARD, tls=True, http2=True),
    Work("routes-10", "10 routes", MANY, group="routes", routes=10),
    Work("routes-1000", "1,000 routes", MANY, group="routes", routes=1_000),
    Work("routes-10000", "10,000 routes", MANY, group="routes", routes=10_000),
    Work("limit-none", "no limit", ["edgeway"], group="limits"),
    Work("limit-local", "a limit by address, counted locally", ["edgeway", "haproxy-2.8", "nginx", "traefik"],
         group="limits", limit="local"),
    Work("limit-exact", "a limit by address, counted in Redis", ["edgeway", "traefik"], group="limits", limit="exact"),
    Work("latency-1000", "1,000 requests/s", BYTES, group="latency", rate=1_000),
    Work("latency-4000", "4,000 requests/s", BYTES, group="latency", rate=4_000),
    Work("idle", "2,000 idle connections", FORWARD, idle=2_000),
]  # fmt: skip
BY_NAME = {work.name: work for work in WORKS}


@dataclass
class Run:
    """What one gateway is started for."""

    work: Work
    folder: Path
    port: int
    spare: int
    """A second port, for an operator's listener."""
    upstreams: list
    certificate: Path
    """In PEM, with its key in the same file."""
    redis: int = 0
    keys: object = None
    tokens: list = field(default_factory=list)

    @property
    def is_job(self):
        """Whether callers have tokens, and requests are logged."""
        return self.keys is not None

    @property
    def scheme(self):
        """Of the gateway's listener."""
        return "https" if self.work.tls else "http"

    @property
    def endpoints(self):
        """Both, as HOST:PORT."""
        return [f"127.0.0.1:{port}" for port in self.upstreams]

    def write(self, name, text):
        """A file of the run's folder."""
        file = self.folder / name
        file.write_text(text)
        return file
