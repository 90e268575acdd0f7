#!/usr/bin/env python3
"""Requests at the times of a Poisson process, whatever the answers (open loop): latency.py PORT PATH RATE SECONDS SEED.

Latency counts from the time at which a request was due, so that a gateway that stops for a while pays for all that
should have been sent meanwhile. h2load --rps counts from when it did send, and its connections are in step; so this is a
program of its own. What has no answer two seconds after the end counts with its age.
"""

import gc
import json
import random
import select
import socket
import sys
import time
from collections import deque

PATIENCE = 2
MOST = 500
"""Connections: select() knows 1,024 descriptors. What is due beyond them waits, and the wait counts."""


class Callers:
    """Kept connections, and one more where none is free."""

    def __init__(self, port, path):
        self.port = port
        self.request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
        self.free = [self.connect() for _ in range(32)]
        self.waiting = {}
        """Socket: when its request was due, and what came of its answer."""
        self.queue = deque()
        self.latencies = []

    def connect(self):
        """One more."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def send(self, due):
        """A request that was due then."""
        if not self.free and len(self.waiting) >= MOST:
            self.queue.append(due)
            return
        connection = self.free.pop() if self.free else self.connect()
        connection.sendall(self.request)
        self.waiting[connection] = [due, b""]

    def receive(self, seconds):
        """What comes in that time."""
        for connection in select.select(self.waiting, [], [], max(0.0, seconds))[0]:
            wait = self.waiting[connection]
            more = connection.recv(65536)
            wait[1] += more
            if not more or not wait[1].startswith(b"HTTP/1.1 200"):
                sys.exit(f"no answer but {wait[1][:100]!r}")
            if whole(wait[1]):
                self.latencies.append(time.perf_counter() - wait[0])
                del self.waiting[connection]
                self.free.append(connection)
                if self.queue:
                    self.send(self.queue.popleft())

    def give_up(self):
        """How many have no answer; they count with their age."""
        dues = [*(due for due, _ in self.waiting.values()), *self.queue]
        self.latencies += [time.perf_counter() - due for due in dues]
        return len(dues)


def whole(answer):
    """Whether nothing of it is missing."""
    head, end, body = answer.partition(b"\r\n\r\n")
    if not end:
        return False
    length = head.lower().split(b"content-length:")
    if len(length) < 2:
        sys.exit(f"an answer without its length: {head!r}")
    return len(body) >= int(length[1].split(b"\r\n")[0])


def load(callers, rate, seconds, chance):
    """How late each request was sent."""
    late = []
    begun = due = time.perf_counter()
    while (due := due + chance.expovariate(rate)) - begun < seconds:
        while (wait := due - time.perf_counter()) > 0:
            callers.receive(wait)
        callers.send(due)
        late.append(time.perf_counter() - due)
    until = time.perf_counter() + PATIENCE
    while callers.waiting and (left := until - time.perf_counter()) > 0:
        callers.receive(left)
    return late


def share(values, part):
    """A percentile, in microseconds."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] * 1e6


def main():
    """One round."""
    port, path, rate, seconds, seed = int(sys.argv[1]), sys.argv[2], *map(float, sys.argv[3:6])
    callers = Callers(port, path)
    # A collection would stop the load for milliseconds.
    gc.disable()
    late = load(callers, rate, seconds, random.Random(seed))
    answered, unanswered = len(callers.latencies), callers.give_up()
    found = {name: share(callers.latencies, part) for name, part in [("p50", 0.5), ("p99", 0.99), ("p999", 0.999)]}
    found |= {"requests": answered, "rps": answered / seconds, "late": share(late, 0.99), "unanswered": unanswered}
    print(json.dumps(found))


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        sys.exit(f"latency: {error}")
