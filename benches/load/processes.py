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
            self.must_run()
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

    def must_run(self):
        """Raise its last words where it has ended by itself."""
        if self.process.poll() is not None:
            raise Trouble(f"{self.name} ended: {self.last_words()}")

    def cpu(self):
        """Microseconds of CPU of all its threads and children, in user and kernel mode, since it began."""
        # Its own, and those of children that have ended.
        return sum(sum(map(int, stat(pid)[11:15])) for pid in family(self.process.pid)) * TICK

    def waited(self):
        """By thread, the seconds for which it could have run, and others had the core. Not every kernel tells."""
        found = {}
        for file in Path("/proc").glob(f"{self.process.pid}/task/*/schedstat"):
            try:
                found[file.parent.name] = int(file.read_text().split()[1]) / 1e9
            except OSError:
                # A thread that has just ended.
                continue
        return found

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


def stat(pid):
    """The fields of /proc/PID/stat from the third on."""
    return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()


def family(pid):
    """A process and those that it started, and those started."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            children = (task / "children").read_text().split()
        except OSError:
            # A thread that has just ended, or a kernel that does not tell.
            continue
        for child in children:
            found += family(int(child))
    return found


class Servers:
    """All of them, ended in any case."""

    def __init__(self):
        self.running = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for server in reversed(self.running):
            server.end()

    def begin(self, *arguments):
        """Start one."""
        self.running.append(Server(*arguments))
        return self.running[-1]

    def end(self, server):
        """End one of them."""
        server.end()
        self.running.remove(server)


def first_line(command, lines=1):
    """The first line that a command says of itself, or the first few."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True, timeout=PATIENCE)
    return "\n".join((done.stdout or done.stderr).strip().splitlines()[:lines])
