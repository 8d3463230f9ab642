"""B8: rsigma's correlation rules."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import BinaryIO, Iterator

from .failure import Failure
from .measure import Measurement
from .peers import Peers, say, tool
from .setting import Suite

TITLE = "Rules over time beside rsigma"
ABOUT = """\
JSON Lines through two rules, in SQL and in Sigma (`benches/suite/b8`): ten failed logins of one account within ten minutes (`event_count`), and of ten accounts from one
address (`value_count`). `ring` is a simulated week of a service with attacks in it: one event in fifty is a failed login. `flood` is failed logins alone, 1,000 a second from 200
addresses on 100,000 accounts. The clock runs from the program's start to its last finding. A finding is a rule and the account or address that ever reached its threshold; the
findings of a case are equal. rsigma counts in whole seconds, so the times of the logs are whole seconds. Without `-2-threads` a process is bound to one processor: rsigma does
all in one thread, as its command line does; Nightlatch reads and decodes in one thread and detects in another. With two, rsigma parses and matches in two threads and counts in
one. Nightlatch also learns, groups alerts into incidents and keeps evidence, as `replay` always does."""

RING_EVENTS = 4_000_000
FLOOD_EVENTS = 400_000
SEED = 2019
FRACTION = re.compile(rb'^(\{"time":"[^".]{19})\.\d+Z"')


def install(peers: Peers) -> None:
    peers.nightlatch()
    peers.rust("rsigma_rules")
    tool("taskset", "apt-get install util-linux")


def cases(suite: Suite) -> Iterator[list[Measurement]]:
    for name, n_events, write in [("ring", RING_EVENTS, _write_ring), ("flood", FLOOD_EVENTS, _write_flood)]:
        n_events = suite.scaled(n_events)
        with _log(suite, name, n_events, write) as log:
            yield _measurements(suite, str(log), n_events, f"{name}-{n_events}")


def _measurements(suite: Suite, log: str, n_events: int, case: str) -> list[Measurement]:
    return [
        Measurement(name + label, case, [*bound, *command])
        for label, n_threads, bound in [("", 1, _one_processor()), ("-2-threads", 2, [])]
        for name, command in _commands(suite, log, n_events, case, n_threads)
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
def _log(suite: Suite, name: str, n_events: int, write) -> Iterator[Path]:
    """A log, removed afterwards."""
    file = suite.work / f"{name}.jsonl"
    say(f"Writing {n_events} events, {name}")
    with file.open("wb") as log:
        write(suite, n_events, log)
    try:
        yield file
    finally:
        file.unlink()


def _write_ring(suite: Suite, n_events: int, log: BinaryIO) -> None:
    command = [suite.peers.nightlatch(), "simulate", "--scenario", "ring-2019", "--seed", str(SEED),
               "--events", str(n_events)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as simulator:
        log.writelines(FRACTION.sub(rb'\1Z"', line, count=1) for line in simulator.stdout)
    if simulator.returncode != 0:
        raise Failure("nightlatch simulate failed", "see its message above")


def _write_flood(_: Suite, n_events: int, log: BinaryIO) -> None:
    chance = random.Random(SEED)
    start = datetime(2026, 1, 1, tzinfo=timezone.utc)
    for index in range(n_events):
        event = {
            "time": f"{start + timedelta(seconds=index // 1_000):%Y-%m-%dT%H:%M:%SZ}",
            "action": "login",
            "outcome": "failure",
            "reason": "bad_password",
            "account": f"user-{chance.randrange(100_000):06}@example.org",
            "ip": f"198.51.100.{chance.randrange(200)}",
            "user_agent": "VendorApp/5.2.1 (iPhone; iOS 19.1)",
            "event_id": f"flood-{index:09}",
            "source": "auth",
        }
        log.write(json.dumps(event, separators=(",", ":")).encode() + b"\n")
