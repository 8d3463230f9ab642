"""B8: rsigma's correlation rules."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

from .failure import Failure
from .measure import Measurement
from .peers import Peers, say
from .setting import Suite

TITLE = "Rules over time beside rsigma"
ABOUT = """\
A log of JSON Lines (`nightlatch simulate`, a week of a service with attacks in it, one event in fifty a failed login) through two rules, in SQL and in Sigma
(`benches/suite/b8`): ten failed logins of one account within ten minutes (`event_count`), and of ten accounts from one address (`value_count`). The clock runs from the
program's start to its last finding. A finding is a rule and the account or address that ever reached its threshold; the findings of a case are equal. rsigma counts in
whole seconds, so the times of the log are whole seconds. Without `-2-threads` a process is bound to one processor: rsigma does all in one thread, as its command line does,
Nightlatch reads and decodes in one thread and detects in another. With two, rsigma parses and matches in two threads and counts in one."""

EVENTS = 4_000_000
SEED = "2019"
FRACTION = re.compile(rb'^(\{"time":"[^".]{19})\.\d+Z"')


def install(peers: Peers) -> None:
    peers.nightlatch()
    peers.rust("rsigma_rules")


def cases(suite: Suite) -> Iterator[list[Measurement]]:
    n_events = suite.scaled(EVENTS)
    case = f"ring-{n_events}"
    with _log(suite, n_events) as log:
        yield [
            Measurement(name + label, case, [*bound, *command])
            for label, n_threads, bound in [("", 1, _one_processor()), ("-2-threads", 2, [])]
            for name, command in _commands(suite, str(log), n_events, case, n_threads)
        ]


def _commands(suite: Suite, log: str, n_events: int, case: str, n_threads: int) -> list[tuple[str, list[str]]]:
    rules = suite.root / "benches/suite/b8"
    engine = "nightlatch" if n_threads == 1 else f"nightlatch-{n_threads}-threads"
    own = [sys.executable, str(rules / "replay.py"), suite.peers.nightlatch(), log, str(n_events), case, engine]
    peer = [suite.peers.rust("rsigma_rules"), "--read", log, "--rules", str(rules / "sigma.yml"),
            "--case", case, "--threads", str(n_threads)]
    return [("nightlatch", own), ("rsigma", peer)]


def _one_processor() -> list[str]:
    return ["taskset", "--cpu-list", str(min(os.sched_getaffinity(0)))]


@contextmanager
def _log(suite: Suite, n_events: int) -> Iterator[Path]:
    """A simulated log with times in whole seconds, removed afterwards."""
    file = suite.work / "ring.jsonl"
    say(f"Writing {n_events} events of the scenario ring-2019")
    command = [suite.peers.nightlatch(), "simulate", "--scenario", "ring-2019", "--seed", SEED, "--events", str(n_events)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as simulator, file.open("wb") as log:
        log.writelines(FRACTION.sub(rb'\1Z"', line, count=1) for line in simulator.stdout)
    if simulator.returncode != 0:
        raise Failure("nightlatch simulate failed", "see its message above")
    try:
        yield file
    finally:
        file.unlink()
