"""B7: the time until state is back after a restart."""

from __future__ import annotations

from typing import Iterator

from .measure import Measurement
from .peers import Peers
from .setting import Suite

TITLE = "Restart"
ABOUT = """\
Ten million events in two lanes with their evidence are read back from a checkpoint, checksums and all hash tables included
(`benches/checkpoint.rs`)."""


def install(peers: Peers) -> None:
    peers.benchmark("checkpoint")


def cases(suite: Suite) -> Iterator[list[Measurement]]:
    yield [Measurement("nightlatch", "restore", [suite.peers.benchmark("checkpoint"), "--bench"])]
