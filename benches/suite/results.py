"""What was measured: medians, ranges, checks of checksums, tables in Markdown."""

from __future__ import annotations

import re
from collections import defaultdict
from statistics import median

from .measure import Measurement, Outcome

BASE = "nightlatch"
# Told in columns of their own, or not a measure.
ASIDE = ("checksum", "rows", "peak_memory_bytes", "cpu_seconds")


class Results:
    """The values of one bench, by case, engine and metric."""

    def __init__(self, bench: str):
        self.bench = bench
        self.values: dict[tuple[str, str], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        self.problems: list[str] = []

    def add(self, measurement: Measurement, outcome: Outcome) -> None:
        for bench, case, engine, metric, value in outcome.lines:
            if bench == self.bench:
                self.values[case, engine][metric].append(value)
        if outcome.problem:
            self.problems.append(f"{measurement.case}: {measurement.engine} {outcome.problem}")
            return
        cost = self.values[measurement.case, measurement.engine]
        cost["peak_memory_bytes"].append(str(outcome.peak_memory_bytes))
        cost["cpu_seconds"].append(f"{outcome.cpu_seconds:.2f}")

    def disagreements(self) -> list[str]:
        """Cases in which not all runs of all engines came to the same checksum."""
        by_case: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        for (case, engine), metrics in self.values.items():
            for checksum in metrics.get("checksum", []):
                by_case[case][checksum].add(engine)
        return [
            f"{case}: the checksums differ: " + "; ".join(
                f"{', '.join(sorted(engines))}: {checksum}" for checksum, engines in checksums.items())
            for case, checksums in by_case.items() if len(checksums) > 1
        ]

    def table(self) -> str:
        lines = [
            "| case | engine | metric | median | range | Nightlatch leads by | peak memory, MB | CPU, s |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for (case, engine), metrics in self.values.items():
            for metric, values in metrics.items():
                if metric not in ASIDE:
                    cells = (case, engine, metric, *self._cells(case, engine, metric, values))
                    lines.append("| " + " | ".join(cells) + " |")
        return "\n".join(lines)

    def _cells(self, case: str, engine: str, metric: str, values: list[str]) -> tuple[str, ...]:
        numbers = [float(value) for value in values]
        metrics = self.values[case, engine]
        memory = [float(value) / 1e6 for value in metrics.get("peak_memory_bytes", [])]
        cpu = [float(value) for value in metrics.get("cpu_seconds", [])]
        return (
            readable(median(numbers)),
            f"{readable(min(numbers))} to {readable(max(numbers))}",
            self._lead(case, engine, metric),
            readable(median(memory)) if memory else "",
            readable(median(cpu)) if cpu else "",
        )

    def _lead(self, case: str, engine: str, metric: str) -> str:
        """How many times better Nightlatch is, on as many threads; below 1 it loses."""
        threads = re.search(r"-\d+-threads$", engine)
        bases = [BASE + threads.group() if threads else BASE, BASE]
        base = next((base for base in bases if metric in self.values.get((case, base), {})), None)
        if base is None or engine.startswith(BASE):
            return ""
        ours = median(map(float, self.values[case, base][metric]))
        theirs = median(map(float, self.values[case, engine][metric]))
        if not ours or not theirs:
            return ""
        lead = ours / theirs if metric.endswith("_per_second") else theirs / ours
        return f"{readable(lead)}x" if lead >= 1 else f"**loses: {readable(lead)}x**"


def readable(number: float) -> str:
    """Three significant digits."""
    if number == 0:
        return "0"
    digits = max(0, 2 - _exponent(number))
    rounded = round(number, 2 - _exponent(number))
    return f"{rounded:,.{digits}f}"


def _exponent(number: float) -> int:
    return int(f"{number:e}".split("e")[1])
