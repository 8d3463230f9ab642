"""B6: memory of the windows."""

from __future__ import annotations

from typing import Iterator

from .measure import Measurement
from .peers import Peers
from .setting import Suite

TITLE = "Memory"
ABOUT = """\
A rule with a window of an hour over 3.7 million events (`benches/memory.rs`): what the process holds more than before, what `rules explain`
predicts, what each lane says of itself, and what is left when the window has passed."""

ACCOUNTS = ("1000", "100000", "1000000")


def install(peers: Peers) -> None:
    peers.benchmark("memory")


def cases(suite: Suite) -> Iterator[list[Measurement]]:
    program = suite.peers.benchmark("memory")
    for accounts in ACCOUNTS:
        yield [Measurement("nightlatch", f"{accounts}-accounts", [program, "--accounts", accounts])]
