"""Alerts are delivered to webhooks at least once, despite kills and failing receivers."""

import json
import time

import msgspec
from standardwebhooks import Webhook as Verifier

from deploy.embedded.ports import free_ports
from producers.control.kinds.webhook import Webhook
from streams.core.deliveries import Delivery
from streams.core.rollups.deltas import Delta, SpendDelta
from tests.streams.notifier.receivers import OK, receiving, status

FAST = {
    "TRACEMILL_NOTIFIER_RETRY_SCHEDULE_S": json.dumps([0.2] * 6 + [1] * 44),
    "TRACEMILL_NOTIFIER_ATTEMPT_TIMEOUT_S": "30",
}
BUCKET_S = int(time.time()) // 900 * 900


def spend(offset, cost_pico):
    return Delta(
        "p1", 0, offset, [], [SpendDelta(BUCKET_S, "u1", "m1", "default", cost_pico, f"t{offset}")]
    )


async def test_a_crossing_reaches_its_receiver_once_however_often_it_is_replayed(pipeline, until):
    async with receiving() as receiver:
        webhook = await pipeline.put_webhook(receiver.url)
        await pipeline.put_budget(limit_pico=1_000_000, scope={"user_id": "u1"})
        pipeline.start_worker(**FAST)
        await pipeline.send(spend(0, 850_000), spend(1, 50_000))

        async def came():
            return receiver.requests

        [(headers, body)] = await until(came)
        await until(lambda: pipeline.values_of(pipeline.kafka.topics.deliveries))
        pipeline.kill_workers()
        await pipeline.send(spend(0, 850_000), spend(1, 50_000))
        pipeline.start_worker(**FAST)
        await pipeline.send(spend(0, 850_000), spend(1, 50_000), spend(2, 100_000))

        async def both():
            return len(set(receiver.ids)) == 2

        await until(both)
        assert len(receiver.requests) == 2
    event = Verifier(webhook.secret).verify(body, headers)
    assert event["type"] == "budget.threshold_crossed"
    assert event["data"]["spent_usd"] == "0.00000085"
    assert event["data"]["limit_usd"] == "0.000001"
    assert event["data"]["scope"] == {"user_id": "u1"}
    assert [json.loads(body)["data"]["trace_id"] for _, body in receiver.requests] == ["t0", "t2"]


async def test_a_receiver_that_was_down_gets_everything_once_it_is_up(pipeline, until):
    (port,) = free_ports(1)
    await pipeline.put_webhook(f"http://127.0.0.1:{port}/hook")
    pipeline.start_worker(**FAST)
    for number in range(3):
        await pipeline.put_alert(f"alert_{number}")

    async def tried():
        return len(await pipeline.values_of(pipeline.kafka.topics.deliveries)) >= 3

    await until(tried)
    pipeline.kill_workers()
    pipeline.start_worker(**FAST)
    async with receiving(port=port) as receiver:

        async def all_of_them():
            return set(receiver.ids) == {"alert_0", "alert_1", "alert_2"}

        await until(all_of_them)


async def test_alerts_of_an_episode_arrive_in_order_even_if_the_first_one_fails(pipeline, until):
    async with receiving(lambda number: status(500) if number < 4 else OK) as receiver:
        await pipeline.put_webhook(receiver.url)
        for number in range(3):
            await pipeline.put_alert(f"alert_{number}")
        pipeline.start_worker(**FAST)

        async def all_of_them():
            return len(set(receiver.ids)) == 3

        await until(all_of_them)
    assert receiver.ids == ["alert_0"] * 4 + ["alert_1", "alert_2"]


async def test_a_dead_receiver_delays_no_other(pipeline, until):
    async with receiving(lambda _: None) as dead, receiving() as alive:
        await pipeline.put_webhook(dead.url, id="dead")
        await pipeline.put_webhook(alive.url, id="alive")
        pipeline.start_worker(**FAST | {"TRACEMILL_NOTIFIER_ATTEMPT_TIMEOUT_S": "300"})
        for number in range(20):
            await pipeline.put_alert(f"alert_{number}")

        async def all_of_them():
            return len(set(alive.ids)) == 20

        await until(all_of_them)
        assert len(dead.requests) <= 4
    assert sorted(alive.ids) == sorted(set(alive.ids))


async def test_a_receiver_that_answers_gone_gets_no_more_attempts(pipeline, until):
    async with receiving(lambda _: status(410)) as receiver:
        await pipeline.put_webhook(receiver.url)
        pipeline.start_worker(**FAST)
        await pipeline.put_alert("alert_0")

        async def disabled():
            return pipeline.control.view[Webhook]["w1"].disabled

        await until(disabled)
        # Kept once the worker knows it too, which reads the control plane's log by itself.
        await until(lambda: pipeline.values_of(pipeline.kafka.topics.deliveries))
        await pipeline.put_alert("alert_1")
        async with receiving() as other:
            await pipeline.put_webhook(other.url, id="w2")
            await pipeline.put_alert("alert_2")

            async def came():
                return other.requests

            await until(came)
        assert receiver.ids == ["alert_0"]


async def test_an_undeliverable_alert_becomes_a_dead_letter(pipeline, until):
    async with receiving(lambda _: status(500)) as receiver:
        await pipeline.put_webhook(receiver.url)
        pipeline.start_worker(**FAST | {"TRACEMILL_NOTIFIER_RETRY_SCHEDULE_S": "[0.05,0.05]"})
        await pipeline.put_alert("alert_0")
        [row] = await until(
            lambda: pipeline.rows("SELECT id, stage, reason, detail FROM dead_letters FINAL")
        )
    assert row == {
        "id": "alert_0/w1",
        "stage": "notifier",
        "reason": "webhook_exhausted",
        "detail": "3 attempts failed; the last one: status 500",
    }
    assert receiver.ids == ["alert_0"] * 3


async def test_webhooks_get_alerts_of_their_project_since_their_creation(pipeline, until):
    async with receiving() as receiver, receiving() as stranger:
        pipeline.start_worker(**FAST)
        await pipeline.put_alert("alert_before", created_us=time.time_ns() // 1_000 - 10_000_000)
        await pipeline.put_webhook(stranger.url, id="w2", project_id="p2")
        await pipeline.put_webhook(receiver.url)
        await pipeline.put_alert("alert_after")

        async def came():
            return "alert_after" in receiver.ids

        await until(came)
        assert receiver.ids == ["alert_after"]
        assert stranger.requests == []


async def test_retry_after_is_honoured(pipeline, until):
    arrived = []

    def respond(number):
        arrived.append(time.monotonic())
        return status(503, "retry-after: 2") if number == 1 else OK

    async with receiving(respond) as receiver:
        await pipeline.put_webhook(receiver.url)
        pipeline.start_worker(**FAST)
        await pipeline.put_alert("alert_0")

        async def twice():
            return len(receiver.requests) == 2

        await until(twice)
    assert arrived[1] - arrived[0] >= 2


async def test_deliveries_of_an_old_alert_are_not_started_but_started_ones_are_finished(
    pipeline, until
):
    """Alerts older than a week are not delivered, unless their delivery has been started."""
    old_us = time.time_ns() // 1_000 - 8 * 24 * 3_600_000_000
    async with receiving() as receiver:
        await pipeline.put_webhook(receiver.url, created_us=old_us - 1)
        begun = Delivery(alert_id="alert_begun", webhook_id="w1", attempts=8, updated_us=old_us)
        await pipeline.producer.send_and_wait(
            pipeline.kafka.topics.deliveries,
            msgspec.json.encode(begun),
            key=begun.id.encode(),
            partition=0,
        )
        await pipeline.put_alert("alert_old", created_us=old_us)
        await pipeline.put_alert("alert_begun", created_us=old_us)
        pipeline.start_worker(**FAST)
        await pipeline.put_alert("alert_new")

        async def both():
            return len(receiver.ids) >= 2

        await until(both)
        assert sorted(receiver.ids) == ["alert_begun", "alert_new"]
