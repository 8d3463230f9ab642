#!/usr/bin/env python3
"""`nightlatch replay` over a log with the rules of this folder: events a second, and its findings.

replay.py PROGRAM LOG EVENTS CASE ENGINE

A finding is a rule and an entity that an alert speaks of. The findings are printed, sorted; the checksum is
their number and the CRC-32 of those lines, as in benches/peers/rust/rsigma_rules."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import zlib
from pathlib import Path


def findings(output: bytes) -> str:
    alerts = map(json.loads, output.splitlines())
    # Only incidents have a kind.
    pairs = {f"{alert['rule']}\t{alert['entity']}\n" for alert in alerts if "kind" not in alert}
    return "".join(sorted(pairs))


def main() -> None:
    program, log, n_events, case, engine = sys.argv[1:]
    rules = str(Path(__file__).resolve().parent)
    started = time.perf_counter()
    done = subprocess.run([program, "replay", log, "--rules", rules, "--json"], stdout=subprocess.PIPE, check=True)
    seconds = time.perf_counter() - started
    found = findings(done.stdout)
    print(found, end="")
    print(f"b8\t{case}\t{engine}\tevents_per_second\t{int(n_events) / seconds:.0f}")
    print(f"b8\t{case}\t{engine}\tchecksum\t{found.count(chr(10))},{zlib.crc32(found.encode()):08x}")


if __name__ == "__main__":
    main()
