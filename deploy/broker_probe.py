"""Check whether a Kafka broker can be used, without logging failed attempts."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aiokafka.conn import create_conn
from aiokafka.errors import KafkaError, SaslAuthenticationFailed

from producers.kafka.clients import client_options, new_client
from producers.settings import KafkaSettings

PROBE_TIMEOUT_S: Final = 2.0
REASON_MAX_CHARS: Final = 300


async def broker_answers(kafka: KafkaSettings) -> bool:
    """Return whether a cluster with at least one registered broker answers requests."""
    return await topics_of(kafka) is not None


async def why_broker_unusable(kafka: KafkaSettings) -> str | None:
    """Return the reason why the broker cannot be used (empty if unknown); None if it can be."""
    if await broker_answers(kafka):
        return None
    options = client_options(kafka)
    host, _, port = options.pop("bootstrap_servers").split(",")[0].strip().rpartition(":")
    with _quiet("aiokafka"):
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                connection = await create_conn(
                    host.strip("[]"),
                    int(port),
                    request_timeout_ms=int(PROBE_TIMEOUT_S * 1000),
                    **options,
                )
        except (KafkaError, OSError, ValueError) as error:  # a TimeoutError is an OSError
            return _reason(error)
    connection.close()
    return "it closes the connection, or is not a Kafka broker"


def _reason(error: Exception) -> str:
    match error:
        case SaslAuthenticationFailed():
            return "it refuses TRACEMILL_BROKER_USERNAME and TRACEMILL_BROKER_PASSWORD"
        case TimeoutError():
            return f"it did not answer within {PROBE_TIMEOUT_S:g} s"
        case socket.gaierror():
            return str(error.strerror)
        case ConnectionRefusedError():
            return ""
        case ValueError():
            return "the address must be HOST:PORT"
    return " ".join(str(error).split())[:REASON_MAX_CHARS]


async def topics_of(kafka: KafkaSettings) -> set[str] | None:
    """Return the names of the cluster's topics; None if no registered broker answers."""
    client = new_client(kafka, request_timeout_ms=int(PROBE_TIMEOUT_S * 1000))
    with _quiet("aiokafka"):
        try:
            await client.bootstrap()
            cluster = await client.fetch_all_metadata()
            return set(cluster.topics(exclude_internal_topics=False)) if cluster.brokers() else None
        except (KafkaError, OSError):
            return None
        finally:
            await client.close()


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Silence a logger while the block runs, because a failed probe is not an error."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
