"""How fast the SDK's tracer is: ``python -m tests.bench.bench_sdk [--events N] [--compression lz4|zstd|none] [--broker HOST:PORT]``.

Two measurements into Apache Kafka (embedded unless an address is given): events made by hand and sent as they are (what the pipeline behind the tracer can do),
and whole ``with tracer.span(…)`` blocks (what an application sees). The process is held on one core; the broker runs on another where there is one.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.fixtures.engines import new_broker, running
from tracemill import Tracer, Usage
from tracemill.contract import Observation

PARTITIONS = 4
FLUSH_WITHIN_S = 60.0
_WORDS = "".join(map(chr, range(97, 123)))


def _texts(count: int) -> list[tuple[str, str]]:
    """Questions and answers that no codec finds too easy: random words, about 250 and 550 characters."""
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


def measure(tracer: Tracer, say: Callable[[Tracer, int], None], events: int) -> str:
    """Say ``events`` times something, waiting when the buffer is half full; until all is acknowledged."""
    before = tracer.stats
    cpu, began = time.process_time(), time.perf_counter()
    host_s = 0.0
    for first in range(0, events, 1_000):
        chunk_began = time.perf_counter()
        for number in range(first, min(first + 1_000, events)):
            say(tracer, number)
        host_s += time.perf_counter() - chunk_began
        while tracer.stats.buffered_bytes > tracer.options.buffer_max_bytes // 2:
            time.sleep(0.002)
    flushed = tracer.flush(FLUSH_WITHIN_S)
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    stats = tracer.stats
    sent, lost = stats.sent - before.sent, stats.dropped + stats.failed
    assert flushed, stats
    return (
        f"{sent / wall:>9,.0f} events/s   {cpu / sent * 1e6:5.1f} µs CPU an event "
        f"({cpu / wall:4.0%} of a core)   {host_s / sent * 1e6:5.1f} µs in the host   {lost} lost"
    )


async def _create_topic(broker: str, name: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, PARTITIONS, 1)])
    finally:
        await admin.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--compression", default="zstd")
    parser.add_argument("--broker")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tracemill-bench-") as folder:
        embedded = None if arguments.broker else new_broker(Path(folder))
        with running(embedded) if embedded else nullcontext():
            broker = embedded.address if embedded else arguments.broker
            os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
            topic = f"bench-{os.getpid()}"
            asyncio.run(_create_topic(broker, topic))
            with Tracer("bench", broker, topic=topic, compression=arguments.compression) as tracer:
                measure(tracer, _raw, 2_000)  # connected and warm
                print("events as they are  ", measure(tracer, _raw, arguments.events))
                print("with-blocks         ", measure(tracer, _blocks, arguments.events))


if __name__ == "__main__":
    main()
