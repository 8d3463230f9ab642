#!/usr/bin/env python3
"""Replays a simulated log of any length from a pipe, and prints how fast and how large the replay is at its
beginning, in its middle and at its end.

    long_replay.py PROGRAM EVENTS
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

SEED = "2019"
SECONDS_BETWEEN = 0.5
# The share of the log that counts as its beginning, and as its end.
SHARE = 0.05


def bytes_read(process: int) -> int:
    with open(f"/proc/{process}/io", encoding="ascii") as file:
        return int(file.readline().split()[1])


def resident_bytes(process: int) -> int:
    with open(f"/proc/{process}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def watch(replay: subprocess.Popen) -> list[tuple[float, int, int]]:
    """Seconds, bytes read, bytes resident, while it runs."""
    started, samples = time.monotonic(), []
    while replay.poll() is None:
        try:
            seconds = time.monotonic() - started
            samples.append((seconds, bytes_read(replay.pid), resident_bytes(replay.pid)))
        except (OSError, ValueError, IndexError):
            break  # It ends in this moment.
        time.sleep(SECONDS_BETWEEN)
    return samples


def main() -> int:
    program, n_events = sys.argv[1], int(sys.argv[2])
    simulate = subprocess.Popen(
        [program, "simulate", "--scenario", "city", "--seed", SEED, "--events", str(n_events)],
        stdout=subprocess.PIPE)
    replay = subprocess.Popen(
        [program, "replay", "-", "--quiet", "--json"], stdin=simulate.stdout, stdout=subprocess.DEVNULL)
    simulate.stdout.close()
    samples = watch(replay)
    if replay.wait() != 0 or simulate.wait() != 0:
        return 1
    total = samples[-1][1]
    # Planning and the simulator's first events are not the log.
    samples = [sample for sample in samples if sample[1] > 0.005 * total]
    for name, low, high in [("first", 0.0, SHARE), ("middle", 0.475, 0.525), ("last", 1 - SHARE, 1.0)]:
        part = [sample for sample in samples if low * total <= sample[1] <= high * total]
        if len(part) < 2 or part[-1][0] == part[0][0]:
            continue
        share = (part[-1][1] - part[0][1]) / total
        rate = share * n_events / (part[-1][0] - part[0][0])
        print(f"b9\t{n_events}-events\tnightlatch\tevents_per_second_{name}\t{rate:.0f}")
        print(f"b9\t{n_events}-events\tnightlatch\tresident_megabytes_{name}\t{part[-1][2] / 1e6:.0f}")
    seconds = samples[-1][0] - samples[0][0]
    print(f"b9\t{n_events}-events\tnightlatch\tevents_per_second\t{n_events / seconds:.0f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
