"""Whether a Kafka broker answers, asked without a word in the logs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aiokafka.errors import KafkaError

from producers.kafka import new_client
from producers.settings import KafkaSettings

PROBE_TIMEOUT_S: Final = 2.0


async def broker_answers(kafka: KafkaSettings) -> bool:
    """Whether a Kafka cluster with at least one registered broker takes our requests."""
    return await topics_of(kafka) is not None


async def topics_of(kafka: KafkaSettings) -> set[str] | None:
    """Names of the cluster's topics; None when no registered broker answers."""
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
    """A probe that fails is an answer, not an error to log."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
