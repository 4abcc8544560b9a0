"""Budgets on the real broker and store: exact across kills, and complete when made mid-period."""

import asyncio
import time

import msgspec
import pytest

from producers.control.periods import period_bounds
from streams.core.rollups.deltas import Delta
from tests.fixtures.daytime import daytime_zone
from tests.streams.budgets.budget_world import spend

WORKER = "tests.streams.project_process"


def spent(offset: int, *changes: tuple[str, int]) -> Delta:
    at_s = int(time.time()) // 900 * 900
    return Delta("p1", 0, offset, [], [spend(pico, at_s, user) for user, pico in changes])


def crossed(alerts) -> list[tuple[str, str]]:
    """Return the user and the threshold of each alert, without repeated records."""
    found = {alert.id: msgspec.json.decode(alert.payload) for alert in alerts}
    return sorted(
        (payload["group"].get("user_id", ""), payload["threshold"]) for payload in found.values()
    )


async def test_a_budget_made_mid_period_counts_each_change_once(pipeline, until):
    """The changes arrive before, during and after the reading of the stored spend."""
    worker = pipeline.start_worker(WORKER)
    await pipeline.ready(worker)
    for number in range(20):
        await pipeline.send(spent(number, ("a", 30), ("b", 10)))
    budget = await pipeline.put_budget(
        group_by=("user_id",), limit_pico=1_000, thresholds=("0.6", "1"), time_zone="UTC"
    )
    for number in range(20, 40):
        await pipeline.send(spent(number, ("a", 30), ("b", 10)))
        await asyncio.sleep(0)

    async def states() -> dict[str, tuple[int, int]]:
        rows = await pipeline.rows(
            "SELECT `group`, toInt64(spent * 1000000000000) AS pico, incomplete"
            " FROM budget_states FINAL WHERE `group` != ''"
        )
        return {row["group"]: (row["pico"], row["incomplete"]) for row in rows}

    expected = {'{"user_id":"a"}': (1_200, 0), '{"user_id":"b"}': (400, 0)}

    async def are_exact() -> bool:
        return await states() == expected

    await until(are_exact)
    assert crossed(await pipeline.alerts()) == [("a", "0.6"), ("a", "1")]
    start_us, _ = period_bounds("day", budget.time_zone, budget.created_us)
    assert start_us <= budget.created_us


DEFERRED = {
    "TRACEMILL_ALERTING_STATES_PER_S_MAX": "1",
    "TRACEMILL_ALERTING_STATES_DELAY_MAX_S": "2",
}


@pytest.mark.parametrize("settings", [{}, DEFERRED], ids=["written at once", "written later"])
async def test_kills_change_no_sum_and_repeat_no_alert(pipeline, until, settings):
    await pipeline.put_budget(
        group_by=("user_id",), limit_pico=1_000, thresholds=("0.5", "1"), time_zone=daytime_zone()
    )
    sent = 0
    for _ in range(3):
        worker = pipeline.start_worker(
            WORKER, TRACEMILL_ALERTING_FLUSH_INTERVAL_S="0.02", **settings
        )
        await pipeline.ready(worker)
        for number in range(sent, sent + 40):
            delta = spent(number, ("a", 10), ("b", 4))
            await pipeline.send(delta)
            if number % 5 == 0:
                await pipeline.send(delta)  # a repetition, as after a crash of stage 1
        sent += 40
        pipeline.kill_workers()
    pipeline.start_worker(WORKER, **settings)

    async def are_exact() -> bool:
        rows = await pipeline.rows(
            "SELECT `group`, toInt64(spent * 1000000000000) AS pico FROM budget_states FINAL"
            " WHERE `group` != ''"
        )
        found = {row["group"]: row["pico"] for row in rows}
        return found == {'{"user_id":"a"}': 1_200, '{"user_id":"b"}': 480}

    await until(are_exact)
    assert crossed(await pipeline.alerts()) == [("a", "0.5"), ("a", "1")]
