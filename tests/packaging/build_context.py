"""The Dockerfile's steps without a container engine: what each COPY brings, and what the RUN after it finds of that.

The stages are put together in a folder of their own out of what .dockerignore lets through. Nothing is compiled: where a step
calls cargo, `cargo fetch` reads the manifest and its lock with the files that are there (`cargo metadata` would overlook a
target without a file).
"""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from image_file import stages
from tools import ROOT, need, run, tracked

FETCH = "fetch --locked --quiet --target x86_64-unknown-linux-gnu"
# In place of what would compile or install. `dpkg` makes amd64 this machine's own, so arm64 is cross-compiled.
STAND_INS = {
    "cargo": f'echo "$*" >>"$CALLS"; exec "$CARGO" {FETCH}',
    "rustup": "exit 0",
    "dpkg": "echo amd64",
}
INCLUDED = re.compile(r'include_(?:str|bytes)!\(\s*"([^"]+)"')


def pattern(line: str) -> re.Pattern[str]:
    """A line of .dockerignore, which begins at the root of the context whether it says so or not."""
    parts = re.split(r"(\*\*/|\*)", line.removeprefix("!").strip("/"))
    kinds = {"**/": "(?:.*/)?", "*": "[^/]*"}
    return re.compile("".join(kinds.get(part) or re.escape(part) for part in parts) + "(?:/.*)?")


@functools.cache
def context() -> list[str]:
    """The files that a builder gets: the last line that names one decides."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    rules = [(pattern(line), line.startswith("!")) for line in lines]

    def kept(path: str) -> bool:
        return next((again for rule, again in reversed(rules) if rule.fullmatch(path)), True)

    return [path for path in tracked(".") if kept(path)]


def copied(words: list[str], work: Path, root: Path) -> None:
    """COPY of files and folders of the context into a stage."""
    *sources, place = words
    folder = work / place if not place.startswith("/") else root / place.lstrip("/")
    for source in sources:
        files = [path for path in context() if source == "." or path == source or path.startswith(f"{source.rstrip('/')}/")]
        need(files, f"COPY {source}: there is no such file, or .dockerignore keeps it away")
        for path in files:
            if path != source:
                into = folder / (path if source == "." else os.path.relpath(path, source))
            else:
                into = folder / Path(path).name if place.endswith(("/", ".")) else folder
            into.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / path, into, follow_symlinks=False)


def dependencies(script: str, work: Path) -> None:
    """The layer of dependencies, for a machine of one's own kind and for the other."""
    cargo = shutil.which("cargo")
    need(cargo, "there is no cargo")
    with tempfile.TemporaryDirectory() as folder:
        for name, text in STAND_INS.items():
            (Path(folder) / name).write_text(f"#!/bin/sh\n{text}\n")
            (Path(folder) / name).chmod(0o755)
        calls = Path(folder) / "calls"
        variables = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}", "CARGO": cargo, "CALLS": str(calls)}
        for arch in ("amd64", "arm64"):
            done = subprocess.run([script, "dependencies", arch], cwd=work, env=variables,
                                  capture_output=True, text=True, check=False)  # fmt: skip
            need(done.returncode == 0, f"{script} dependencies {arch}: {done.stderr}")
        built = "build --locked --profile release --bin edgeway"
        wanted = [built, f"{built} --target aarch64-unknown-linux-gnu"]
        need(calls.read_text().splitlines() == wanted, f"cargo was called with {calls.read_text()}")
    need(not (work / "src").exists(), "what stood in for the code is still there")


def whole(work: Path) -> str:
    """What the last step of the compiling stage has: every file that cargo, the code and `make release` name."""
    run("cargo", *FETCH.split(), cwd=work)
    found = json.loads(run("cargo", "metadata", "--format-version", "1", "--no-deps", cwd=work))
    targets = [target["src_path"] for target in found["packages"][0]["targets"]]
    missing = [path for path in targets if not Path(path).exists()]
    need(not missing, f"Cargo.toml names {missing}")
    included = [(file, name) for file in sorted((work / "src").rglob("*.rs")) for name in INCLUDED.findall(file.read_text())]
    need(len(included) > 5, f"only {included}")
    for file, name in included:
        need((file.parent / name).exists(), f"{file.relative_to(work)} includes {name}, which .dockerignore keeps away")
    recipe = run("make", "--dry-run", "--no-print-directory", "release", cwd=work)
    for name in set(re.findall(r"(?:scripts|benches)/[\w./-]+", recipe + (work / "scripts" / "release.sh").read_text())):
        need((work / name).exists(), f"make release calls {name}, which is not there")
    return f"{len(targets)} targets, {len(included)} included files"


def every_step_has_its_files() -> str:
    names, said = set(), ""
    with tempfile.TemporaryDirectory() as folder:
        for number, stage in enumerate(stages()[1:]):
            root = work = Path(folder) / str(number)
            for word, rest in stage:
                if word == "WORKDIR":
                    work = root / rest.lstrip("/")
                    work.mkdir(parents=True)
                elif word == "COPY" and rest.startswith("--from="):
                    need(rest.split()[0].removeprefix("--from=") in names, f"COPY {rest}: there is no such stage before it")
                elif word == "COPY":
                    copied(rest.split(), work, root)
                elif word == "RUN":
                    scripts = re.findall(r"(?:\./|scripts/)[\w.-]+", rest)
                    need(scripts, f"RUN {rest} calls no script of ours")
                    for script in scripts:
                        need(os.access(work / script, os.X_OK), f"RUN {rest}: there is no {script} to run by then")
                    if " dependencies " in rest:
                        dependencies(scripts[0], work)
            name = re.search(r" AS (\w+)$", stage[0][1])
            names |= {name[1]} if name else set()
            if name and name[1] == "build":
                said = whole(work)
    need(said, "no stage is called build")
    return f"{len(context())} files of the context, {said}"
