#!/usr/bin/env python3
"""The image without a container engine: the Dockerfile built by buildah, and the result run as a container would be.

    tests/packaging/image.py BINARY    `make prove-image`; BINARY takes the place of the stage that compiles

The base image is made of this machine's Debian packages, so nothing is asked of a registry of images. The built root is then
run by bubblewrap: as user 65532, read-only everywhere, without capabilities. At last the README's tour is run against it.
target/image keeps the base and the root without the binary from run to run. It works as root, by sudo if need be: a base
has files of many owners, and what another user's process may write is to be read.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
WORK = TARGET / "image"
BUILDAH = ["buildah", "--storage-driver", "vfs", "--root", str(WORK / "storage"), "--runroot", str(WORK / "run")]
BASE, WITHOUT_BINARY, IMAGE = "localhost/edgeway-base:1", "localhost/edgeway-root:1", "localhost/edgeway:proved"
PACKAGES = {"ca-certificates", "libc6", "libgcc-s1"}
REVISION = "0123456789ab"
PATIENCE = 60.0
# For one command: the slowest takes half a minute on two cores.
LONGEST = 600.0
SECRET = "prove-image-0123456789-0123456789-0123456789"  # noqa: S105: of this run alone

# Drain without the pause that a balancer needs; the rest is as short as a file can be. It is given as EDGEWAY_CONFIG.
IN_A_VARIABLE = """
server: { drain: { pause: 0s, deadline: 5s }, threads: 1 }
listeners: [{ address: "127.0.0.1:%d" }]
admin: { address: "127.0.0.1:%d" }
routes: [{ id: hello, match: { path: /hello }, auth: public, respond: { status: 200, body: "hello" } }]
"""


def say(text: str) -> None:
    print(f"image: {text}", flush=True)


def run(*command: object, **more: object) -> str:
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT, timeout=LONGEST, **more)
    except subprocess.TimeoutExpired as late:
        sys.exit(f"image: FAILED: {' '.join(words)}: not done after {LONGEST:.0f} s\n{late.stdout or b''}{late.stderr or b''}")
    if done.returncode != 0:
        sys.exit(f"image: FAILED: {' '.join(words)}\n{done.stdout}{done.stderr}")
    return done.stdout


def need(holds: object, what: str) -> None:
    if not holds:
        sys.exit(f"image: FAILED: {what}")


def base() -> None:
    """A Debian with apt, as the Dockerfile's own base image is one."""
    suite = run("sh", "-c", ". /etc/os-release; echo $VERSION_CODENAME").strip()
    archive = WORK / f"base-{suite}.tar"
    if not archive.exists():
        say(f"a base image out of packages of {suite}, once")
        # The option stays in the base, so the build's own downloads try again too.
        run("mmdebstrap", "--quiet", "--variant=apt", '--aptopt=Acquire::Retries "3"', suite, WORK / "draft.tar")
        (WORK / "draft.tar").rename(archive)
    if not run(*BUILDAH, "images", "--quiet", "--filter", f"reference={BASE}").strip():
        run(*BUILDAH, "bud", "--isolation", "chroot", "--quiet", "--tag", BASE, "--file", "-", WORK,
            input=f"FROM scratch\nADD {archive.name} /\n")  # fmt: skip


def built(binary: Path) -> Path:
    """The root of the image that the Dockerfile makes."""
    context = WORK / "context"
    shutil.rmtree(context, ignore_errors=True)
    (context / "out").mkdir(parents=True)
    shutil.copy2(binary, context / "out" / "edgeway")
    # Those of the last run, and of one that was interrupted.
    for container in run(*BUILDAH, "containers", "--quiet").split():
        run(*BUILDAH, "rm", container)
    bases = [f"--build-arg={name}={BASE}" for name in ("BUILD_BASE", "ROOT_BASE")]
    build = [*BUILDAH, "bud", "--isolation", "chroot", "--format", "docker", "--layers", *bases]
    # A name keeps it when the layers of former binaries go: each is a whole root, and a run would leave half a gigabyte.
    run(*build, "--target", "root", "--tag", WITHOUT_BINARY, ".")
    # The context is what a release pipeline gives too: `docker buildx build --build-context build=FOLDER`.
    run(*build, "--build-context", f"build={context}", f"--build-arg=REVISION={REVISION}", "--tag", IMAGE, ".")
    run(*BUILDAH, "rmi", "--prune")
    shutil.rmtree(context)
    look(json.loads(run(*BUILDAH, "inspect", "--type", "image", IMAGE)))
    container = run(*BUILDAH, "from", "--pull-never", IMAGE).strip()
    return Path(run(*BUILDAH, "mount", container).strip())


def look(about: dict) -> None:
    """What the image says about itself."""
    docker = about["Docker"]
    config = docker["config"]
    wanted = {
        "User": "65532:65532", "Entrypoint": ["/usr/bin/edgeway"], "Cmd": ["run"], "StopSignal": "SIGTERM",
        "ExposedPorts": {"8080/tcp": {}},
    }  # fmt: skip
    for key, value in wanted.items():
        need(config.get(key) == value, f"{key} of the image is {config.get(key)}, and should be {value}")
    need(config["Healthcheck"]["Test"] == ["CMD", "/usr/bin/edgeway", "health"], f"{config['Healthcheck']}")
    labels = config["Labels"]
    need(labels["org.opencontainers.image.revision"] == REVISION, f"{labels}")
    need(labels["org.opencontainers.image.licenses"] == "MIT", f"{labels}")
    say(f"user, entry point, signal, health check and {len(labels)} labels are right ({docker['architecture']})")


def contents(root: Path, binary: Path) -> None:
    """Small, nothing to run but the gateway, nothing that runs as somebody else."""
    files = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
    programs = [path.relative_to(root) for path in files if path.stat().st_mode & 0o111 and ".so" not in path.name]
    need(programs == [Path("usr/bin/edgeway")], f"programs in the image: {programs}")
    need(not [path for path in files if path.stat().st_mode & 0o6000], "files that run as their owner")
    authorities = (root / "etc/ssl/certs/ca-certificates.crt").read_text().count("BEGIN CERTIFICATE")
    need(authorities > 100, f"{authorities} authorities")
    packages = {path.name for path in (root / "var/lib/dpkg/status.d").iterdir()}
    need(packages == PACKAGES, f"packages in the image: {packages}")
    need((root / "etc/edgeway/edgeway.yaml").read_bytes() == (ROOT / "conf/edgeway.yaml").read_bytes(), "another file")
    size = sum(path.stat().st_size for path in files)
    own = binary.stat().st_size
    need(size - own < 16 << 20, f"{(size - own) >> 20} MiB without the binary")
    say(f"{size / 2**20:.1f} MiB: the binary {own / 2**20:.1f}, the rest {(size - own) / 2**20:.1f}; "
        f"{', '.join(sorted(packages))}; {authorities} authorities")


def boxed(root: Path) -> list[str]:
    """The command that runs what follows in the root, as a container engine with the strictest settings does.

    Its folders are put into an empty root, which `--remount-ro /` closes. Until then more can be put there, below /tmp too.
    """
    own = ("proc", "dev", "tmp")
    parts = [word for name in sorted(os.listdir(root)) if name not in own
             for word in (("--symlink", os.readlink(root / name), f"/{name}") if (root / name).is_symlink()
                          else ("--ro-bind", str(root / name), f"/{name}"))]  # fmt: skip
    return ["bwrap", *parts, "--dir", "/tmp", "--proc", "/proc", "--dev", "/dev", "--unshare-user", "--uid", "65532", "--gid", "65532",
            "--unshare-pid", "--unshare-ipc", "--cap-drop", "ALL", "--die-with-parent"]  # fmt: skip


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def asked(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def within_patience(what: str, done: object) -> None:
    end = time.monotonic() + PATIENCE
    while not done():
        need(time.monotonic() < end, f"{what}: not within {PATIENCE:.0f} s")
        time.sleep(0.05)


@contextlib.contextmanager
def container(box: list[str], variables: dict[str, str]):
    """The image's own command in the box. Its stderr goes to a file, which is said where something is wrong."""
    errors = WORK / "stderr"
    with errors.open("w") as stderr:
        process = subprocess.Popen([*box, "--remount-ro", "/", "/usr/bin/edgeway", "run"], env=variables,
                                   stdout=subprocess.DEVNULL, stderr=stderr)  # fmt: skip
        try:
            yield process, errors
        finally:
            process.kill()
            process.wait()


def child(process: subprocess.Popen) -> int:
    """The gateway's id out here: bwrap has an init, which has the gateway."""
    pid = process.pid
    while True:
        below = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if not below:
            return pid
        pid = int(below[0])


def health(box: list[str], variables: dict[str, str]) -> int:
    command = [*box, "--remount-ro", "/", "/usr/bin/edgeway", "health"]
    return subprocess.run(command, env=variables, capture_output=True, check=False).returncode


def serves_its_own_file(box: list[str]) -> None:
    """With a secret alone, as on ECS: the file of the image, no Redis, no services."""
    port, admin = free_port(), free_port()
    variables = {"JWT_SECRET_KEY": SECRET, "PORT": str(port), "ADMIN_ADDRESS": f"127.0.0.1:{admin}", "ENVIRONMENT": "production"}
    need(health(box, variables) == 1, "nobody serves, and the health check is content")
    with container(box, variables) as (process, errors):
        within_patience("ready", lambda: asked(f"http://127.0.0.1:{port}/health/ready")[0] == 200 or process.poll() is not None)
        need(process.poll() is None, errors.read_text())
        need(health(box, variables) == 0, "it is ready, and the health check is not content")
        status, page = asked(f"http://127.0.0.1:{port}/")
        need((status, json.loads(page)["name"]) == (200, "TS Portal API Gateway"), f"{status} {page}")
        mounts = [line.split() for line in Path(f"/proc/{child(process)}/mountinfo").read_text().splitlines()]
        writable = [fields[4] for fields in mounts if "rw" in fields[5].split(",") and not fields[4].startswith(("/proc", "/dev"))]
        need(not writable, f"it could write to {writable}")
        said = errors.read_text()
        need("edgeway-65532: Read-only file system" in said, f"it is not 65532, or it can write:\n{said}")
    say("as 65532 on a read-only root, /tmp too: ready, and its health check says so")


def leaves_when_it_is_told(box: list[str]) -> None:
    """With its configuration in a variable, as where there are no files. The signal goes to the process itself."""
    port, admin = free_port(), free_port()
    variables = {"EDGEWAY_CONFIG": IN_A_VARIABLE % (port, admin)}
    with container(box, variables) as (process, errors):
        within_patience("serves", lambda: asked(f"http://127.0.0.1:{port}/hello") == (200, "hello") or process.poll() is not None)
        need(process.poll() is None, errors.read_text())
        os.kill(child(process), signal.SIGTERM)
        code = process.wait(PATIENCE)
        need(code == 0, f"after SIGTERM: exit {code}\n{errors.read_text()}")
    say("its configuration in EDGEWAY_CONFIG: serves, and leaves at SIGTERM with exit 0")


def refuses_a_bad_start(box: list[str]) -> None:
    command = [*box, "--remount-ro", "/", "/usr/bin/edgeway", "run"]
    done = subprocess.run(command, env={}, capture_output=True, text=True, check=False)
    need(done.returncode == 78 and "JWT_SECRET_KEY" in done.stderr, f"without a secret: exit {done.returncode}\n{done.stderr}")
    say("without JWT_SECRET_KEY: exit 78, and says why")


def tour(box: list[str]) -> None:
    """The README's tour, by the test that runs it against any binary. What it is given lies in folders of its own."""
    wrapper = WORK / "edgeway"
    words = " ".join(f"'{word}'" for word in box)
    wrapper.write_text(f"""#!/bin/sh
# {IMAGE} as a program: where it is called and conf/ are there too, to be read.
exec {words} --ro-bind "$PWD" "$PWD" --ro-bind '{ROOT}/conf' '{ROOT}/conf' --chdir "$PWD" --remount-ro / /usr/bin/edgeway "$@"
""")
    wrapper.chmod(0o755)
    environment = os.environ | {"EDGEWAY_BINARY": str(wrapper)}
    said = run("cargo", "test", "--quiet", "--test", "it", "tour::", env=environment)
    need(" passed; 0 failed" in said and " 0 passed" not in said, said)
    say(f"the README's tour: {said.strip().splitlines()[-1]}")


def main() -> None:
    need(len(sys.argv) == 2, "usage: tests/packaging/image.py BINARY")
    binary = Path(sys.argv[1]).resolve()
    need(binary.exists(), f"there is no {binary}; cargo build makes it")
    if os.geteuid() != 0:
        need(shutil.which("sudo"), "only root can make a root of files of many owners, and there is no sudo")
        # The toolchain and the folder of cargo's results are those of whoever called.
        os.execvp("sudo", ["sudo", "-n", "-E", "env", f"PATH={os.environ['PATH']}", sys.executable, *sys.argv])
    began = time.monotonic()
    WORK.mkdir(parents=True, exist_ok=True)
    alone = (WORK / "lock").open("w")
    fcntl.flock(alone, fcntl.LOCK_EX)
    base()
    root = built(binary)
    contents(root, binary)
    box = boxed(root)
    refuses_a_bad_start(box)
    serves_its_own_file(box)
    leaves_when_it_is_told(box)
    tour(box)
    say(f"proved in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
