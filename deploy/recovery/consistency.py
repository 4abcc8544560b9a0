"""Compare the store's totals of observations, windows and spend.

Rows of one event are inserted from several topics. If the log was lost when only some of them were
stored, one table contains an event that is missing in another.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import structlog

from clickhouse.errors import StoreError
from clickhouse.store import Store

DAYS_SHOWN_MAX: Final = 10
_SQL: Final = """
SELECT day, sum(observations) AS observations, sum(in_windows) AS in_windows,
    sum(cost) AS cost, sum(cost_in_windows) AS cost_in_windows, sum(spent) AS spent
FROM
(
    SELECT toDate(start_time) AS day, count() AS observations, 0 AS in_windows,
        sum(total_cost) AS cost, toDecimal128(0, 12) AS cost_in_windows,
        toDecimal128(0, 12) AS spent
    FROM observations FINAL WHERE is_deleted = 0 GROUP BY day
    UNION ALL
    SELECT toDate(window_start), 0, sum(observation_count), toDecimal128(0, 12), sum(total_cost),
        toDecimal128(0, 12)
    FROM windows FINAL GROUP BY toDate(window_start)
    UNION ALL
    SELECT toDate(bucket_start), 0, 0, toDecimal128(0, 12), toDecimal128(0, 12), sum(total_cost)
    FROM spend FINAL GROUP BY toDate(bucket_start)
)
GROUP BY day
HAVING observations != in_windows OR cost != cost_in_windows OR cost != spent
ORDER BY day DESC
LIMIT {limit:UInt32}
"""

log = structlog.get_logger(__name__)


async def disagreements(store: Store) -> list[str]:
    """Compare the totals by day; return a line for each of the latest days that differ.

    If the store cannot compare them, this is logged, and there are no lines.
    """
    try:
        rows = await store.query(_SQL, {"limit": DAYS_SHOWN_MAX})
    except StoreError as error:
        log.warning("totals_not_compared", reason=str(error)[:300])
        return []
    return [
        f"on {row['day']} the store has {row['observations']} observations "
        f"(${_usd(row['cost'])}), its windows {row['in_windows']} "
        f"(${_usd(row['cost_in_windows'])}), its spend ${_usd(row['spent'])}"
        for row in rows
    ]


def _usd(amount: Decimal) -> str:
    return f"{amount:f}"
