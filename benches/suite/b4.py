"""B4: from Kafka to alerts, beside a real broker."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import Iterator

from .failure import Failure
from .measure import Measurement
from .peers import Peers, say
from .setting import Suite

TITLE = "Kafka to alerts"
ABOUT = """\
`three-rules`: a topic of 8 partitions, full of events of `nightlatch simulate --scenario ring-2019 --seed 2019`, is drained by the queries of `benches/suite/rules`
(counts and distinct counts over ten minutes), and alerts go to another topic; lateness of a minute, no checkpoints, the broker on the same processors.
Nightlatch's clock runs from the first event read until the watermark has passed the last one, Flink's from the moment when the job runs until it has
ended (two threads; a job that warms the JVM up goes before). Flink writes each match, Nightlatch episodes. The checksum is the number of matches of each rule.

The other cases are those of `cargo bench --bench live`, on events of its own: `bare` is a consumer that only counts, whose rate is the limit for `two-rules` and
`all-rules`; `latency-*` is from event to webhook beyond the lateness at half of the rate of `all-rules`."""

EVENTS = 3_000_000
LIVE_EVENTS = 1_000_000
LIVE_SECONDS = 30
PARTITIONS = 8
SEED = 2019
CASE = "three-rules"


def install(peers: Peers) -> None:
    peers.nightlatch()
    peers.benchmark("live")
    peers.flink("KafkaRules")


def cases(suite: Suite) -> Iterator[list[Measurement]]:
    brokers = _broker(suite)
    n_events = suite.scaled(EVENTS)
    with _topic(suite, brokers, n_events) as (topic, end):
        yield list(_drains(suite, brokers, topic, n_events, end))
    yield [_live(suite)]


def _broker(suite: Suite) -> str:
    """A broker that ends after this process."""
    script = suite.root / "scripts/test-broker"
    started = subprocess.run([script, "start", "--for", str(os.getpid())], stdout=subprocess.PIPE, text=True, check=False)
    if started.returncode != 0:
        raise Failure("there is no Kafka broker", "scripts/install-prerequisites --tests")
    return started.stdout.strip()


@contextmanager
def _topic(suite: Suite, brokers: str, n_events: int) -> Iterator[tuple[str, str]]:
    """A full topic, and the time of its last event."""
    topic = f"suite-{time.time_ns()}"
    say(f"Writing {n_events} events to the topic {topic}")
    simulate = [suite.peers.nightlatch(), "simulate", "--scenario", "ring-2019", "--seed", str(SEED),
                "--events", str(n_events)]
    fill = [*suite.peers.flink("Topics"), "fill", brokers, topic, str(PARTITIONS)]
    with subprocess.Popen(simulate, stdout=subprocess.PIPE) as events:
        filled = subprocess.run(fill, stdin=events.stdout, stdout=subprocess.PIPE, text=True, check=False)
    if filled.returncode != 0 or events.returncode != 0:
        raise Failure("the topic could not be filled", "see the message above")
    try:
        yield topic, filled.stdout.split()[-1]
    finally:
        subprocess.run([*suite.peers.flink("Topics"), "delete", brokers, topic], check=False)


def _drains(suite: Suite, brokers: str, topic: str, n_events: int, end: str) -> Iterator[Measurement]:
    rules = str(suite.root / "benches/suite/rules")
    program = str(suite.root / "benches/suite/drain.py")
    yield Measurement("nightlatch", CASE, [sys.executable, program, suite.peers.nightlatch(), brokers, topic,
                                           str(n_events), end, rules, CASE])
    state = suite.work / "flink-state"
    state.mkdir(exist_ok=True)
    for engine, backend in [("flink-heap", "hashmap"), ("flink-rocksdb", "rocksdb")]:
        yield Measurement(engine, CASE, [*suite.peers.flink("KafkaRules"), brokers, topic, str(n_events), rules, CASE,
                                         engine, backend, str(state)])


def _live(suite: Suite) -> Measurement:
    size = {
        "NIGHTLATCH_BENCH_EVENTS": str(suite.scaled(LIVE_EVENTS)),
        "NIGHTLATCH_BENCH_SECONDS": str(max(3, round(LIVE_SECONDS * min(1, suite.scale)))),
        "NIGHTLATCH_BENCH_ROUNDS": "1",
    }
    return Measurement("nightlatch", "live", [suite.peers.benchmark("live")], size)
