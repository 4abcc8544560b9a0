"""Define the feed of users' tiers, which the query API writes."""

from __future__ import annotations

from typing import Final

import msgspec
from aiokafka.structs import ConsumerRecord

from clickhouse.feed import Feed
from clickhouse.rows import TierRow
from producers.control.secret_box import SecretBox
from producers.tiers.record import TIERS, tier_of

VERSIONS_PER_MS: Final = 1_000_000


def tier_row(record: ConsumerRecord, _box: SecretBox | None) -> bytes:
    """Convert a record to a row.

    The version is the broker's time, in which records of a restored topic are newer as well, and
    then the offset, because records of the same batch have the same time.
    """
    try:
        changed = tier_of(record.key or b"", record.value)
    except ValueError:
        return record.value or b""  # the store refuses it, and it becomes a dead letter
    return msgspec.json.encode(
        TierRow(
            project_id=changed.project_id,
            user_id=changed.user_id,
            tier=changed.tier,
            row_version=record.timestamp * VERSIONS_PER_MS + record.offset % VERSIONS_PER_MS,
        )
    )


FEED: Final = Feed(table="tiers", row=TierRow, topic=TIERS, row_of=tier_row)
