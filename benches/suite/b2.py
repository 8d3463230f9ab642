"""B2: the same windows in a batch from Parquet."""

from __future__ import annotations

from typing import Iterator

from .measure import Measurement
from .setting import Suite

TITLE = "Batch from Parquet"
ABOUT = """\
The query of B1 over a Parquet file (uncompressed, row groups of 122,880 rows), which is made once from the raw rows before the clock starts. The clock runs from
opening the file to the sums of the three results. Checksums are equal within a case. With Zipf the hot key makes frames so long that some engines
need minutes for a million rows, so that case is short."""

# Name, keys, rows a second of event time, spread, rows.
SHAPES = [
    ("1k", 1_000, 1_000, "uniform", 5_000_000),
    ("100k", 100_000, 10_000, "uniform", 5_000_000),
    ("1M", 1_000_000, 20_000, "uniform", 5_000_000),
    ("100k", 100_000, 10_000, "zipf", 300_000),
]
THREADS = (1, 2)


def cases(suite: Suite) -> Iterator[list[Measurement]]:
    for shape, n_keys, rate, skew, n_rows in SHAPES:
        n_rows = suite.scaled(n_rows)
        case = f"{shape}-{skew}-{n_rows}"
        with suite.rows(n_rows, n_keys, rate, skew) as rows, suite.parquet(rows) as file:
            yield [
                measurement
                for n_threads in THREADS
                for measurement in _measurements(suite, case, str(file), str(n_threads))
            ]


def _measurements(suite: Suite, case: str, file: str, n_threads: str) -> list[Measurement]:
    label = "" if n_threads == "1" else f"-{n_threads}-threads"
    rows = suite.peers.benchmark("rows")
    own = [
        Measurement(engine + label, case, [rows, "--read", file, "--engine", engine, "--threads", n_threads,
                                           "--measure", "b2", "--case", case])
        for engine in ("nightlatch", "datafusion-batch")
    ]
    folder = suite.root / "benches/peers/python"
    peers = [
        # Polars reads the number of its threads once, when it is loaded.
        Measurement(engine + label, case,
                    [suite.peers.python(), str(folder / f"{engine}_windows.py"), file, case, engine + label, n_threads],
                    {"POLARS_MAX_THREADS": n_threads})
        for engine in ("duckdb", "chdb", "polars")
    ]
    return own + peers
