"""B1: the window core, streaming."""

from __future__ import annotations

from typing import Iterator

from .measure import Measurement
from .peers import Peers
from .setting import Suite

TITLE = "Window core, streaming"
ABOUT = """\
For each row, of its key and the five minutes before it: `count(*)`, `sum(failed)`, `count(DISTINCT value)`; rows in the order of their time, already
in memory (Flink: in a mapped file). A case is the number of keys, how they are spread, and the number of rows: slow engines get the first rows of the
same file, and Nightlatch gets those alone too, beside all of them. On few rows the window never fills, which spares the slow engines work. Checksums are
equal within a case. dbsp merges its batches in threads of its own beside its one worker. Flink reads the rows by a thread of its own; a job that warms the JVM up goes before, and is in its CPU time and memory but not in its
rate; its heap may grow to 6 GB."""

# Name, keys, rows a second of event time.
SHAPES = [("1k", 1_000, 1_000), ("100k", 100_000, 10_000), ("1M", 1_000_000, 20_000), ("5M", 5_000_000, 100_000)]

# Rows that an engine does in 10 to 20 seconds on two cores, by shape.
ALL = {"1k": 40_000_000, "100k": 40_000_000, "1M": 20_000_000, "5M": 40_000_000}
MANY = {"1k": 1_000_000, "100k": 1_000_000, "1M": 1_000_000, "5M": 1_000_000}
FEW = {"1k": 300_000, "100k": 300_000, "1M": 200_000, "5M": 200_000}
# Flink reads all rows of a key's frame for each row. With Zipf one key has an eighth of them.
MANY_ZIPF = 100_000
FEW_ZIPF = 50_000


def install(peers: Peers) -> None:
    peers.benchmark("rows")
    peers.rust("dbsp_windows")
    peers.flink("OverWindows")


def cases(suite: Suite) -> Iterator[list[Measurement]]:
    for shape, n_keys, rate in SHAPES:
        for skew in ("uniform", "zipf"):
            with suite.rows(suite.scaled(ALL[shape]), n_keys, rate, skew) as file:
                for n_rows, engines in _engines(shape, skew).items():
                    n_rows = suite.scaled(n_rows)
                    case = f"{shape}-{skew}-{n_rows}"
                    yield [_measurement(suite, engine, case, str(file), n_rows) for engine in engines]


def _engines(shape: str, skew: str) -> dict[int, list[str]]:
    """Engines by number of rows, Nightlatch first in each."""
    is_uniform = skew == "uniform"
    wanted = [
        (ALL[shape], "nightlatch-2-threads"),
        (MANY[shape], "dbsp"),
        (MANY[shape] if is_uniform else MANY_ZIPF, "flink-heap"),
        (FEW[shape] if is_uniform else FEW_ZIPF, "flink-rocksdb"),
        (MANY[shape] if shape == "1k" else FEW[shape], "datafusion-streaming"),
    ]
    if shape == "100k" and is_uniform:
        wanted += [(MANY[shape], "flink-heap-2-threads"), (FEW[shape], "flink-rocksdb-2-threads")]
    engines: dict[int, list[str]] = {}
    for n_rows, engine in wanted:
        engines.setdefault(n_rows, ["nightlatch"]).append(engine)
    return engines


def _measurement(suite: Suite, engine: str, case: str, file: str, n_rows: int) -> Measurement:
    name = engine.removesuffix("-2-threads")
    n_threads = "1" if name == engine else "2"
    if name.startswith("flink-"):
        backend = {"flink-heap": "hashmap", "flink-rocksdb": "rocksdb"}[name]
        state = suite.work / "flink-state"
        state.mkdir(exist_ok=True)
        command = [*suite.peers.flink("OverWindows"), file, str(n_rows), case, engine, backend, n_threads, str(state)]
    elif name == "dbsp":
        command = [suite.peers.rust("dbsp_windows"), "--read", file, "--rows", str(n_rows), "--case", case]
    else:
        command = [suite.peers.benchmark("rows"), "--read", file, "--rows", str(n_rows), "--engine", name,
                   "--threads", n_threads, "--measure", "b1", "--case", case]
    return Measurement(engine, case, command)
