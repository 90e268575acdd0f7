"""What stands behind the gateways: a static service, and Redis."""

import json
import re
import socket
from pathlib import Path

import nginx
from processes import Trouble
from works import NAMES

LARGE = 64 * 1024


def small():
    """1 KiB of JSON."""
    return json.dumps({"text": "x" * 1013})


def large():
    """64 KiB of JSON."""
    return json.dumps({"text": "x" * (LARGE - 12)})


def upstream(folder, ports):
    """The static service: 1 KiB or 64 KiB of JSON; on paths of their own what it was told, and how long a body was."""
    file = Path(folder) / "large.json"
    file.write_text(large())
    told = ",".join(f'"{name}":"$http_{name}"' for name in ["x_user_id", "x_user_name", "x_user_role"])
    listen = "\n".join(f"listen 127.0.0.1:{port};" for port in ports)
    echo = "\n".join(f"location /api/{name}/echo {{ return 200 '{{{told}}}'; }}" for name in NAMES)
    # nginx answers `return` before it has read a body. What it sends on is what it has read: a second hop says.
    length = f"""
        location = /api/members/length {{
            client_body_buffer_size 64k; proxy_set_body $request_body; proxy_pass http://127.0.0.1:{ports[0]}/length;
        }}
        location = /length {{ return 200 $http_content_length; }}
        location = /api/members/large {{ alias {file}; }}"""
    http = f"""open_file_cache max=10;
        server {{ {listen} default_type application/json; {echo} {length} location / {{ return 200 '{small()}'; }} }}"""
    return nginx.command(folder, "upstream", http)


class Redis:
    """One that keeps everything in memory."""

    def __init__(self, port):
        self.port = port

    def command(self):
        """How it is started."""
        return ["redis-server", "--bind", "127.0.0.1", "--port", self.port, "--save", "", "--appendonly", "no"]

    def scripts(self):
        """How many it has run. A limit asks one each time; the commands within it do not count."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                connection.sendall(b"INFO commandstats\r\nQUIT\r\n")
                with connection.makefile() as answer:
                    text = answer.read()
        except OSError as error:
            raise Trouble(f"Redis does not answer: {error}") from None
        return sum(int(calls) for calls in re.findall(r"cmdstat_(?:evalsha|eval|fcall):calls=(\d+)", text))
