"""Processes on chosen cores and free ports of loopback, and what the kernel says they cost."""

import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

TICK = 1_000_000 / os.sysconf("SC_CLK_TCK")
"""One tick of /proc/PID/stat, in microseconds."""

PATIENCE = 20
"""Seconds a server may take to listen, and to end."""


class Trouble(Exception):
    """A sentence for whoever runs the bench."""


def free_ports(count):
    """Ports that nobody listens on now; all different."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def cores():
    """Two cores of those this process may use: the gateway's, and the one for load and services."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[1 % len(allowed)]


def on_core(core, command):
    """A command that stays on one core."""
    return ["taskset", "-c", str(core), *map(str, command)] if shutil.which("taskset") else list(map(str, command))


class Server:
    """A server that this program started, and ends."""

    def __init__(self, name, command, core, folder, environment=None):
        self.name = name
        self.output = Path(folder) / f"{name}.out"
        self.errors = Path(folder) / f"{name}.err"
        with open(self.output, "ab") as output, open(self.errors, "ab") as errors:
            self.process = subprocess.Popen(
                on_core(core, command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                cwd=folder,
                env={**os.environ, **(environment or {})},
                start_new_session=True,  # Ctrl-C ends the bench, which then ends the servers one by one.
            )

    def wait_for(self, port):
        """Wait until it listens."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise Trouble(f"{self.name} ended at its start: {self.last_words()}")
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return self
            except OSError:
                time.sleep(0.02)
        raise Trouble(f"{self.name} does not listen: {self.last_words()}")

    def last_words(self):
        """The end of what it said."""
        text = self.errors.read_text(errors="replace") + self.output.read_text(errors="replace")
        return " / ".join(text.strip().splitlines()[-3:])

    def cpu(self):
        """Microseconds of CPU of all its threads, in user and kernel mode, since it began."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) * TICK

    def resident(self):
        """Resident memory, in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024

    def forget_output(self):
        """Lines of the access log are not kept between rounds."""
        os.truncate(self.output, 0)

    def end(self):
        """End it by its own process id."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                # A gateway may drain, and nothing is in flight any more.
                self.process.wait(timeout=2)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Servers:
    """All of them, ended in any case."""

    def __init__(self):
        self.running = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for server in reversed(self.running):
            server.end()

    def start(self, *arguments, port, **more):
        """Start one and wait until it listens."""
        server = Server(*arguments, **more)
        self.running.append(server)
        return server.wait_for(port)

    def end(self, server):
        """End one of them."""
        server.end()
        self.running.remove(server)


def load(core, address, seconds, connections, headers):
    """A round of wrk: requests, requests per second, the 99th percentile as wrk writes it."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
    for header in headers:
        command += ["-H", header]
    done = subprocess.run(on_core(core, [*command, address]), capture_output=True, text=True, timeout=seconds + 30)
    requests = re.search(r"(\d+) requests in", done.stdout)
    if done.returncode or not requests or not int(requests.group(1)):
        raise Trouble(f"wrk: {done.stderr.strip() or done.stdout.strip()}")
    for complaint in ("Non-2xx", "Socket errors"):
        if complaint in done.stdout:
            raise Trouble("wrk: " + next(line.strip() for line in done.stdout.splitlines() if complaint in line))
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", done.stdout).group(1))
    slow = re.search(r"99%\s+(\S+)", done.stdout)
    return int(requests.group(1)), rate, slow.group(1) if slow else "?"
