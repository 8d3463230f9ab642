"""drain.py PROGRAM BROKERS TOPIC EVENTS END RULES CASE: Nightlatch's part in B4.

Starts `nightlatch run` on a full topic and waits until its watermark has passed END, the time of the last event; the clock
runs from the first event that it has read. Prints the lines that benches/run reads."""

import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from datetime import datetime
from pathlib import Path

SECONDS_MAX = 900
POLL_SECONDS = 0.02
CONFIGURATION = """\
rules = "{rules}"
[http]
listen = "{listen}"
[state]
folder = "{folder}/state"
checkpoint_every = "1 hour"
[order]
lateness = "1 minute"
[kafka]
brokers = "{brokers}"
group = "{group}"
topics = ["{topic}"]
[alerts]
stdout = false
topic = "{topic}-alerts"
"""


def free_address() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{listener.getsockname()[1]}"


def metrics(address: str) -> dict[str, float]:
    """Series and their values; empty while nobody answers."""
    try:
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
    except OSError:
        return {}
    pairs = (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
    return {series: float(value) for series, value in pairs}


def total(series: dict[str, float], name: str) -> float:
    """Over all labels."""
    return sum(value for key, value in series.items() if key.split("{")[0] == name)


def wait_for(process: subprocess.Popen, address: str, holds) -> dict[str, float]:
    deadline = time.monotonic() + SECONDS_MAX
    while time.monotonic() < deadline:
        if process.poll() is not None:
            sys.exit(f"nightlatch ended with exit code {process.returncode}")
        series = metrics(address)
        if series and holds(series):
            return series
        time.sleep(POLL_SECONDS)
    sys.exit(f"nightlatch did not come to the end of the topic in {SECONDS_MAX} s")


def cpu_seconds(process: subprocess.Popen) -> float:
    fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
    # User and system time, in ticks of 10 ms on Linux.
    return (int(fields[11]) + int(fields[12])) / 100


def matches(series: dict[str, float]) -> str:
    pattern = re.compile(r'nightlatch_rule_matches_total\{rule="(\w+)"\}')
    counts = ((pattern.fullmatch(key), value) for key, value in series.items())
    return ",".join(sorted(f"{name.group(1)}={value:.0f}" for name, value in counts if name))


def drain(process: subprocess.Popen, address: str, events: int, end: float) -> None:
    first = wait_for(process, address, lambda series: total(series, "nightlatch_events_total") > 0)
    started, cpu_before = time.monotonic(), cpu_seconds(process)
    last = wait_for(process, address, lambda series: series.get("nightlatch_watermark_timestamp_seconds", 0) >= end)
    seconds, cpu = time.monotonic() - started, cpu_seconds(process) - cpu_before
    for name in ("nightlatch_events_rejected_total", "nightlatch_events_late_total"):
        if total(last, name):
            sys.exit(f"{name} is {total(last, name):.0f}")
    measured = events - total(first, "nightlatch_events_total")
    label = f"b4\t{case}\tnightlatch"
    print(f"{label}\tevents_per_second\t{measured / seconds:.0f}")
    print(f"{label}\tcpu_seconds_per_million_events\t{cpu / measured * 1e6:.2f}")
    print(f"{label}\tchecksum\t{matches(metrics(address))}")


program, brokers, topic, events, end, rules, case = sys.argv[1:]
with tempfile.TemporaryDirectory() as folder:
    address = free_address()
    file = Path(folder) / "nightlatch.toml"
    group = f"{topic}-{time.time_ns()}"
    file.write_text(CONFIGURATION.format(rules=rules, listen=address, folder=folder, brokers=brokers, group=group, topic=topic),
                    encoding="utf-8")
    process = subprocess.Popen([program, "run", "--config", str(file)])
    try:
        drain(process, address, int(events), datetime.fromisoformat(end.replace("Z", "+00:00")).timestamp())
    finally:
        process.terminate()
        process.wait()
