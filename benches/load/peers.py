"""The gateways and the configuration each gets for a work. All of them do the same, as far as they can."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

NAMES = ["auth", "members", "customers", "calendar", "notices", "feeds"]
"""Six services with a path each: `/api/NAME/`. All have the same two endpoints."""

ENDLESS = 1_000_000_000
"""More requests than a connection will carry in a run, and than a limit will let through."""


@dataclass
class Run:
    """What one gateway is started for."""

    work: str
    keys: object
    folder: Path
    port: int
    spare: int
    """A second port, for an operator's listener."""
    upstreams: list

    @property
    def is_job(self):
        """Whether callers have tokens, and requests are logged."""
        return self.keys is not None

    def write(self, name, text):
        """A file of the run's folder."""
        file = self.folder / name
        file.write_text(text)
        return file


class Edgeway:
    """The gateway of this repository."""

    name = "edgeway"
    works = {"plain", "hs256", "rs256", "es256"}

    def __init__(self, binary):
        self.binary = binary

    def version(self):
        """As it says itself, with the library that checks signatures."""
        return f"{first_line([self.binary, '--version'])}, aws-lc"

    @staticmethod
    def config(run):
        """A YAML file, written as JSON."""
        addresses = [f"127.0.0.1:{port}" for port in run.upstreams]
        config = {
            "server": {"threads": 1, "run_dir": str(run.folder), "drain": {"pause": "0s", "deadline": "35s"}},
            "listeners": [{"address": f"127.0.0.1:{run.port}"}],
            "admin": {"address": f"127.0.0.1:{run.spare}"},
            "log": {"level": "warn", "access": run.is_job},
            "health": {"probe": "off"},
            # The job counts requests per user, as the others do; plain counts nothing.
            "limits": {"requests": ENDLESS} if run.is_job else {},
            "services": {name: {"endpoints": addresses} for name in NAMES},
            "routes": [
                {"id": name, "match": {"path": f"/api/{name}/*"}, "service": name}
                | ({} if run.is_job else {"auth": "public"})
                for name in NAMES
            ],
        }
        if run.is_job:
            headers = {"X-User-ID": "sub", "X-User-Name": "username", "X-User-Role": "role"}
            config["auth"] = {"jwt": run.keys.for_edgeway(), "headers": headers}
        return run.write(f"edgeway-{run.work}.yaml", json.dumps(config, indent=1))

    def command(self, run):
        """How it is started."""
        return [self.binary, "run", "--config", self.config(run)]


HAPROXY = """\
global
  nbthread 1
  maxconn 1000
  {log}
defaults
  mode http
  timeout connect 10s
  timeout client 75s
  timeout server 30s
  option http-keep-alive
  http-reuse always
frontend all
  bind 127.0.0.1:{port}
{job}
{routes}
{backends}
"""

HAPROXY_JOB = """\
  log global
  log-format '{{"timestamp":"%[date,utime(%Y-%m-%dT%H:%M:%SZ)]","level":"INFO","request_id":"%[unique-id]",\
"method":"%HM","path":"%[var(txn.path),json(utf8s)]","user_id":"%[var(txn.user),json(utf8s)]",\
"username":"%[var(txn.name),json(utf8s)]","response_time":"%Ta ms","status_code":%ST,"target_service":"%b",\
"endpoint":"%si:%sp","client":"%ci"}}'
  unique-id-format 'req-%[rand(2147483647),hex]%[rand(2147483647),hex]'
  unique-id-header X-Request-ID
  http-request set-var(txn.path) path
  http-request set-var(txn.token) http_auth_bearer
  http-request set-var(txn.algorithm) var(txn.token),jwt_header_query('$.alg')
  http-request return status 401 unless {{ var(txn.algorithm) -m str {algorithm} }}
  http-request return status 401 unless {{ var(txn.token),jwt_verify(txn.algorithm,"{key}") 1 }}
  http-request set-var(txn.expires) var(txn.token),jwt_payload_query('$.exp','int')
  http-request set-var(txn.now) date()
  http-request return status 401 if {{ var(txn.expires),sub(txn.now) -m int lt 0 }}
  http-request set-var(txn.user) var(txn.token),jwt_payload_query('$.sub')
  http-request set-var(txn.name) var(txn.token),jwt_payload_query('$.username')
  http-request set-header X-User-ID %[var(txn.user)]
  http-request set-header X-User-Name %[var(txn.name)]
  http-request set-header X-User-Role %[var(txn.token),jwt_payload_query('$.role')]
  http-request track-sc0 var(txn.user) table users
"""

HAPROXY_USERS = """\
backend users
  stick-table type string len 64 size 100k expire 10m store http_req_cnt,http_req_rate(60s)
"""


class HAProxy:
    """HAProxy, as one thread."""

    works = {"plain", "hs256", "rs256", "es256"}

    def __init__(self, name, binary):
        self.name = name
        self.binary = binary

    def version(self):
        """With the OpenSSL that it runs on."""
        text = subprocess.run([self.binary, "-vv"], capture_output=True, text=True, check=True).stdout
        library = next((line.split(": ")[1] for line in text.splitlines() if line.startswith("Running on Open")), "?")
        return f"{text.split(' 20')[0]}, {' '.join(library.split()[:2])}"

    def command(self, run):
        """How it is started."""
        job = ""
        if run.is_job:
            job = HAPROXY_JOB.format(algorithm=run.keys.algorithm, key=run.keys.for_haproxy())
        servers = "\n".join(
            f"  server s{place} 127.0.0.1:{port} pool-max-conn 200" for place, port in enumerate(run.upstreams)
        )
        text = HAPROXY.format(
            log="log stdout format raw local0" if run.is_job else "",
            port=run.port,
            job=job,
            routes="\n".join(f"  use_backend {name} if {{ path_beg /api/{name}/ }}" for name in NAMES),
            backends="\n".join(f"backend {name}\n  balance roundrobin\n{servers}" for name in NAMES),
        )
        file = run.write(f"{self.name}-{run.work}.cfg", text + (HAPROXY_USERS if run.is_job else ""))
        return [self.binary, "-db", "-f", file]


class Nginx:
    """nginx, as one process. It has no JWT in its free edition, so it only takes part in plain proxying."""

    name = "nginx"
    works = {"plain"}

    def version(self):
        """As it says itself."""
        return first_line(["nginx", "-v"]).removeprefix("nginx version: ")

    @staticmethod
    def command(run):
        """How it is started."""
        servers = " ".join(f"server 127.0.0.1:{port};" for port in run.upstreams)
        pools = "\n".join(f"upstream {name} {{ {servers} keepalive 100; keepalive_requests {ENDLESS}; }}" for name in NAMES)
        routes = "\n".join(f"location /api/{name}/ {{ proxy_pass http://{name}; }}" for name in NAMES)
        server = f"""
            server {{
                listen 127.0.0.1:{run.port};
                proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
                location / {{ return 404; }}
                {routes}
            }}"""
        return nginx(run.folder, "nginx", pools + server)


def upstream(folder, ports):
    """The static service: 1 KiB of JSON, and what it was told on a path of its own."""
    body = json.dumps({"text": "x" * 1013})
    told = ",".join(f'"{name}":"$http_{name}"' for name in ["x_user_id", "x_user_name", "x_user_role"])
    listen = "\n".join(f"listen 127.0.0.1:{port};" for port in ports)
    echo = "\n".join(f"location /api/{name}/echo {{ return 200 '{{{told}}}'; }}" for name in NAMES)
    server = f"server {{ {listen} default_type application/json; {echo} location / {{ return 200 '{body}'; }} }}"
    return nginx(folder, "upstream", server), body


def nginx(folder, name, http):
    """nginx in the foreground, with everything that it writes in the run's folder."""
    paths = " ".join(
        f"{kind}_temp_path {folder}/{name}-{kind};" for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    )
    text = f"""
        daemon off; master_process off; pid {folder}/{name}.pid; error_log stderr warn;
        events {{ worker_connections 1000; }}
        http {{ access_log off; keepalive_requests {ENDLESS}; keepalive_timeout 75s; {paths} {http} }}"""
    file = Path(folder) / f"{name}.conf"
    file.write_text(text)
    return ["nginx", "-p", folder, "-c", file]


def first_line(command):
    """The first line that a command says of itself."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True)
    return (done.stdout or done.stderr).strip().splitlines()[0]
