"""`python -m tests.bench.receivers`: a receiver is down for 10 minutes while alerts go on.

The worker is killed and started again in between. Afterwards, the receiver must have every alert
once, with the alerts of an episode in order; the latency of another receiver is printed. The exit
code is 1 if something is missing, repeated or out of order.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiokafka import AIOKafkaProducer

from clickhouse.all_topics import ensure_topics
from clickhouse.settings import StoreSettings
from clickhouse.store import Store
from deploy.embedded.kafka import USERNAME
from deploy.embedded.ports import free_ports
from producers.kafka.clients import client_options
from producers.settings import KafkaSettings
from tests.fixtures.control_log import following
from tests.fixtures.engines import BROKER_PASSWORD, new_broker, running
from tests.streams.notifier.receivers import OK, Receiver, receiving
from tests.streams.notifier.rule_alerts import fire
from tests.streams.project_pipeline import Pipeline

PROCESS = "tests.streams.notifier.notifier_process"
EVENTS = ("alert.firing", "alert.resolved")
PAUSE_S = 0.25
POLL_S = 0.05


@dataclass
class Outage:
    """What was sent and received."""

    sent_s: dict[str, float] = field(default_factory=dict)
    """When each alert was written."""
    received: list[str] = field(default_factory=list)
    """What the receiver that was down received, in order."""
    latencies_s: list[float] = field(default_factory=list)
    """Of the other receiver, for alerts that were written while the worker ran."""
    others: Counter[str] = field(default_factory=Counter)
    recovered_s: float = 0.0
    """From the receiver's start until it had everything."""

    def faults(self) -> list[str]:
        """Return what is missing, repeated or out of order."""
        found = [f"missing: {each}" for each in self.sent_s if each not in self.received]
        counts = Counter(self.received)
        found += [f"repeated: {each}" for each, count in counts.items() if count > 1]
        found += [f"missing elsewhere: {each}" for each in self.sent_s if not self.others[each]]
        at = {each: number for number, each in reversed(list(enumerate(self.received)))}
        for each in self.sent_s:
            episode, _, state = each.partition("-")
            if state == "1" and at.get(each, 0) < at.get(f"{episode}-0", 0):
                found.append(f"out of order: {episode}")
        return found


async def outage(pipeline: Pipeline, *, down_s: float, within_s: float, **settings: str) -> Outage:
    """Write alerts while a receiver is down; kill the worker in between; return what arrived."""
    found = Outage()
    (port,) = free_ports(1)
    arrived: dict[str, float] = {}
    async with AsyncExitStack() as stack:
        alive = await stack.enter_async_context(receiving())
        alive.respond = lambda _: _noted(alive, arrived)
        await pipeline.put_webhook(f"http://127.0.0.1:{port}/hook", id="down", events=EVENTS)
        await pipeline.put_webhook(alive.url, id="alive", events=EVENTS)
        worker = pipeline.start_worker(PROCESS, **settings)
        await pipeline.ready(worker)
        began_s, is_killed, running_since = time.monotonic(), False, 0
        while (passed_s := time.monotonic() - began_s) < down_s:
            if not is_killed and passed_s > down_s / 2:
                is_killed = True
                pipeline.kill_workers()
                await pipeline.ready(pipeline.start_worker(PROCESS, **settings))
                await _all_at(alive, found)
                running_since = len(found.sent_s)
            await _episode(pipeline, found)
            await asyncio.sleep(PAUSE_S)
        async with receiving(port=port) as back:
            up_s = time.monotonic()
            await _episode(pipeline, found)
            while len(set(back.ids)) < len(found.sent_s) or len(set(alive.ids)) < len(found.sent_s):
                assert time.monotonic() - up_s < within_s, found.faults()
                await asyncio.sleep(POLL_S)
            found.recovered_s = time.monotonic() - up_s
            found.received = back.ids
    found.others = Counter(alive.ids)
    found.latencies_s = [
        arrived[each] - at_s
        for number, (each, at_s) in enumerate(found.sent_s.items())
        if number >= running_since
    ]
    return found


async def _all_at(receiver: Receiver, found: Outage) -> None:
    while len(set(receiver.ids)) < len(found.sent_s):  # noqa: ASYNC110  # receivers only record
        await asyncio.sleep(POLL_S)


def _noted(receiver: Receiver, arrived: dict[str, float]) -> bytes:
    arrived.setdefault(receiver.ids[-1], time.monotonic())
    return OK


async def _episode(pipeline: Pipeline, found: Outage) -> None:
    """Write both alerts of an episode."""
    episode = f"e{len(found.sent_s) // 2}"
    for number, state in enumerate(("firing", "resolved")):
        alert_id = f"{episode}-{number}"
        found.sent_s[alert_id] = time.monotonic()
        await fire(pipeline, alert_id, state=state, episode=episode)


@asynccontextmanager
async def _pipeline(broker: str) -> AsyncIterator[Pipeline]:
    kafka = KafkaSettings(broker=broker, topic_prefix="receivers")
    await ensure_topics(kafka)
    async with AsyncExitStack() as stack:
        control = await stack.enter_async_context(following(kafka))
        producer = await stack.enter_async_context(
            AIOKafkaProducer(**client_options(kafka), acks="all")
        )
        pipeline = Pipeline(kafka, Store(StoreSettings()), control, producer)
        stack.callback(pipeline.kill_workers)
        yield pipeline


async def _measure(broker: str, down_s: float) -> Outage:
    async with _pipeline(broker) as pipeline:
        return await outage(pipeline, down_s=down_s, within_s=max(down_s, 300))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.receivers", description=__doc__)
    parser.add_argument("--down-s", type=float, default=600, help="seconds of the outage")
    options = parser.parse_args()
    os.environ["TRACEMILL_BROKER_USERNAME"] = USERNAME
    os.environ["TRACEMILL_BROKER_PASSWORD"] = BROKER_PASSWORD.get_secret_value()
    with tempfile.TemporaryDirectory(prefix="tracemill-receivers-") as directory:
        broker = new_broker(Path(directory))
        with running(broker):
            found = asyncio.run(_measure(broker.address, options.down_s))
    cuts = statistics.quantiles(found.latencies_s, n=100, method="inclusive")
    print(
        f"{len(found.sent_s)} alerts; down for {options.down_s:g} s, everything received"
        f" {found.recovered_s:.1f} s after the start; the other receiver: p50"
        f" {cuts[49] * 1e3:.0f} ms, p99 {cuts[98] * 1e3:.0f} ms,"
        f" max {max(found.latencies_s) * 1e3:.0f} ms"
    )
    repeated = sum(count - 1 for count in found.others.values())
    print(f"repeated at the other receiver, because of the kill: {repeated}")
    for fault in found.faults():
        print(fault)
    return 1 if found.faults() else 0


if __name__ == "__main__":
    sys.exit(main())
