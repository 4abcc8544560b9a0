"""Rules in a worker on a real broker: their history, their states and kills."""

import time
from collections import Counter

import msgspec

from clickhouse.rows import AlertRow, ObservationRow, ScoreRow, TraceRow, WindowRow
from producers.notifications.rule_change import RuleChange
from streams.core.rollups.deltas import Delta, WindowDelta
from streams.core.rollups.sketch import key_of, state_hex
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


async def test_any_single_trace_above_a_cost_fires_once_although_the_worker_is_killed(
    pipeline, until
) -> None:
    created_us = time.time_ns() // 1_000
    await pipeline.control.put(
        rule(metric="trace_cost", threshold="2", created_us=created_us, keep_firing_for_s=3_600)
    )

    async def finish(trace_id: str, cost_usd: int) -> None:
        row = TraceRow(
            project_id="p1",
            id=trace_id,
            start_us=time.time_ns() // 1_000,
            row_version=1,
            total_cost_pico=cost_usd * 10**12,
        )
        await pipeline.producer.send_and_wait(
            pipeline.kafka.topics.traces, msgspec.json.encode(row), partition=0
        )

    async def exemplars() -> list[str]:
        return [
            trace
            for alert in await pipeline.alerts()
            for trace in msgspec.json.decode(alert.payload, type=RuleChange).exemplars
        ]

    pipeline.start_worker(WORKER)
    for number in range(3):
        await finish(f"t{number}", 2 + number)

        async def have_fired(expected: int = number) -> bool:
            return len({*await exemplars()}) == expected

        await pipeline.send(counted(number))
        if number:
            await until(have_fired)
    pipeline.kill_workers()
    await finish("t1", 5)
    await finish("t9", 5)
    pipeline.start_worker(WORKER)

    async def has_continued() -> bool:
        return "t9" in await exemplars()

    await until(has_continued)
    assert sorted(await exemplars()) == ["t1", "t2", "t9"]


async def test_a_latency_that_doubled_since_last_week_fires(pipeline, until) -> None:
    def row(start_s: int, latency_s: float, name: str) -> WindowRow:
        return WindowRow(
            project_id="p1",
            window_s=start_s,
            environment="default",
            model="m",
            name=name,
            row_version=1,
            observation_count=10,
            latency_state_hex=state_hex({key_of(latency_s * 1e6): 10}),
        )

    week_ago_s = int(time.time()) // 10 * 10 - 7 * 86_400
    rows = [row(week_ago_s - 10 * n, 1.0, f"n{n % 2}") for n in range(-30, 30)]
    await pipeline.producer.send_and_wait(
        pipeline.kafka.topics.windows, b"\n".join(map(msgspec.json.encode, rows)), partition=0
    )

    async def are_stored() -> bool:
        (found,) = await pipeline.rows("SELECT count() AS n FROM windows FINAL")
        return found["n"] == len(rows)

    await until(are_stored)
    await pipeline.control.put(
        rule(
            metric="p95_latency",
            comparison=">=",
            threshold="2",
            window_s=60,
            compare_with="week",
            group_by=("model",),
        )
    )
    pipeline.start_worker(WORKER)
    offset = 0

    async def has_fired() -> bool:
        nonlocal offset
        offset += 1
        await pipeline.send(counted(offset, latency_s=2.5))
        return bool(await pipeline.alerts())

    await until(has_fired)
    (alert,) = await pipeline.alerts()
    assert 2.4 < alert.value < 2.6


async def test_a_low_mean_fires_for_the_model_of_the_scored_call(pipeline, until) -> None:
    at_us = time.time_ns() // 1_000
    call = ObservationRow(
        project_id="p1", trace_id="t", id="o", start_us=at_us, row_version=1, model="cheap",
        prompt_name="support", prompt_version=7,
    )  # fmt: skip
    score = ScoreRow(
        project_id="p1", id="s", event_us=at_us, row_version=at_us, name="quality", value=0.2,
        trace_id="t", observation_id="o",
    )  # fmt: skip
    topics, send = pipeline.kafka.topics, pipeline.producer.send_and_wait
    await send(topics.scores, msgspec.json.encode(score), partition=0)
    await pipeline.control.put(
        rule(
            metric="score_mean",
            threshold="0.7",
            comparison="<",
            window_s=600,
            filter={"prompt_version": ("7",)},
            group_by=("model",),
        )
    )
    pipeline.start_worker(WORKER)
    await send(topics.observations, msgspec.json.encode(call), partition=0)

    async def has_fired() -> bool:
        return bool(await pipeline.alerts())

    await until(has_fired)
    (alert,) = await pipeline.alerts()
    assert msgspec.json.decode(alert.payload, type=RuleChange).group == {"model": "cheap"}


async def test_a_low_mean_of_scores_fires_once_although_the_worker_is_killed(
    pipeline, until
) -> None:
    def score(number: int, value: float) -> bytes:
        at_us = time.time_ns() // 1_000
        row = ScoreRow(
            project_id="p1", id=f"s{number}", event_us=at_us, row_version=at_us, name="quality",
            value=value, trace_id=f"t{number}",
        )  # fmt: skip
        return msgspec.json.encode(row)

    async def send(*rows: bytes) -> None:
        for number, row in enumerate(rows):
            await pipeline.producer.send_and_wait(
                pipeline.kafka.topics.scores, row, partition=number % 2
            )

    async def means() -> list[tuple[str, str]]:
        return [(alert.event, f"{alert.value:.3f}") for alert in await pipeline.alerts()]

    first = [score(1, 1), score(2, 0.5)]
    await send(*first, *first)
    await pipeline.control.put(
        rule(metric="score_mean", threshold="0.7", comparison="<", window_s=600)
    )
    pipeline.start_worker(WORKER)
    await until_rows(pipeline, until, lambda rows: rows and not rows[0]["incomplete"])
    pipeline.kill_workers()
    await send(score(3, 0.3), *first)
    pipeline.start_worker(WORKER)

    async def has_fired() -> bool:
        return bool(await means())

    await until(has_fired)
    pipeline.kill_workers()
    pipeline.start_worker(WORKER)
    await until_rows(pipeline, until, lambda rows: [row["state"] for row in rows] == ["firing"])
    assert await means() == [("alert.firing", "0.600")]
