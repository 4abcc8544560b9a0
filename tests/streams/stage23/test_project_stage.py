"""Stage 2 and budgets with a real broker and store, also when workers are killed."""

import random
import time

from streams.core.rollups.deltas import Delta, SpendDelta, WindowDelta
from streams.core.rollups.sketch import key_of

NOW_S = int(time.time())
MINUTE_S, BUCKET_S = NOW_S // 60 * 60, NOW_S // 900 * 900

WINDOWS = """
SELECT toUnixTimestamp(window_start) AS at, model, observation_count AS n,
    toInt64(total_cost * 1000000000000) AS pico,
    usage, finalizeAggregation(latency_state) AS percentiles
FROM windows FINAL WHERE project_id = 'p1' ORDER BY at, model
"""
COUNTED = """
SELECT sum(observation_count) AS n, toInt64(sum(total_cost) * 1000000000000) AS pico
FROM windows FINAL
"""
SPENT = """
SELECT toInt64(sum(total_cost) * 1000000000000) AS pico FROM spend FINAL WHERE project_id = 'p1'
"""


def delta(offset, cost_pico, *, project="p1", user="u1", model="m1", at_s=BUCKET_S, partition=0):
    window = WindowDelta(
        at_s // 60 * 60, "default", model, "chat", 1, 0, cost_pico, {"input": 7}, {key_of(5e5): 1}
    )
    spend = SpendDelta(at_s // 900 * 900, user, model, "default", cost_pico, f"trace-{offset}")
    return Delta(project, partition, offset, [window], [spend])


async def test_deltas_become_windows_and_spend_once_each(pipeline, until):
    pipeline.start_worker()
    await pipeline.send(delta(0, 10, at_s=MINUTE_S), delta(1, 30, at_s=MINUTE_S))
    await pipeline.send(delta(0, 10, at_s=MINUTE_S), delta(1, 30, at_s=MINUTE_S))
    await pipeline.send(delta(1, 30, at_s=MINUTE_S), delta(2, 5, at_s=MINUTE_S, model="m2"))

    async def both_models():
        rows = await pipeline.rows(WINDOWS)
        return rows if len(rows) == 2 else None

    first, second = await until(both_models)
    assert (first["at"], first["n"], first["pico"]) == (MINUTE_S, 2, 40)
    assert first["usage"] == {"input": 14}
    assert abs(first["percentiles"][1] / 5e5 - 1) <= 0.011
    assert (second["model"], second["n"], second["pico"]) == ("m2", 1, 5)

    async def all_spend():
        return await pipeline.rows(SPENT) == [{"pico": 45}]

    await until(all_spend)


async def test_a_crossing_is_alerted_once_with_the_trace_that_caused_it(pipeline, until):
    await pipeline.put_budget(scope={"user_id": "u1"})
    pipeline.start_worker()
    for offset in range(10):
        await pipeline.send(delta(offset, 100), delta(offset, 9_999, project="p2"))
        await pipeline.send(delta(offset, 100))

    async def two():
        alerts = await pipeline.alerts()
        return alerts if len(alerts) >= 2 else None

    alerts = await until(two)
    assert [(a.threshold, a.spent_pico, a.trace_id) for a in alerts] == [
        ("0.8", 800, "trace-7"),
        ("1.0", 1_000, "trace-9"),
    ]
    await until(lambda: pipeline.rows("SELECT id FROM alerts FINAL WHERE budget_id = 'b1'"))


async def test_a_budget_created_later_starts_from_the_spend_so_far(pipeline, until):
    pipeline.start_worker()
    await pipeline.send(delta(0, 850))

    async def stored():
        return (await pipeline.rows(SPENT))[0]["pico"] == 850

    await until(stored)
    await pipeline.put_budget()
    [alert] = await until(pipeline.alerts)
    assert (alert.threshold, alert.spent_pico) == ("0.8", 850)


async def test_a_deleted_budget_alerts_no_more(pipeline, until):
    def alerts_of(budget_id):
        async def alerts():
            return [alert for alert in await pipeline.alerts() if alert.budget_id == budget_id]

        return alerts

    pipeline.start_worker()
    await pipeline.put_budget()
    await pipeline.put_budget(id="b2", limit_pico=10_000)
    await pipeline.send(delta(0, 850))
    await until(pipeline.alerts)
    await pipeline.control.delete("budget", "b1")
    # Budgets and spend arrive separately; if this budget has arrived, so has the deletion.
    await pipeline.put_budget(id="b3", limit_pico=1)
    await until(alerts_of("b3"))
    await pipeline.send(delta(1, 8_000))
    await until(alerts_of("b2"))
    assert [alert.threshold for alert in await alerts_of("b1")()] == ["0.8"]


async def test_kills_and_replays_change_no_total_and_no_alert(pipeline, until):
    rng = random.Random(7)
    await pipeline.put_budget(limit_pico=8_000, time_zone="UTC")
    await pipeline.put_budget(id="b2", limit_pico=9_000, scope={"user_id": "u2"}, time_zone="UTC")
    costs = [[rng.randint(0, 100) for _ in range(200)] for _ in range(2)]
    users = [[rng.choice(["u1", "u2"]) for _ in range(200)] for _ in range(2)]
    late = [[rng.choice([0, 0, 0, 900, 7_200]) for _ in range(200)] for _ in range(2)]
    seen = 0
    for round_number in range(4):
        pipeline.start_worker()
        await pipeline.producer.partitions_for(pipeline.kafka.topics.deltas)
        begin = max(0, round_number * 50 - 20)
        for offset in range(begin, (round_number + 1) * 50):
            for source in (0, 1):
                await pipeline.send(
                    delta(
                        offset,
                        costs[source][offset],
                        user=users[source][offset],
                        at_s=BUCKET_S - late[source][offset],
                        partition=source,
                    )
                )

        async def some_progress(before=seen):
            [row] = await pipeline.rows(COUNTED)
            return row["n"] if row["n"] > before else None

        seen = await until(some_progress)
        pipeline.kill_workers()
    pipeline.start_worker()
    total = sum(map(sum, costs))

    async def exact():
        return (await pipeline.rows(SPENT))[0]["pico"] == total

    await until(exact)

    async def all_windows():
        return await pipeline.rows(COUNTED) == [{"n": 400, "pico": total}]

    await until(all_windows)
    day_s = 86_400
    reached = set()
    for budget, limit, user in (("b1", 8_000, None), ("b2", 9_000, "u2")):
        spent: dict[int, int] = {}
        for source in (0, 1):
            for offset in range(200):
                if user in (None, users[source][offset]):
                    day = (BUCKET_S - late[source][offset]) // day_s
                    spent[day] = spent.get(day, 0) + costs[source][offset]
        reached |= {
            (budget, day * day_s * 1_000_000, threshold)
            for day, pico in spent.items()
            for threshold in ("0.8", "1.0")
            if pico >= limit * float(threshold)
        }

    async def all_alerts():
        alerts = [(a.budget_id, a.period_start_us, a.threshold) for a in await pipeline.alerts()]
        return alerts if reached <= set(alerts) else None

    # Periods are settled by a task of their own, the last of them maybe after all is stored.
    assert sorted(await until(all_alerts)) == sorted(reached)
