"""Rules in a worker on a real broker: their history, their states and kills."""

import time
from collections import Counter

import msgspec

from clickhouse.rows import AlertRow
from producers.notifications.rule_change import RuleChange
from streams.core.rollups.deltas import Delta, WindowDelta
from streams.core.rollups.sketch import key_of
from tests.streams.alerting.rules.rule_book import rule

WORKER = "tests.streams.alerting.alerting_process"


def counted(offset: int, *, model: str = "m", count: int = 1, latency_s: float = 1.0) -> Delta:
    bins = {key_of(latency_s * 1e6): count}
    start_s = int(time.time()) // 10 * 10
    window = WindowDelta(start_s, "default", model, "n", count, 0, 0, {}, bins)
    return Delta("p1", 0, offset, [window], [])


def events(alerts: list[AlertRow]) -> Counter[tuple[str, str, str]]:
    """Count the alerts by id, event and model."""
    return Counter(
        (
            alert.id,
            alert.event,
            msgspec.json.decode(alert.payload, type=RuleChange).group.get("model", ""),
        )
        for alert in alerts
    )


async def test_a_new_rule_counts_what_was_there_before_it(pipeline, until) -> None:
    await pipeline.control.put(rule(id="rule_0", metric="count", threshold="1000"))
    pipeline.start_worker(WORKER)
    for offset in range(3):
        await pipeline.send(counted(offset, count=10))
    rows = await until_rows(pipeline, until, lambda rows: len(rows) == 1)
    assert rows[0]["rule_id"] == "rule_0"
    await pipeline.control.put(
        rule(id="rule_1", metric="count", threshold="35", comparison=">=", window_s=3_600)
    )
    await pipeline.control.put(rule(id="rule_2", metric="avg_latency", window_s=3_600))
    await until_rows(
        pipeline,
        until,
        lambda rows: len(rows) == 3 and not any(row["incomplete"] for row in rows),
    )
    await pipeline.send(counted(3, count=10, latency_s=60))

    async def have_fired() -> bool:
        return len(await pipeline.alerts()) == 2

    await until(have_fired)
    fired = {alert.rule_id: alert.event for alert in await pipeline.alerts()}
    assert fired == {"rule_1": "alert.firing", "rule_2": "alert.firing"}


async def test_kills_announce_no_episode_twice(pipeline, until) -> None:
    await pipeline.control.put(
        rule(
            metric="count",
            threshold="50",
            comparison=">=",
            window_s=3_600,
            group_by=("model",),
        )
    )
    models = [f"m{number}" for number in range(8)]
    offset = 0
    for _ in range(4):
        pipeline.start_worker(WORKER, TRACEMILL_ALERTING_FLUSH_INTERVAL_S="0.02")
        for _ in range(15):
            await pipeline.send(*(counted(offset + n, model=m) for n, m in enumerate(models)))
            offset += len(models)
        pipeline.kill_workers()
    pipeline.start_worker(WORKER)

    async def have_fired() -> bool:
        return {model for _, _, model in events(await pipeline.alerts())} == {*models}

    await until(have_fired)
    await until_rows(
        pipeline, until, lambda rows: [row["state"] for row in rows] == ["firing"] * len(models)
    )
    pipeline.kill_workers()
    found = events(await pipeline.alerts())
    assert len(found) == len(models), found


async def until_rows(pipeline, until, is_met) -> list[dict]:
    sql = "SELECT rule_id, group, state, incomplete FROM alert_states FINAL ORDER BY rule_id, group"

    async def met() -> list[dict]:
        rows = await pipeline.rows(sql)
        return rows if is_met(rows) else []

    return await until(met)
