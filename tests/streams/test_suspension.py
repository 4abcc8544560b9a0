"""A worker that was suspended for was suspended for writes nothing more."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys

import pytest

from clickhouse.all_topics import ensure_topics
from producers.kafka.checked_producer import NotSentError
from producers.kafka.clients import new_producer
from producers.settings import KafkaSettings
from streams.errors import SuspendedError
from streams.runtime.suspension import SuspensionGuard
from tests.fixtures.suspended import suspend

WITHIN_S = 60.0
LIMIT_S = 2.0
STOPPED_S = 4.0
WORKER = f"""
import asyncio, sys
from streams.errors import SuspendedError
from streams.runtime.suspension import SuspensionGuard

async def write_on():
    guard = SuspensionGuard({LIMIT_S})
    async with guard.running():
        print("writing", flush=True)
        try:
            while True:
                guard.check()  # no await: whatever ran before the stop goes on with this
        except SuspendedError as error:
            print(error, flush=True)
        await asyncio.wait([guard.suspended])

asyncio.run(write_on())
"""


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


async def test_a_suspension_up_to_the_session_timeout_is_allowed_and_a_longer_one_is_final() -> (
    None
):
    clock = Clock()
    guard = SuspensionGuard(6, clock)
    clock.now_s += 6
    guard.check()
    clock.now_s += 0.1
    for _ in range(2):
        with pytest.raises(SuspendedError, match=r"suspended for 6\.\d s, more than the allowed"):
            guard.check()


async def test_the_worker_detects_its_suspension_without_writing() -> None:
    clock = Clock()
    guard = SuspensionGuard(6, clock)
    async with guard.running():
        clock.now_s += 60
        with pytest.raises(SuspendedError):
            async with asyncio.timeout(WITHIN_S):
                await guard.suspended


async def test_a_blocked_event_loop_is_no_suspension() -> None:
    clock = Clock()
    guard = SuspensionGuard(6, clock)
    async with guard.running():
        for _ in range(3):  # the thread sees each step, whatever the loop does
            clock.now_s += 5
            async with asyncio.timeout(WITHIN_S):
                while guard._seen_s != clock.now_s:  # noqa: ASYNC110  (of a thread)
                    await asyncio.sleep(0.01)
        guard.check()
        assert not guard.suspended.done()


def test_a_process_that_was_stopped_refuses_its_next_write() -> None:
    worker = subprocess.Popen([sys.executable, "-c", WORKER], stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    with worker.stdout:
        assert worker.stdout.readline() == "writing\n"
        suspend(worker.pid)
        try:
            with pytest.raises(subprocess.TimeoutExpired):
                worker.wait(STOPPED_S)
        finally:
            os.kill(worker.pid, signal.SIGCONT)
        assert "more than the allowed 2 s" in worker.stdout.readline()
        assert worker.wait(WITHIN_S) == 0


async def test_a_producer_sends_nothing_that_it_may_not(
    kafka_broker: str, topic_prefix: str
) -> None:
    guard = SuspensionGuard(-1, Clock())
    kafka = KafkaSettings(broker=kafka_broker, topic_prefix=topic_prefix)
    producer = new_producer(kafka, batch_bytes=16_384, may_send=guard.check)
    await producer.start()
    try:
        for send in (producer.send, producer.send_and_wait):
            with pytest.raises(SuspendedError):
                await send(kafka.topics.events, b"x", partition=0)
    finally:
        await producer.stop()


async def test_a_record_that_is_buffered_when_its_worker_is_stopped_is_not_sent(
    kafka_broker: str, topic_prefix: str
) -> None:
    clock = Clock()
    guard = SuspensionGuard(LIMIT_S, clock)
    kafka = KafkaSettings(broker=kafka_broker, topic_prefix=topic_prefix)
    await ensure_topics(kafka)
    producer = new_producer(kafka, batch_bytes=16_384, may_send=guard.check)
    await producer.start()
    try:
        topic = kafka.topics.events
        before = await producer.send_and_wait(topic, b"sent", partition=0)
        buffered = await producer.send(topic, b"buffered", partition=0)
        clock.now_s += STOPPED_S
        with pytest.raises(NotSentError, match="was suspended for"):
            async with asyncio.timeout(WITHIN_S):
                await buffered
    finally:
        async with asyncio.timeout(WITHIN_S):
            await producer.stop()
    other = new_producer(kafka, batch_bytes=16_384)
    await other.start()
    try:
        after = await other.send_and_wait(topic, b"of the successor", partition=0)
    finally:
        await other.stop()
    assert after.offset == before.offset + 1
