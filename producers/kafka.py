"""Clients of the broker, made the same way everywhere in this room."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, TypeVar

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError

from producers.errors import BrokerUnavailableError
from producers.settings import KafkaSettings

CONNECT_RETRY_S = 0.2


class _Client(Protocol):
    async def start(self) -> None: ...

    async def stop(self) -> None: ...


ClientT = TypeVar("ClientT", bound=_Client)


async def started(new_client: Callable[[], ClientT], kafka: KafkaSettings) -> ClientT:
    """A client that is connected; a broker that is only starting is waited for.

    Raises:
        BrokerUnavailableError: nobody answered within ``broker_wait_s``.
    """
    deadline = asyncio.get_running_loop().time() + kafka.broker_wait_s
    while True:
        client = new_client()
        try:
            async with asyncio.timeout_at(deadline):
                await client.start()
        except (KafkaError, TimeoutError) as error:
            await client.stop()
            if asyncio.get_running_loop().time() + CONNECT_RETRY_S >= deadline:
                message = f"no Kafka broker answers at {kafka.broker}"
                raise BrokerUnavailableError(message) from error
            await asyncio.sleep(CONNECT_RETRY_S)
        except BaseException:
            await client.stop()
            raise
        else:
            return client


def new_producer(kafka: KafkaSettings, *, batch_bytes: int) -> AIOKafkaProducer:
    """An idempotent producer whose records are kept once they are acknowledged."""
    return AIOKafkaProducer(
        bootstrap_servers=kafka.broker,
        acks="all",
        enable_idempotence=True,
        # aiokafka compresses lz4 at its slowest level: zstd takes a quarter of the time and two thirds of the space.
        compression_type="zstd",
        max_batch_size=batch_bytes,
        max_request_size=kafka.record_max_bytes,
        request_timeout_ms=int(kafka.request_timeout_s * 1000),
    )


async def stopped(client: _Client, timeout_s: float) -> None:
    """Stop a client; what it could not send within ``timeout_s`` is given up."""
    try:
        async with asyncio.timeout(timeout_s):
            await client.stop()
    except (KafkaError, TimeoutError):
        if isinstance(client, AIOKafkaProducer):
            await _give_up(client)


async def _give_up(producer: AIOKafkaProducer) -> None:
    """An idempotent producer retries without end, and its own ``stop`` waits for that: end its parts one by one."""
    await producer._sender.close()  # noqa: SLF001  # aiokafka has no public way
    producer._message_accumulator.fail_all(KafkaConnectionError("stopped"))  # noqa: SLF001
    await producer.client.close()
