"""Names the consumer groups whose committed offsets say what was processed."""

from __future__ import annotations

from typing import Final

from producers.kafka.topics import Topics

COMMITTED_BY_STREAMS: Final = "{prefix}-streams"


def sink_group(topics: Topics) -> str:
    """Return the consumer group whose committed offsets are those of stored rows."""
    return f"{topics.prefix}-sink"
