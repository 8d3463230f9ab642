"""What a bench may use: the peers, the scale, a folder for its inputs."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator

from .failure import Failure
from .peers import Peers, say

ROWS_MIN = 1_000


@dataclass(frozen=True)
class Suite:
    # The repository.
    root: Path
    # Inputs, and what engines write; gone after the run.
    work: Path
    peers: Peers
    scale: float

    def scaled(self, count: int) -> int:
        return max(ROWS_MIN, round(count * self.scale))

    @contextmanager
    def rows(self, n_rows: int, n_keys: int, rate: int, skew: str) -> Iterator[Path]:
        """A file of raw rows for B1 and B2 (benches/README.md), removed afterwards."""
        file = self.work / f"{n_keys}-{skew}.rows"
        say(f"Writing {n_rows} rows of {n_keys} keys, {skew}")
        run([self.peers.benchmark("rows"), "--write", str(file), "--rows", str(n_rows),
             "--keys", str(n_keys), "--rate", str(rate), "--skew", skew])
        try:
            yield file
        finally:
            file.unlink()

    @contextmanager
    def parquet(self, rows: Path) -> Iterator[Path]:
        """The same rows as Parquet, removed afterwards."""
        file = rows.with_suffix(".parquet")
        program = self.root / "benches/peers/python/write_parquet.py"
        run([self.peers.python(), str(program), str(rows), str(file)])
        try:
            yield file
        finally:
            file.unlink()


def run(command: list[str]) -> None:
    """Makes an input."""
    if subprocess.run(command, stdout=sys.stderr, check=False).returncode != 0:
        raise Failure(f"an input could not be made: {' '.join(command)}", "see the message above")
