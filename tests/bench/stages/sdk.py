"""Measure the SDK's tracer with Apache Kafka, in a process on one core.

It sends prepared events, to measure the pipeline behind the tracer, and complete
``with tracer.generation(…)`` blocks, to measure the cost for an application.
"""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from producers.kafka.clients import client_options
from producers.settings import KafkaSettings
from tests.bench.stages import Cost
from tests.fixtures.engines import new_broker, running
from tracemill import Tracer, Usage
from tracemill.contract import Observation

PARTITIONS = 4
FLUSH_WITHIN_S = 60.0
_WORDS = "".join(map(chr, range(97, 123)))


def _texts(count: int) -> list[tuple[str, str]]:
    """Texts that do not compress too well: random words, about 250 and 550 characters."""
    chance = random.Random(7)
    words = ["".join(chance.choices(_WORDS, k=chance.randint(1, 9))) for _ in range(3_000)]
    return [
        (" ".join(chance.choices(words, k=42)), " ".join(chance.choices(words, k=92)))
        for _ in range(count)
    ]


TEXTS = _texts(1_000)


def _raw(tracer: Tracer, number: int) -> None:
    question, answer = TEXTS[number % len(TEXTS)]
    event = Observation(
        project_id=tracer.project_id,
        trace_id=f"{number >> 3:032x}",
        id=f"{number:016x}",
        ts_us=1_795_000_000_000_000 + number,
        type="GENERATION",
        name="answer",
        start_us=1_795_000_000_000_000 + number,
        end_us=1_795_000_000_900_000 + number,
        model="gpt-4o",
        usage={"input": 120, "output": 40},
        input=question,
        output=answer,
    )
    tracer.deliver(event, len(question) + len(answer))


def _blocks(tracer: Tracer, number: int) -> None:
    question, answer = TEXTS[number % len(TEXTS)]
    with tracer.generation("answer", model="gpt-4o", input=question) as span:
        span.update(output=answer, usage=Usage(input=120, output=40))


def _us_per_event(tracer: Tracer, say: Callable[[Tracer, int], None], events: int) -> float:
    """Send ``events`` events, waiting while the buffer is half full; wait for acknowledgements."""
    before, begun_s = tracer.stats, time.process_time()
    for first in range(0, events, 1_000):
        for number in range(first, min(first + 1_000, events)):
            say(tracer, number)
        while tracer.stats.buffered_bytes > tracer.options.buffer_max_bytes // 2:
            time.sleep(0.002)
    assert tracer.flush(FLUSH_WITHIN_S), tracer.stats
    assert tracer.stats.sent - before.sent == events, tracer.stats
    return (time.process_time() - begun_s) / events * 1e6


async def _create_topic(kafka: KafkaSettings, name: str) -> None:
    admin = AIOKafkaAdminClient(**client_options(kafka))
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, PARTITIONS, 1)])
    finally:
        await admin.close()


def costs(events: int = 100_000) -> list[Cost]:
    allowed = os.sched_getaffinity(0)
    with tempfile.TemporaryDirectory(prefix="tracemill-bench-") as folder:
        embedded = new_broker(Path(folder))
        with running(embedded):
            topic = f"bench-{os.getpid()}"
            kafka = embedded.client_settings()
            asyncio.run(_create_topic(kafka, topic))
            os.sched_setaffinity(0, {max(allowed)})
            try:
                with Tracer(
                    "bench",
                    kafka.broker,
                    topic=topic,
                    username=kafka.broker_username,
                    password=kafka.broker_password.get_secret_value(),
                ) as tracer:
                    _us_per_event(tracer, _raw, 2_000)  # connected and warm
                    raw_us = _us_per_event(tracer, _raw, events)
                    blocks_us = _us_per_event(tracer, _blocks, events)
            finally:
                os.sched_setaffinity(0, allowed)
    return [
        Cost("SDK", "events as they are, until acknowledged", raw_us),
        Cost("SDK", "`with` blocks, until acknowledged", blocks_us),
    ]
