"""B9: a long log, from the first million events to the last."""

from __future__ import annotations

import sys
from typing import Iterator

from .measure import Measurement
from .peers import Peers
from .setting import Suite

TITLE = "A long log"
ABOUT = """\
`nightlatch simulate | nightlatch replay -` with all rules (`benches/suite/long_replay.py`): events a second and resident memory in the first,
the middle and the last twentieth of the log. The simulator runs beside it on the same processors."""

EVENTS = 100_000_000


def install(peers: Peers) -> None:
    peers.nightlatch()


def cases(suite: Suite) -> Iterator[list[Measurement]]:
    program = str(suite.root / "benches/suite/long_replay.py")
    events = suite.scaled(EVENTS)
    command = [sys.executable, program, suite.peers.nightlatch(), str(events)]
    yield [Measurement("nightlatch", f"{events}-events", command)]
