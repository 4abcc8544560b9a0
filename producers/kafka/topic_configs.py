"""Update the configuration of topics that earlier versions created."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import for_code

TIMESTAMP_TYPE: Final = "message.timestamp.type"
BROKER_TIME: Final = "LogAppendTime"
ALIGNED: Final = (TIMESTAMP_TYPE,)
"""Options that are changed on existing topics. All others are left to the operator."""
SET_ON_THE_TOPIC: Final = 1
"""``config_source`` of an option that is set on the topic itself."""

log = structlog.get_logger(__name__)


async def align_configs(
    admin: AIOKafkaAdminClient, wanted: Mapping[str, Mapping[str, str]]
) -> list[str]:
    """Change the options ``ALIGNED`` of topics if they differ; return the names of changed topics.

    ``wanted`` is the configuration by topic. If the broker refuses a change, this is logged: the
    topic keeps the timestamps of producers, and rejects records whose timestamps are days off.

    Raises:
        KafkaError: the broker did not respond.
    """
    current = await _configs_of(admin, list(wanted))
    changed: dict[str, dict[str, str]] = {}
    for topic, own in current.items():
        missing = {
            name: wanted[topic][name]
            for name in ALIGNED
            if name in wanted[topic] and own.get(name) != wanted[topic][name]
        }
        if missing:
            # The request replaces the whole configuration; aiokafka has no incremental changes.
            changed[topic] = own | missing
    if not changed:
        return []
    responses = await admin.alter_configs(
        [ConfigResource(ConfigResourceType.TOPIC, topic, own) for topic, own in changed.items()]
    )
    for response in responses:
        for code, reason, _, topic in response.resources:
            if code:
                changed.pop(topic, None)
                log.warning(
                    "topic_not_adjusted", topic=topic, error=for_code(code).__name__, reason=reason
                )
    return sorted(changed)


async def _configs_of(admin: AIOKafkaAdminClient, topics: list[str]) -> dict[str, dict[str, str]]:
    """Return the options that are set on each topic itself, without defaults."""
    responses = await admin.describe_configs(
        [ConfigResource(ConfigResourceType.TOPIC, topic) for topic in topics]
    )
    return {
        topic: {
            name: value
            for name, value, _, source, *_ in entries
            if source == SET_ON_THE_TOPIC and value is not None
        }
        for response in responses
        for code, _, _, topic, entries in response.resources
        if not code
    }
