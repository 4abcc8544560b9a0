"""The store keeps the latest state of each budget, limit, period and group."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from clickhouse.rows import BudgetStateRow
from clickhouse.store import Store
from producers.control.periods import FOREVER_US
from tests.clickhouse.rows_for_tests import DAY_US, write
from tracemill.clock import now_us

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def state(**changes: object) -> BudgetStateRow:
    today_us = now_us() // DAY_US * DAY_US
    values: dict[str, object] = {
        "project_id": "p",
        "budget_id": "bud_1",
        "period": "day",
        "period_start_us": today_us,
        "period_end_us": today_us + DAY_US,
        "group": '{"user_id":"u1"}',
        "updated_us": now_us(),
        "row_version": 1,
    }
    return BudgetStateRow(**{**values, **changes})


async def test_the_latest_state_of_a_group_is_read(clickhouse_store: Store) -> None:
    first = state(spent_pico=5, limit_pico=10**12)
    later = state(
        tier="free",
        spent_pico=2 * 10**12 + 1,
        limit_pico=10**12,
        crossed=("0.8", "1"),
        incomplete=1,
        trace_id="t1",
        row_version=2,
    )
    other = state(group='{"user_id":"größe \\"2\\""}', spent_pico=-3, limit_name="hourly")
    await write(clickhouse_store, "budget_states", later, first, other)
    rows = await clickhouse_store.query(
        "SELECT * EXCEPT inserted_at FROM budget_states FINAL ORDER BY limit_name"
    )
    assert [row["spent"] for row in rows] == [Decimal("2.000000000001"), Decimal("-3e-12")]
    assert rows[0]["crossed"] == ["0.8", "1"]
    assert (rows[0]["tier"], rows[0]["incomplete"], rows[0]["limit_usd"]) == ("free", 1, 1)
    assert rows[1]["group"] == other.group


async def test_a_period_without_an_end_is_stored(clickhouse_store: Store) -> None:
    row = state(period="total", period_start_us=0, period_end_us=FOREVER_US, group="{}")
    await write(clickhouse_store, "budget_states", row)
    await clickhouse_store.command("OPTIMIZE TABLE budget_states FINAL")  # applies the TTL
    (stored,) = await clickhouse_store.query("SELECT period_end_time FROM budget_states FINAL")
    assert stored["period_end_time"] == _EPOCH + timedelta(microseconds=FOREVER_US)
