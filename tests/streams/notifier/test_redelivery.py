"""Requests repeat deliveries or send tests, each once; every attempt is logged."""

import json
import time

from producers.control.kinds.delivery_request import DeliveryRequest
from tests.streams.notifier.receivers import OK, receiving, status

FAST = {"TRACEMILL_NOTIFIER_RETRY_SCHEDULE_S": json.dumps([0.2] * 5)}
LOG = """
SELECT delivery_id, attempt, alert_ids, target_kind, target_id, event, status, status_code, answer
FROM delivery_log FINAL ORDER BY attempted_time, attempt
"""


def answer(code, body):
    head = f"HTTP/1.1 {code} X\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def request(pipeline, request_id, **fields):
    await pipeline.control.put(
        DeliveryRequest(
            **{
                "id": request_id, "project_id": "p1", "target_kind": "webhook", "target_id": "w1",
                "action": "redeliver", "created_us": time.time_ns() // 1_000,
            } | fields
        )
    )  # fmt: skip


async def test_every_attempt_is_logged_with_the_beginning_of_the_answer(pipeline, until):
    replies = {1: answer(503, b"busy " * 1_000), 2: answer(200, b"fine\x00")}
    async with receiving(replies.get) as receiver:
        await pipeline.put_webhook(receiver.url)
        pipeline.start_worker(**FAST)
        await pipeline.put_alert("a0")

        async def two_attempts():
            rows = await pipeline.rows(LOG)
            return rows if len(rows) == 2 else None

        first, second = await until(two_attempts)
    assert first == {
        "delivery_id": "a0~w1", "attempt": 1, "alert_ids": ["a0"], "target_kind": "webhook",
        "target_id": "w1", "event": "budget.threshold_crossed", "status": "pending",
        "status_code": 503, "answer": ("busy " * 1_000)[:1024],
    }  # fmt: skip
    assert (second["status"], second["status_code"], second["answer"]) == (
        "delivered", 200, "fine\x00",
    )  # fmt: skip


async def test_requests_deliver_again_in_order_and_once_despite_kills(pipeline, until):
    async with receiving() as receiver:
        await pipeline.put_webhook(receiver.url)
        pipeline.start_worker(**FAST)
        for number in range(3):
            await pipeline.put_alert(f"a{number}")

        async def came(count):
            return len(receiver.ids) >= count

        await until(lambda: came(3))
        assert receiver.ids == ["a0", "a1", "a2"]
        await request(pipeline, "r1", alert_id="a1")
        await until(lambda: came(4))
        await request(pipeline, "r2", since_us=0)
        await request(pipeline, "r3", since_us=0, project_id="p2")
        await until(lambda: came(7))
        assert receiver.ids[3:] == ["a1", "a0", "a1", "a2"]

        async def logged():
            return len(await pipeline.rows(LOG)) == 7

        await until(logged)
        pipeline.kill_workers()
        pipeline.start_worker(**FAST)
        await pipeline.put_alert("a3")
        await until(lambda: came(8))
        assert receiver.ids[7:] == ["a3"]


async def test_a_test_is_sent_once_and_not_retried(pipeline, until):
    async with receiving(lambda number: status(500) if number == 1 else OK) as receiver:
        await pipeline.put_webhook(receiver.url)
        pipeline.start_worker(**FAST)
        await request(pipeline, "t1", action="test")

        async def logged(count):
            rows = await pipeline.rows(LOG)
            return rows if len(rows) >= count else None

        [failed] = await until(lambda: logged(1))
        await request(pipeline, "t2", action="test")
        [_, second] = await until(lambda: logged(2))
    assert (failed["status"], failed["status_code"], failed["event"]) == (
        "failed", 500, "webhook.test",
    )  # fmt: skip
    assert second["status"] == "delivered"
    assert receiver.ids == ["t1", "t2"]
    assert json.loads(receiver.requests[0][1])["type"] == "webhook.test"
