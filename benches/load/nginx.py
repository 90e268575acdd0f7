"""nginx, as a gateway and as the program that the service is made of."""

from pathlib import Path

from processes import first_line
from works import ENDLESS, FEW, LIMITED, NAMES


class Nginx:
    """As one process. It has no JWT in its free edition."""

    name = "nginx"

    def version(self):
        """As it says itself, with its library of TLS."""
        library = next((line for line in first_line(["nginx", "-V"], 20).splitlines() if "OpenSSL" in line), "")
        library = " ".join(library.removeprefix("built with ").split()[:2])
        return ", ".join([first_line(["nginx", "-v"]).removeprefix("nginx version: "), *([library] if library else [])])

    @staticmethod
    def command(run):
        """How it is started."""
        servers = " ".join(f"server {address};" for address in run.endpoints)
        kept = f"{servers} keepalive 100; keepalive_requests {ENDLESS};"
        pools = "\n".join(f"upstream {name} {{ {kept} }}" for name in NAMES)
        tls, words = "", f"127.0.0.1:{run.port}"
        if run.work.tls:
            tls = f"ssl_certificate {run.certificate}; ssl_certificate_key {run.certificate};"
            words += " ssl http2" if run.work.http2 else " ssl"
        server = f"""
            server {{
                listen {words}; {tls}
                client_max_body_size 10m; client_body_buffer_size 64k;
                proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
                location / {{ return 404; }}
                {routes(run)}
            }}"""
        return command(run.folder, f"nginx-{run.work.name}", zones(run) + pools + server)


def zones(run):
    """Where callers are counted."""
    if not run.work.limit:
        return ""
    zone = "limit_req_zone $binary_remote_addr zone={}:10m rate={};\n".format
    return "limit_req_status 429;\n" + zone("all", "1000000r/s") + zone("few", f"{FEW}r/m")


def routes(run):
    """By prefix."""
    limit = "limit_req zone=all burst=1000000 nodelay; " if run.work.limit else ""
    found = [
        f"location /api/{name}/ {{ {limit}proxy_pass http://{NAMES[place % len(NAMES)]}; }}"
        for place, name in enumerate(run.work.names)
    ]
    if run.work.limit:
        few = f"limit_req zone=few burst={FEW - 1} nodelay; "
        found.append(f"location = {LIMITED} {{ {few}proxy_pass http://feeds; }}")
    return "\n".join(found)


def command(folder, name, http):
    """nginx in the foreground, with everything that it writes in the run's folder."""
    paths = " ".join(
        f"{kind}_temp_path {folder}/{name}-{kind};" for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    )
    text = f"""
        daemon off; master_process off; pid {folder}/{name}.pid; error_log stderr warn;
        events {{ worker_connections 8000; }}
        http {{ access_log off; keepalive_requests {ENDLESS}; keepalive_timeout 75s; {paths} {http} }}"""
    file = Path(folder) / f"{name}.conf"
    file.write_text(text)
    return ["nginx", "-p", folder, "-c", file]
