"""Construct all clients of the broker, with the credentials and certificates of the settings.

No other module constructs clients of aiokafka, so no client lacks them.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import ssl
from collections.abc import Callable, Collection
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError, KafkaError
from aiokafka.helpers import create_ssl_context

from producers.errors import BrokerUnavailableError
from producers.kafka.checked_producer import CheckedProducer, MaySend
from producers.settings import KafkaSettings

CONNECT_RETRY_S = 0.2


class _Client(Protocol):
    async def start(self) -> None: ...

    async def stop(self) -> None: ...


ClientT = TypeVar("ClientT", bound=_Client)


async def started(new_client: Callable[[], ClientT], kafka: KafkaSettings) -> ClientT:
    """Construct and start a client; wait for the broker if it does not answer yet.

    Raises:
        BrokerUnavailableError: no broker answered within ``broker_wait_s``.
    """
    deadline = asyncio.get_running_loop().time() + kafka.broker_wait_s
    while True:
        client = new_client()
        try:
            async with asyncio.timeout_at(deadline):
                await client.start()
        # aiokafka asserts that it knows a broker, which it does not while metadata are empty.
        except (KafkaError, TimeoutError, AssertionError) as error:
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


def client_options(kafka: KafkaSettings) -> dict[str, Any]:
    """Return the options of every client of aiokafka: address, protocol, credentials.

    Raises:
        OSError: a file with a certificate or key cannot be read (``ssl.SSLError``: it is invalid).
    """
    protocol = kafka.security_protocol
    options: dict[str, Any] = {"bootstrap_servers": kafka.broker, "security_protocol": protocol}
    if protocol.startswith("SASL_"):
        options |= {
            "sasl_mechanism": kafka.broker_sasl_mechanism,
            "sasl_plain_username": kafka.broker_username,
            "sasl_plain_password": kafka.broker_password.get_secret_value(),
        }
        if protocol == "SASL_PLAINTEXT" and _is_loopback(kafka.broker):
            _suppress_plain_password_warning()
    if protocol.endswith("SSL"):
        options["ssl_context"] = ssl_context(kafka)
    return options


def ssl_context(kafka: KafkaSettings) -> ssl.SSLContext:
    """Return the TLS context of the settings, which all clients share.

    Raises:
        OSError: like ``client_options``.
    """
    return _ssl_context(
        kafka.broker_ssl_cafile, kafka.broker_ssl_certfile, kafka.broker_ssl_keyfile
    )


@lru_cache(maxsize=8)
def _ssl_context(
    cafile: Path | None, certfile: Path | None, keyfile: Path | None
) -> ssl.SSLContext:
    context: ssl.SSLContext = create_ssl_context(cafile=cafile, certfile=certfile, keyfile=keyfile)
    return context


def _is_loopback(addresses: str) -> bool:
    hosts = [address.rpartition(":")[0].strip("[] ") for address in addresses.split(",")]
    try:
        return all(host == "localhost" or ipaddress.ip_address(host).is_loopback for host in hosts)
    except ValueError:
        return False


def _suppress_plain_password_warning() -> None:
    """Suppress aiokafka's warning about plain passwords, which it logs for each connection."""
    logging.getLogger("aiokafka.conn").addFilter(_is_no_plain_password_warning)


def _is_no_plain_password_warning(record: logging.LogRecord) -> bool:
    return record.msg != "Sending username and password in the clear"


class AdminClient(AIOKafkaAdminClient):  # type: ignore[misc]  # aiokafka has no type annotations
    """An admin client with a method ``stop``, like the other clients."""

    async def stop(self) -> None:
        await self.close()


class Consumer(AIOKafkaConsumer):  # type: ignore[misc]  # aiokafka has no type annotations
    """A consumer that reads the metadata of several topics at once.

    To find the offsets of n unknown topics, aiokafka reads the metadata of one topic after the
    other, and pauses for 0.1 s after each.
    """

    async def beginning_offsets(
        self, partitions: Collection[TopicPartition]
    ) -> dict[TopicPartition, int]:
        self._read_metadata_of(partitions)
        found: dict[TopicPartition, int] = await super().beginning_offsets(partitions)
        return found

    async def end_offsets(
        self, partitions: Collection[TopicPartition]
    ) -> dict[TopicPartition, int]:
        self._read_metadata_of(partitions)
        found: dict[TopicPartition, int] = await super().end_offsets(partitions)
        return found

    def _read_metadata_of(self, partitions: Collection[TopicPartition]) -> None:
        """Schedule one request for the metadata of all topics; the next request waits for it."""
        for topic in {partition.topic for partition in partitions}:
            self._client.add_topic(topic)


def new_client(kafka: KafkaSettings, **options: Any) -> AIOKafkaClient:
    """Return a low-level client, for metadata only."""
    return AIOKafkaClient(**client_options(kafka), **options)


def new_admin(kafka: KafkaSettings) -> AdminClient:
    """Return an admin client whose requests time out after ``request_timeout_s``."""
    return AdminClient(
        **client_options(kafka), request_timeout_ms=int(kafka.request_timeout_s * 1000)
    )


def new_consumer(kafka: KafkaSettings, *topics: str, **options: Any) -> Consumer:
    """Return a consumer without automatic commits."""
    return Consumer(*topics, **client_options(kafka), **{"enable_auto_commit": False, **options})


def new_producer(
    kafka: KafkaSettings,
    *,
    batch_bytes: int,
    may_send: MaySend | None = None,
    transactional_id: str | None = None,
) -> AIOKafkaProducer:
    """Return an idempotent producer that waits for all replicas (``acks=all``).

    With ``transactional_id``, it writes in transactions. Its start aborts the transactions of
    earlier producers with the same id. The broker aborts a transaction after
    ``control_transaction_timeout_s``.

    ``may_send`` is called before each record is buffered and before each request is sent. If it
    raises an exception, the record or the records of the request fail.
    """
    new = AIOKafkaProducer if may_send is None else partial(CheckedProducer, may_send)
    return new(
        **client_options(kafka),
        acks="all",
        enable_idempotence=True,
        # aiokafka uses the slowest level of lz4. zstd takes a quarter of its time and compresses to
        # two thirds of its size.
        compression_type="zstd",
        max_batch_size=batch_bytes,
        max_request_size=kafka.record_max_bytes,
        request_timeout_ms=int(kafka.request_timeout_s * 1000),
        transactional_id=transactional_id,
        transaction_timeout_ms=int(kafka.control_transaction_timeout_s * 1000),
    )


async def stopped(client: _Client, timeout_s: float) -> None:
    """Stop a client; records that are not sent within ``timeout_s`` are dropped."""
    try:
        async with asyncio.timeout(timeout_s):
            await client.stop()
    except (KafkaError, TimeoutError):
        if isinstance(client, AIOKafkaProducer):
            await _stop_parts(client)


async def _stop_parts(producer: AIOKafkaProducer) -> None:
    """Stop the parts of an idempotent producer individually.

    Its ``stop`` waits until all records are sent, which it retries without limit.
    """
    await producer._sender.close()  # noqa: SLF001  # no public API
    producer._message_accumulator.fail_all(KafkaConnectionError("stopped"))  # noqa: SLF001
    await producer.client.close()
