"""Append records to Kafka."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.structs import RecordMetadata

from producers.kafka.broker_clock import BrokerClock
from streams.observations.ports import Headers

COMPARE_CLOCKS_INTERVAL_S: Final = 5.0


class KafkaOutput:
    """Writes records in order and without duplicates, through an idempotent producer."""

    def __init__(self, producer: AIOKafkaProducer, clock: BrokerClock | None = None) -> None:
        self._producer = producer
        self._clock = clock
        self._next_clock_check_s = 0.0

    async def send(
        self, topic: str, partition: int, value: bytes, headers: Headers = ()
    ) -> asyncio.Future[int]:
        """Add a record to the producer's buffer; return a future of its offset.

        Raises:
            KafkaError: the record is too large, or the producer has failed.
        """
        sent: asyncio.Future[RecordMetadata] = await self._producer.send(
            topic, value, partition=partition, headers=list(headers)
        )
        loop = asyncio.get_running_loop()
        if self._clock is not None and loop.time() >= self._next_clock_check_s:
            self._next_clock_check_s = loop.time() + COMPARE_CLOCKS_INTERVAL_S
            _compare_clocks(self._clock, sent)
        offset: asyncio.Future[int] = loop.create_future()
        sent.add_done_callback(lambda done: _copy_result(done, offset))
        return offset


def _compare_clocks(clock: BrokerClock, sent: asyncio.Future[RecordMetadata]) -> None:
    sent_s = time.time()

    def acknowledged(done: asyncio.Future[RecordMetadata]) -> None:
        if not done.cancelled() and done.exception() is None:
            clock.observe(done.result(), sent_s, time.time())

    sent.add_done_callback(acknowledged)


def _copy_result(sent: asyncio.Future[RecordMetadata], offset: asyncio.Future[int]) -> None:
    if offset.done():
        return
    if sent.cancelled():
        offset.cancel()
        return
    error = sent.exception()
    if error is None:
        offset.set_result(sent.result().offset)
    else:
        offset.set_exception(error)
