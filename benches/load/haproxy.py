"""HAProxy as a gateway, and as what only passes bytes on."""

import subprocess

from works import ENDLESS, FEW, LIMITED, NAMES

CONFIG = """\
global
  nbthread 1
  maxconn 4000
  {log}
defaults
  mode {mode}
  timeout connect 10s
  timeout client 75s
  timeout server 30s
{frontend}
{backends}
"""

FRONTEND = """\
  option http-keep-alive
  http-reuse always
frontend all
  bind 127.0.0.1:{port}{tls}
{job}{limit}
{routes}
"""

JOB = """\
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

USERS = """
backend users
  stick-table type string len 64 size 100k expire 10m store http_req_cnt,http_req_rate(60s)
"""

LIMIT = f"""\
  acl limited path {LIMITED}
  http-request track-sc0 src table addresses unless limited
  http-request track-sc0 src table few if limited
  http-request deny deny_status 429 if limited {{ sc_http_req_rate(0) gt {FEW} }}
  http-request deny deny_status 429 if !limited {{ sc_http_req_rate(0) gt {ENDLESS} }}
"""

ADDRESSES = """
backend addresses
  stick-table type ip size 100k expire 10m store http_req_rate(60s)
backend few
  stick-table type ip size 100k expire 10m store http_req_rate(60s)
"""


class HAProxy:
    """HAProxy, as one thread."""

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
        text = CONFIG.format(
            mode="http",
            log="log stdout format raw local0" if run.is_job else "",
            frontend=frontend(run),
            backends="\n".join(f"backend {name}\n  balance roundrobin\n{servers(run)}" for name in NAMES),
        )
        text += (USERS if run.is_job else "") + (ADDRESSES if run.work.limit else "")
        return [self.binary, "-db", "-f", run.write(f"{self.name}-{run.work.name}.cfg", text)]


class PassThrough(HAProxy):
    """HAProxy in mode tcp, which reads nothing: below this no gateway can get that copies bytes between sockets."""

    def command(self, run):
        """How it is started."""
        frontend = f"listen all\n  bind 127.0.0.1:{run.port}\n  balance roundrobin\n{servers(run)}"
        text = CONFIG.format(mode="tcp", log="", frontend=frontend, backends="")
        return [self.binary, "-db", "-f", run.write(f"{self.name}-{run.work.name}.cfg", text)]


def servers(run):
    """Both endpoints."""
    return "\n".join(f"  server s{place} {address} pool-max-conn 200" for place, address in enumerate(run.endpoints))


def frontend(run):
    """What is done with a request."""
    job = ""
    if run.is_job:
        job = JOB.format(algorithm=run.keys.algorithm, key=run.keys.for_haproxy())
    alpn = "h2,http/1.1" if run.work.http2 else "http/1.1"
    return FRONTEND.format(
        port=run.port,
        tls=f" ssl crt {run.certificate} alpn {alpn}" if run.work.tls else "",
        job=job,
        limit=LIMIT if run.work.limit else "",
        routes=mapped(run) if run.work.routes else listed(),
    )


def listed():
    """As one writes a handful of them."""
    return "\n".join(f"  use_backend {name} if {{ path_beg /api/{name}/ }}" for name in NAMES)


def mapped(run):
    """As its manual recommends for many: a tree of prefixes in a file."""
    lines = "\n".join(f"/api/{name}/ {NAMES[place % len(NAMES)]}" for place, name in enumerate(run.work.names))
    return f"  use_backend %[path,map_beg({run.write(f'haproxy-{run.work.name}.map', lines)})]"
