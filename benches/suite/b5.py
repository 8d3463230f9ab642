"""B5: how things slow down as they grow."""

from __future__ import annotations

from typing import Iterator

from .measure import Measurement
from .peers import Peers
from .setting import Suite

TITLE = "Growth"
ABOUT = """\
The window core alone (`benches/growth.rs`): keys, rows in a frame, windows of a lane, one key with half of the traffic. Then the whole of
`replay` without output (`benches/pack.rs`) with 0, 1, 10, 20 and all rules of the pack on simulated events of the city. Nightlatch only: B1
has the peers at several numbers of keys."""

PACK_EVENTS = 3_000_000


def install(peers: Peers) -> None:
    peers.benchmark("growth")
    peers.benchmark("pack")


def cases(suite: Suite) -> Iterator[list[Measurement]]:
    yield [Measurement("nightlatch", "window core", [suite.peers.benchmark("growth")])]
    events = {"NIGHTLATCH_BENCH_EVENTS": str(suite.scaled(PACK_EVENTS))}
    yield [Measurement("nightlatch", "rules", [suite.peers.benchmark("pack")], events)]
