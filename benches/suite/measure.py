"""A measurement: one process, the lines that it prints, what it cost."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

# Longer than any engine needs for its share of the rows on a slow machine.
SECONDS_MAX = 5_400

LINE = re.compile(r"^(b\d+)\t([^\t]+)\t([^\t]+)\t([a-z0-9_.]+)\t([^\t]+)$")


@dataclass(frozen=True)
class Measurement:
    """A command that prints lines `bench case engine metric value`, tab-separated."""

    engine: str
    case: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What came of a process; `problem` is None when it did what it should."""

    lines: list[tuple[str, str, str, str, str]]
    seconds: float
    cpu_seconds: float
    peak_memory_bytes: int
    problem: str | None


def run(measurement: Measurement, log: Path) -> Outcome:
    """Runs it, with everything that it prints in the log."""
    started = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            measurement.command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **measurement.environment},
            start_new_session=True,
        )
        status, usage, is_late = _wait(process)
    lines = read_lines(log)
    return Outcome(
        lines=lines,
        seconds=time.monotonic() - started,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        peak_memory_bytes=usage.ru_maxrss * 1024,
        problem=_problem(status, is_late, lines),
    )


def _wait(process: subprocess.Popen) -> tuple[int, object, bool]:
    """Exit status, what it used (its children that it waited for included), whether it took too long."""
    late = threading.Event()

    def end() -> None:
        late.set()
        os.killpg(process.pid, signal.SIGKILL)

    timer = threading.Timer(SECONDS_MAX, end)
    timer.start()
    try:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    finally:
        timer.cancel()
    return process.returncode, usage, late.is_set()


def _problem(status: int, is_late: bool, lines: list) -> str | None:
    if is_late:
        return f"did not end within {SECONDS_MAX // 60} minutes"
    if status < 0:
        return f"was ended by signal {-status}"
    if status > 0:
        return f"ended with exit code {status}"
    return None if lines else "printed no result"


def last_lines(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(f"  | {line}" for line in lines[-10:])


def read_lines(log: Path) -> list[tuple[str, str, str, str, str]]:
    """The lines of results; all others are log."""
    text = log.read_text(encoding="utf-8", errors="replace")
    matches = (LINE.match(line) for line in text.splitlines())
    return [match.groups() for match in matches if match]
