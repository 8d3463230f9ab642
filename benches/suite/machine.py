"""The machine and the versions of its tools, for the head of a report."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from datetime import datetime, timezone
from pathlib import Path


def describe(root: Path) -> list[tuple[str, str]]:
    """Names and values; a tool that is not there is left out."""
    facts = [
        ("time", datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")),
        ("Nightlatch", _commit(root)),
        ("processor", f"{os.cpu_count()} x {_field('/proc/cpuinfo', 'model name')}"),
        ("memory", f"{int(_field('/proc/meminfo', 'MemTotal').split()[0]) // 1024} MB"),
        ("kernel", f"{platform.system()} {platform.release()}"),
        ("load at the start", " ".join(f"{load:.2f}" for load in os.getloadavg())),
        ("python", platform.python_version()),
    ]
    for name, command in [("rustc", ["rustc", "--version"]), ("java", ["java", "-version"])]:
        if shutil.which(command[0]):
            facts.append((name, _first_line(command)))
    return facts


def warnings() -> list[str]:
    """What would make the figures of this run mean little."""
    load = os.getloadavg()[0]
    if load > 0.5:
        return [f"the machine is busy (load {load:.1f} on {os.cpu_count()} processors): figures will be too low"]
    return []


def _field(file: str, name: str) -> str:
    for line in Path(file).read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "0 (unknown)"


def _commit(root: Path) -> str:
    commit = _first_line(["git", "-C", str(root), "describe", "--always", "--dirty", "--tags"])
    return f"commit {commit}" if commit else "not in a git checkout"


def _first_line(command: list[str]) -> str:
    """Of what it prints, wherever it prints it."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = (done.stdout or done.stderr).strip().splitlines() if done.returncode == 0 else []
    return lines[0] if lines else ""
