"""Hold what queries need: the store, limits, and up to when the store is complete."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import msgspec

from clickhouse.store import Store
from query_api.settings import QuerySettings
from query_api.store.reader import Reader
from query_api.times import SECOND_US

FreshUntil = Callable[[], int | None]
"""Return the time in microseconds before which all accepted events are stored; None: unknown."""


def never_known() -> int | None:
    """Return None, in processes that do not watch the pipeline."""
    return None


ROWS_UNIT: Final = 8_192
BYTES_UNIT: Final = 2**20
"""Amounts that are read are rounded up to these, because the store reads whole granules, in which
there may be rows of other projects."""


def rounded_up(amount: int, unit: int) -> int:
    return -(-amount // unit) * unit


_VOLUMES: Final = """
WITH (
  SELECT groupUniqArrayArray(disks) FROM system.storage_policies WHERE volume_name = 'cold'
) AS cold_disks
SELECT table, if(has(cold_disks, disk_name), 'cold', 'hot') AS volume,
  toInt64(min(toUnixTimestamp(min_time))) AS from_s,
  toInt64(max(toUnixTimestamp(max_time))) AS to_s
FROM system.parts
WHERE active AND database = {database:String} AND table IN {tables:Array(String)}
GROUP BY table, volume
"""
_TABLES: Final = ("observations", "observations_slim", "traces", "scores")


_SPEND: Final = 6
_COUNTS_OF_SPEND: Final = 27
_UNPRICED_OF_SPEND: Final = 35
"""Numbers of the migrations that create spend and add columns to it."""
_MIGRATIONS: Final = f"""
SELECT toInt64(number) AS number, toInt64(toUnixTimestamp(min(applied_time))) AS at_s
FROM schema_history WHERE number BETWEEN {_SPEND} AND {_UNPRICED_OF_SPEND}
GROUP BY number ORDER BY number
"""
_PAUSE_MAX_S: Final = 30
"""Maximum time between two migrations of one run, during which no rows are written."""


class _Migration(msgspec.Struct):
    number: int
    at_s: int


class _Volume(msgspec.Struct):
    table: str
    volume: str
    from_s: int
    to_s: int
    """Time of the latest row; zero if parts do not have times."""


@dataclass(slots=True)
class QueryEngine:
    """What queries need."""

    store: Store
    reader: Reader
    settings: QuerySettings
    fresh_until_us: FreshUntil = never_known
    _volumes: list[_Volume] = field(default_factory=list)
    _volumes_at_s: float = float("-inf")
    _migrations: list[_Migration] = field(default_factory=list)

    async def is_spend_complete(self, from_us: int) -> bool:
        """Return whether spend has counts and all dimensions since a time.

        Raises:
            TooCostlyError, UnavailableError: as ``Reader.bounded``.
        """
        return from_us >= await self._since_s(_COUNTS_OF_SPEND) * SECOND_US

    async def has_spend_unpriced(self, from_us: int) -> bool:
        """Return whether spend counts calls without a price since a time.

        Raises:
            TooCostlyError, UnavailableError: as ``Reader.bounded``.
        """
        return from_us >= await self._since_s(_UNPRICED_OF_SPEND) * SECOND_US

    async def _since_s(self, migration: int) -> int:
        """Return since when all rows of spend have the columns of a migration.

        Migration 6 created the table. All rows have the columns if both ran together, and otherwise
        only the rows of buckets that began after this migration.
        """
        if not self._migrations:
            body = await self.reader.bounded(
                "migrations", lambda bounds: self.store.query_bytes(f"{_MIGRATIONS}{bounds}")
            )
            self._migrations = msgspec.json.Decoder(_Migration).decode_lines(body)
        times_s = [each.at_s for each in self._migrations if each.number <= migration]
        pauses_s = [later - earlier for earlier, later in pairwise(times_s)]
        return 0 if max(pauses_s, default=0) <= _PAUSE_MAX_S else times_s[-1]

    async def volumes(self, table: str, from_us: int, to_us: int) -> list[str]:
        """Return the volumes with rows of a table in a range, hot before cold.

        Raises:
            TooCostlyError, UnavailableError: as ``Reader.bounded``.
        """
        if time.monotonic() - self._volumes_at_s >= self.settings.query_volumes_cache_s:
            params = {"database": self.store.database, "tables": list(_TABLES)}
            body = await self.reader.bounded(
                "volumes",
                lambda bounds: self.store.query_bytes(f"{_VOLUMES}{bounds}", params),
            )
            self._volumes = msgspec.json.Decoder(_Volume).decode_lines(body)
            self._volumes_at_s = time.monotonic()
        found = {
            each.volume
            for each in self._volumes
            if each.table == table
            and each.from_s * SECOND_US < to_us
            and (not each.to_s or each.to_s * SECOND_US >= from_us - SECOND_US)
        }
        return sorted(found, reverse=True)
