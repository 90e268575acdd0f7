"""A caller with one kept connection, and a service that answers 1 KiB; both small, both deterministic."""

import socket
import threading
import time

PATIENCE = 60
"""Seconds a gateway may take to listen: callgrind makes it some fifty times slower."""

BODY = b"x" * 1024
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1024\r\n\r\n" + BODY


class Trouble(Exception):
    """A sentence for whoever runs the bench."""


def free_port():
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


class Service:
    """Answers whatever has no body."""

    def __enter__(self):
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listening.close()

    def accept(self):
        """One thread per connection: there are one or two."""
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=[connection], daemon=True).start()

    @staticmethod
    def serve(connection):
        """Until the other side closes."""
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pending = b""
        try:
            while more := connection.recv(65536):
                pending += more
                while b"\r\n\r\n" in pending:
                    _, pending = pending.split(b"\r\n\r\n", 1)
                    connection.sendall(ANSWER)
        except OSError:
            pass
        finally:
            connection.close()


def requests(port, path, headers, number):
    """So many requests, one after the other; each must be answered with the service's body."""
    lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", *headers]
    request = ("\r\n".join(lines) + "\r\n\r\n").encode()
    connection = connect(port)
    try:
        for _ in range(number):
            connection.sendall(request)
            answer = b""
            while not answer.endswith(BODY):
                more = connection.recv(65536)
                if not more:
                    raise Trouble(f"the gateway closed the connection after {answer[:200]!r}")
                answer += more
                if not answer.startswith(b"HTTP/1.1 200"):
                    raise Trouble(f"the gateway answered {answer[:200]!r}")
    finally:
        connection.close()


def connect(port):
    """As soon as it listens."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connection
        except OSError:
            if time.monotonic() > until:
                raise Trouble("the gateway does not listen") from None
            time.sleep(0.05)
