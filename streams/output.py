"""Appends records to Kafka."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaProducer
from aiokafka.structs import RecordMetadata

from streams.ports import Headers


class KafkaOutput:
    """Over an idempotent producer: records of one partition keep their order, and none is written twice by a retry."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer

    async def send(
        self, topic: str, partition: int, value: bytes, headers: Headers = ()
    ) -> asyncio.Future[int]:
        """Returns once the record is in the producer's buffer.

        Raises:
            KafkaError: the record is too large, or the producer has failed.
        """
        sent: asyncio.Future[RecordMetadata] = await self._producer.send(
            topic, value, partition=partition, headers=list(headers)
        )
        offset: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        sent.add_done_callback(lambda done: _pass_on(done, offset))
        return offset


def _pass_on(sent: asyncio.Future[RecordMetadata], offset: asyncio.Future[int]) -> None:
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
