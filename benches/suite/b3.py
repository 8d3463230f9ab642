"""B3: JSON to columns."""

from __future__ import annotations

from typing import Iterator

from .measure import Measurement
from .peers import Peers
from .setting import Suite

TITLE = "JSON to columns"
ABOUT = """\
8,192 events in memory, of 320 bytes (11 fields, `small`) or 1.2 kB (26 fields, `big`; `benches/workload/json.rs`), by one thread, the best pass of a second. `nightlatch` and
`arrow-json` make Arrow columns of all fields; Nightlatch also checks limits and duplicate fields, fills in defaults, and notes place and hash of each record. `*-columns` appends
what the library reads to plain columns of bytes, offsets and numbers; `*-struct` only reads it into borrowed values, which no batch can keep. Times are
read to microseconds by all. simd-json writes into its input, so each record is copied first. The libraries are built for this very processor (`target-cpu=native`), as they ask for,
with mimalloc; Nightlatch is built as it is released. Checksums (bytes of text, sums of times and numbers) are equal within a case."""

CASES = ("small", "big")
OWN = ("nightlatch", "arrow-json")
LIBRARIES = ("sonic-rs", "simd-json", "serde_json")


def install(peers: Peers) -> None:
    peers.benchmark("json_columns")
    peers.rust("json_libraries")


def cases(suite: Suite) -> Iterator[list[Measurement]]:
    own = suite.peers.benchmark("json_columns")
    peers = suite.peers.rust("json_libraries")
    libraries = [f"{library}-{kind}" for kind in ("columns", "struct") for library in LIBRARIES]
    for case in CASES:
        yield [
            Measurement(engine, case, [program, "--engine", engine, "--case", case])
            for program, engines in ((own, OWN), (peers, libraries))
            for engine in engines
        ]
