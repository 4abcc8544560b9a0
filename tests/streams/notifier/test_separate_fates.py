"""The notifier restarts alone, isolates bad records, and runs on one worker at a time."""

import json
import time

import pytest
from prometheus_client import REGISTRY

from producers.settings import WebhookSettings
from streams.core.rollups.deltas import Delta, SpendDelta
from streams.jobs import stage as job_stage
from streams.jobs.kind import JobContext
from streams.jobs.kinds.webhook_delivery import WebhookDeliveries
from streams.jobs.stage import JobStage
from streams.notifications.settings import NotifierSettings
from streams.runtime.restarts import pause_s
from streams.runtime.suspension import SuspensionGuard
from tests.streams.notifier.receivers import OK, receiving, status

FAST = {"TRACEMILL_NOTIFIER_RETRY_SCHEDULE_S": json.dumps([0.2] * 50)}
BUCKET_S = int(time.time()) // 900 * 900
SPENT = "SELECT toInt64(sum(total_cost) * 1000000000000) AS pico FROM spend FINAL"
DEAD_LETTERS = """
SELECT reason, detail, source_topic, source_partition, source_offset, payload, project_id
FROM dead_letters FINAL WHERE stage = 'notifier' ORDER BY source_offset
"""


def spend(offset, cost_pico):
    return Delta(
        "p1", 0, offset, [], [SpendDelta(BUCKET_S, "u1", "m1", "default", cost_pico, f"t{offset}")]
    )


def delivering(pipeline, **arguments):
    context = JobContext(
        pipeline.kafka,
        pipeline.control,
        WebhookSettings(allow_private=True),
        NotifierSettings(restart_pause_s=0.05, restart_pause_max_s=0.2),
    )
    return JobStage(WebhookDeliveries, context, **arguments)


async def came(receiver, *ids):
    return set(ids) <= set(receiver.ids)


async def test_poison_among_alerts_and_deliveries_is_set_aside_alone(pipeline, until):
    """Invalid records, and alerts whose body cannot be built."""
    alerts, deliveries = pipeline.kafka.topics.alerts, pipeline.kafka.topics.deliveries
    for topic in (alerts, deliveries):
        for value in (b"[" * 5_000, b"not json", b'{"project_id": 7}', b"\xff\xfe"):
            await pipeline.producer.send_and_wait(topic, value, key=b"\xff\xfe", partition=0)
    async with receiving() as receiver:
        await pipeline.put_webhook(receiver.url)
        await pipeline.put_alert("alert_scope", threshold="a lot")
        await pipeline.put_alert("alert_time", period_start_us=10**18)
        await pipeline.put_alert("alert_good")
        await pipeline.put_budget()
        pipeline.start_worker(**FAST)
        await until(lambda: came(receiver, "alert_good"))
        await pipeline.send(spend(0, 850))
        await until(lambda: spent(pipeline, 850))

        async def eight_and_two():
            rows = await pipeline.rows(DEAD_LETTERS)
            return rows if len(rows) >= 10 else None

        rows = await until(eight_and_two)
        pipeline.kill_workers()
        pipeline.start_worker(**FAST)
        await pipeline.put_alert("alert_later")
        await until(lambda: came(receiver, "alert_later"))
    assert len(await pipeline.rows(DEAD_LETTERS)) == 10
    assert {row["reason"] for row in rows} == {"processing_failed"}
    assert {row["source_topic"] for row in rows} == {alerts, deliveries}
    failed = [row for row in rows if row["source_offset"] == -1]
    assert len(failed) == 2
    assert all(
        row["project_id"] == "p1" and "producers.notifications" in row["detail"] for row in failed
    )
    assert not {"alert_scope", "alert_time"} & set(receiver.ids)


async def spent(pipeline, pico):
    return await pipeline.rows(SPENT) == [{"pico": pico}]


async def test_a_retry_after_with_an_impossible_date_fails_only_its_attempt(pipeline, until):
    odd = status(503, "retry-after: Sun, 06 Nov 1994 08:49:37 +99999999999999999999")
    async with receiving(lambda number: odd if number == 1 else OK) as receiver:
        await pipeline.put_webhook(receiver.url)
        pipeline.start_worker(**FAST)
        await pipeline.put_alert("alert_0")
        await pipeline.send(spend(0, 7))

        async def twice():
            return len(receiver.requests) == 2

        await until(twice)
        await until(lambda: spent(pipeline, 7))


async def test_of_two_workers_one_delivers_and_the_other_takes_over(pipeline, until):
    async with receiving() as receiver:
        await pipeline.put_webhook(receiver.url)
        first = pipeline.start_worker(**FAST)
        await pipeline.put_alert("alert_0")
        await until(lambda: came(receiver, "alert_0"))
        second = pipeline.start_worker(**FAST)
        await pipeline.ready(second)
        for number in range(1, 6):
            await pipeline.put_alert(f"alert_{number}")
        await until(lambda: came(receiver, *(f"alert_{number}" for number in range(6))))
        assert sorted(receiver.ids) == [f"alert_{number}" for number in range(6)]
        first.kill()
        first.wait()
        await pipeline.put_alert("alert_6")
        await until(lambda: came(receiver, "alert_6"))
        second.terminate()
        second.wait()
        assert second.returncode == 0
    assert len(set(receiver.ids)) == 7


async def test_a_notifier_that_fails_is_started_again_and_ends_nothing_else(
    pipeline, until, monkeypatch
):
    began = []

    class Failing(job_stage.JobRunner):
        async def run(self):
            began.append(time.monotonic())
            if len(began) <= 2:
                raise RuntimeError("a bug")
            await super().run()

    def restarts():
        return REGISTRY.get_sample_value("tracemill_notifier_restarts_total")

    before = restarts()
    monkeypatch.setattr(job_stage, "JobRunner", Failing)
    stage = delivering(pipeline)
    async with receiving() as receiver:
        await pipeline.put_webhook(receiver.url)
        stage.start()
        try:
            await pipeline.put_alert("alert_0")
            await until(lambda: came(receiver, "alert_0"))
        finally:
            await stage.stop()
    assert len(began) == 3
    assert restarts() == before + 2


async def test_a_notifier_whose_worker_was_stopped_writes_nothing_more(pipeline, until):
    now_s = [100.0]
    guard = SuspensionGuard(6, lambda: now_s[0])
    stage = delivering(pipeline, guard=guard)

    async def delivered(alert_id):
        states = await pipeline.values_of(pipeline.kafka.topics.deliveries)
        return any(alert_id.encode() in state for state in states)

    def restarts():
        return REGISTRY.get_sample_value("tracemill_notifier_restarts_total")

    async with receiving() as receiver:
        await pipeline.put_webhook(receiver.url)
        stage.start()
        try:
            await pipeline.put_alert("alert_0")
            await until(lambda: delivered("alert_0"))
            before = restarts()
            now_s[0] += 60
            await pipeline.put_alert("alert_1")

            async def refused():
                return restarts() > before

            await until(refused)
        finally:
            await stage.stop()
    assert not await delivered("alert_1")


@pytest.mark.parametrize("failures", [1, 2, 5, 1_000_000])
def test_pauses_grow_up_to_their_limit(failures):
    pauses = [pause_s(failures, 1.0, 60.0) for _ in range(50)]
    whole = min(60.0, 2.0 ** min(failures - 1, 10))
    assert all(whole / 2 <= pause <= whole for pause in pauses)
    assert len(set(pauses)) > 1
