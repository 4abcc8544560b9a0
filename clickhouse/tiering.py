"""Report rows, bytes and days of every table on the hot and the cold volume.

ClickHouse moves whole parts by the tables' TTL (migrations, setting ``hot_days``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

from clickhouse.store import Store

# Tables without a storage policy are on the default disk, which counts as the hot volume.
_USE: Final = """
WITH
    (
        SELECT groupUniqArrayArray(disks) FROM system.storage_policies WHERE volume_name = 'cold'
    ) AS cold_disks,
    parts_with_days AS
    (
        SELECT
            parts.table AS table,
            if(has(cold_disks, parts.disk_name), 'cold', 'hot') AS volume,
            toUInt32OrZero(
                extract(tables.engine_full, 'toIntervalDay\\\\((\\\\d+)\\\\) TO VOLUME')
            ) AS hot_days,
            hot_days > 0 AND isNotNull(toDateOrNull(parts.partition)) AS has_days,
            if(has_days, toDate(parts.min_time, 'UTC'), NULL) AS min_day,
            if(has_days, toDate(parts.max_time, 'UTC'), NULL) AS max_day,
            volume = 'hot' AND max_day + hot_days <= toDate(now('UTC')) AS is_overdue,
            parts.rows AS part_rows,
            parts.bytes_on_disk AS part_bytes
        FROM system.parts AS parts
        INNER JOIN system.tables AS tables
            ON tables.database = parts.database AND tables.name = parts.table
        WHERE parts.active AND parts.database = {database:String}
    )
SELECT
    table, volume, count() AS parts, sum(part_rows) AS rows, sum(part_bytes) AS bytes,
    min(min_day) AS first_day, max(max_day) AS last_day,
    countIf(is_overdue) AS overdue_parts, sumIf(part_rows, is_overdue) AS overdue_rows
FROM parts_with_days
GROUP BY table, volume
ORDER BY table, volume DESC
"""


@dataclass(frozen=True, slots=True)
class VolumeUse:
    """Use of a volume by a table; rows include old versions until merges remove them."""

    table: str
    volume: str
    """``hot`` or ``cold``."""
    parts: int
    rows: int
    bytes: int
    first_day: date | None
    """First day of the rows; None for tables that are not partitioned by day."""
    last_day: date | None
    overdue_parts: int
    """Parts on the hot volume older than ``hot_days``; if this remains above zero, moves fail."""
    overdue_rows: int


async def storage_report(store: Store, bounds: str = "") -> list[VolumeUse]:
    """Return the use of each volume by each table with rows, hot before cold.

    ``bounds`` is the statement's ``SETTINGS`` clause. Raises like ``Store.query``.
    """
    rows = await store.query(f"{_USE}{bounds}", {"database": store.database})
    return [
        VolumeUse(
            table=row["table"],
            volume=row["volume"],
            parts=row["parts"],
            rows=row["rows"],
            bytes=row["bytes"],
            first_day=row["first_day"],
            last_day=row["last_day"],
            overdue_parts=row["overdue_parts"],
            overdue_rows=row["overdue_rows"],
        )
        for row in rows
    ]
