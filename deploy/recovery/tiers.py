"""Write the tiers of users to the new log."""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec
from aiokafka import AIOKafkaProducer

from clickhouse.store import Store
from producers.kafka.topics import Topics
from producers.tiers.record import TIERS, Tier, key_of, value_of

SENT_AT_A_TIME: Final = 1_000

_SQL: Final = """
SELECT project_id, user_id, tier FROM tiers FINAL WHERE tier != '' ORDER BY project_id, user_id
"""
_tiers: Final = msgspec.json.Decoder(Tier)


async def restore_tiers(producer: AIOKafkaProducer, topics: Topics, store: Store) -> int:
    """Write all tiers in the store to the topic; return their number.

    Raises:
        KafkaError: the broker refused a record; call this again.
        StoreError: the store could not be read.
    """
    tiers = list(_tiers.decode_lines(await store.query_bytes(_SQL)))
    for first in range(0, len(tiers), SENT_AT_A_TIME):
        sent = [
            await producer.send(
                topics.of(TIERS),
                value_of(each),
                key=key_of(each.project_id, each.user_id),
                partition=0,
            )
            for each in tiers[first : first + SENT_AT_A_TIME]
        ]
        await asyncio.gather(*sent)
    return len(tiers)
