"""What a connection costs that has had its answer and waits: resident memory of the gateway."""

import resource
import socket
import time

from processes import Trouble

BEFORE = 200
"""Connections that are there before it counts: pools and the first pages of the heap are not theirs."""

PATIENCE = 5


def memory(run, server):
    """KiB of each connection."""
    room(run.work.idle + BEFORE)
    connections = []
    try:
        opened(run, BEFORE, connections)
        before = settled(server)
        opened(run, run.work.idle, connections)
        return (settled(server) - before) * 1024 / run.work.idle
    except OSError as error:
        raise Trouble(f"connection {len(connections)}: {error}") from None
    finally:
        for connection in connections:
            connection.close()


def room(number):
    """As many descriptors as this process may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < number + 100:
        raise Trouble(f"{number} connections need as many file descriptors, and this process may have {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, number + 100)), hard))


def opened(run, number, connections):
    """So many more, each after one request."""
    request = f"GET {run.work.path} HTTP/1.1\r\nHost: 127.0.0.1:{run.port}\r\n\r\n".encode()
    for _ in range(number):
        connection = socket.create_connection(("127.0.0.1", run.port), timeout=PATIENCE)
        connections.append(connection)
        connection.sendall(request)
        answer = b""
        while not answer.endswith(b'"}'):
            more = connection.recv(65536)
            answer += more
            if not more or not answer.startswith(b"HTTP/1.1 200"):
                raise Trouble(f"connection {len(connections)} was answered {answer[:100]!r}")


def settled(server):
    """MiB, when it has stood still for half a second."""
    last = server.resident()
    for _ in range(10):
        time.sleep(0.5)
        now = server.resident()
        if abs(now - last) < 0.1:
            return now
        last = now
    return last
