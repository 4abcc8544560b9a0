"""Create all topics: those of the streams and those of the feeds."""

from __future__ import annotations

from collections.abc import Iterable

from clickhouse.feed import Feed
from clickhouse.feeds import FEEDS
from producers.kafka.topic_creation import TopicShape, create_topics, shape_of
from producers.kafka.topics import OWN_TOPICS, Topic
from producers.settings import KafkaSettings


def all_topics(feeds: Iterable[Feed] = FEEDS) -> tuple[Topic, ...]:
    """Return all topics, each once."""
    return tuple(dict.fromkeys((*OWN_TOPICS, *(feed.topic for feed in feeds))))


def topic_shapes(kafka: KafkaSettings) -> list[TopicShape]:
    """Return all topics with their partitions and options, according to the settings."""
    return [shape_of(topic, kafka) for topic in all_topics()]


async def ensure_topics(kafka: KafkaSettings, feeds: Iterable[Feed] = FEEDS) -> list[str]:
    """Create missing topics; return the names of the new ones. Raises like ``create_topics``."""
    return await create_topics(kafka, all_topics(feeds))
