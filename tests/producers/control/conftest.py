"""Control logs of several writers on one topic."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from clickhouse.all_topics import ensure_topics
from producers.control.log import ControlLog
from producers.settings import KafkaSettings
from tests.fixtures.control_log import following

WRITERS = 3


@pytest.fixture
async def kafka(kafka_broker: str, topic_prefix: str) -> KafkaSettings:
    settings = KafkaSettings(
        broker=kafka_broker,
        topic_prefix=topic_prefix,
        event_partitions=1,
        project_partitions=1,
        control_write_timeout_s=60.0,
        control_write_attempts_max=100,
    )
    await ensure_topics(settings)
    return settings


@pytest.fixture
async def logs(kafka: KafkaSettings) -> AsyncIterator[list[ControlLog]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(following(kafka)) for _ in range(WRITERS)]
