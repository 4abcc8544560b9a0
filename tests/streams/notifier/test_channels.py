"""Channels receive messages about groups of alerts, each alert once, despite kills."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

from standardwebhooks import Webhook as Verifier

from producers.control.kinds.channel import Channel
from producers.control.kinds.delivery_request import DeliveryRequest
from producers.control.kinds.route import Route
from tests.streams.notifier.receivers import OK, receiving, status
from tests.streams.notifier.rule_alerts import fire, now

PROCESS = "tests.streams.notifier.notifier_process"
FAST = {
    "TRACEMILL_CHANNELS_RETRY_SCHEDULE_S": json.dumps([0.2] * 50),
    "TRACEMILL_CHANNELS_PENDING_PAUSE_S": "0.2",
}
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
LOG = """
SELECT delivery_id, alert_ids, target_kind, status, status_code, detail
FROM delivery_log FINAL ORDER BY attempted_time
"""


async def put_channel(pipeline, url, **fields):
    given = {"id": "c1", "project_id": "p1", "name": "ops", "type": "webhook",
             "settings": {"url": url, "secret": SECRET}, "created_us": now()}  # fmt: skip
    await pipeline.control.put(Channel(**given | fields))


async def put_route(pipeline, **fields):
    given = {"id": "r1", "project_id": "p1", "name": "all", "channel_ids": ("c1",),
             "created_us": now(), "group_wait_s": 0.5, "group_interval_s": 0.0,
             "repeat_interval_s": 0.0}  # fmt: skip
    await pipeline.control.put(Route(**given | fields))


def messages(receiver):
    """Return the alerts of each request by message id; a repetition must be equal."""
    found = {}
    for headers, body in receiver.requests:
        alerts = [each["id"] for each in json.loads(body)["data"]["alerts"]]
        assert found.setdefault(headers["webhook-id"], alerts) == alerts
    return found


async def test_alerts_of_a_group_come_in_one_message_and_later_ones_in_the_next(pipeline, until):
    async with receiving() as receiver:
        await put_channel(pipeline, receiver.url)
        await put_route(pipeline, severities=("critical",))
        pipeline.start_worker(PROCESS, **FAST)
        for number in range(3):
            await fire(pipeline, f"a{number}", severity="critical")
        await fire(pipeline, "other", severity="critical", rule_id="rule_2")
        await fire(pipeline, "mild", severity="info")
        await fire(pipeline, "silenced", severity="critical", delivered=False)

        async def came(count):
            return sum(map(len, messages(receiver).values())) == count

        await until(lambda: came(4))
        await fire(pipeline, "a3", severity="critical")
        await until(lambda: came(5))
    assert sorted(messages(receiver).values()) == [["a0", "a1", "a2"], ["a3"], ["other"]]
    headers, body = receiver.requests[0]
    event = Verifier(SECRET).verify(body, headers)
    assert event["type"] == "alerts.firing"


async def test_each_alert_is_in_one_message_whatever_fails_and_is_killed(pipeline, until):
    async with receiving(lambda number: status(503) if number % 3 else OK) as receiver:
        await put_channel(pipeline, receiver.url)
        await put_route(pipeline, group_wait_s=0.0)
        sent = []
        for round_number in range(4):
            pipeline.start_worker(PROCESS, **FAST)
            for number in range(3):
                sent.append(f"a{round_number}-{number}")
                await fire(pipeline, sent[-1])

            async def some(count=round_number + 1):
                return len(receiver.requests) > count

            await until(some)
            pipeline.kill_workers()
        pipeline.start_worker(PROCESS, **FAST)

        async def all_of_them():
            return len({each for ids in messages(receiver).values() for each in ids}) == 12

        await until(all_of_them)

        async def done():
            rows = await pipeline.rows(LOG)
            told = [
                each for row in rows if row["status"] == "delivered" for each in row["alert_ids"]
            ]
            return sorted(set(told)) == sorted(sent)

        await until(done)
    told = [each for ids in messages(receiver).values() for each in ids]
    assert told == sent, "in order, and no alert is in two messages"


async def test_a_group_that_still_fires_is_repeated_until_it_is_resolved(pipeline, until):
    async with receiving() as receiver:
        await put_channel(pipeline, receiver.url)
        await put_route(pipeline, group_wait_s=0.0, repeat_interval_s=0.3)
        pipeline.start_worker(PROCESS, **FAST)
        await fire(pipeline, "a0", episode="e")

        async def repeated():
            return len(messages(receiver)) >= 3

        await until(repeated)
        pipeline.kill_workers()
        pipeline.start_worker(PROCESS, **FAST)
        before = len(messages(receiver))

        async def more():
            return len(messages(receiver)) >= before + 2

        await until(more)
        await fire(pipeline, "a1", state="resolved", episode="e")

        async def resolved():
            return json.loads(receiver.requests[-1][1])["type"] == "alerts.resolved"

        await until(resolved)

        async def ended():
            rows = await pipeline.rows(LOG)
            return any(row["detail"] == "the group no longer fires" for row in rows)

        await until(ended)
    assert [ids for ids in messages(receiver).values() if ids == ["a1"]] == [["a1"]]


async def test_resolved_messages_are_sent_by_choice_and_a_subscription_needs_no_route(
    pipeline, until
):
    async with receiving() as quiet, receiving() as told:
        events = ("alert.firing", "alert.resolved")
        await put_channel(pipeline, quiet.url, id="quiet", events=events, send_resolved=False)
        await put_channel(pipeline, told.url, id="told", events=events)
        pipeline.start_worker(PROCESS, **FAST)
        await fire(pipeline, "a0", episode="e")
        await fire(pipeline, "a1", state="resolved", episode="e")
        await fire(pipeline, "a2", episode="later")

        async def came():
            return len(told.requests) == 3 and len(quiet.requests) == 2

        await until(came)
    order = [ids for ids in messages(told).values() if ids != ["a2"]]
    assert order == [["a0"], ["a1"]]
    assert sorted(messages(quiet).values()) == [["a0"], ["a2"]]


async def test_an_error_in_a_successful_answer_is_a_failure(pipeline, until):
    def answer(number):
        body = b'{"errcode":310000,"errmsg":"keywords not in content"}'
        ok = b'{"errcode":0}'
        body = body if number == 1 else ok
        return f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body

    async with receiving(answer) as receiver:
        await put_channel(
            pipeline, "", type="dingtalk", settings={"url": receiver.url, "secret": "SEC1"},
            events=("alert.firing",),
        )  # fmt: skip
        pipeline.start_worker(PROCESS, **FAST)
        await fire(pipeline, "a0")

        async def logged():
            rows = await pipeline.rows(LOG)
            return rows if len(rows) == 2 else None

        first, second = await until(logged)
    assert (first["status"], second["status"]) == ("pending", "delivered")
    assert first["detail"] == "errcode 310000: keywords not in content"
    assert "sign=" in receiver.requests[0][0][""]


async def test_a_template_that_fails_with_an_alert_does_not_hold_it_back(pipeline, until):
    async with receiving() as receiver:
        await put_channel(
            pipeline, receiver.url, events=("alert.firing",),
            text_template="{{ alerts[0].labels.model }}",
        )  # fmt: skip
        pipeline.start_worker(PROCESS, **FAST)
        await fire(pipeline, "a0")

        async def came():
            return receiver.requests

        [(_, body)] = await until(came)
    assert "cost (warning): firing: Cost" in json.loads(body)["data"]["text"]


async def test_a_test_of_a_channel_is_sent_once(pipeline, until):
    async with receiving() as receiver:
        await put_channel(pipeline, receiver.url)
        pipeline.start_worker(PROCESS, **FAST)
        await pipeline.control.put(
            DeliveryRequest(
                id="t1", project_id="p1", target_kind="channel", target_id="c1", action="test",
                created_us=now(),
            )
        )  # fmt: skip

        async def logged():
            return await pipeline.rows(LOG)

        [row] = await until(logged)
    assert (row["delivery_id"], row["status"], row["target_kind"]) == (
        "t1~c1", "delivered", "channel",
    )  # fmt: skip
    assert len(receiver.requests) == 1


@asynccontextmanager
async def mail_server(received):
    async def serve(reader, writer):
        def reply(text):
            writer.write(f"{text}\r\n".encode())

        reply("220 mail.test ESMTP")
        while line := (await reader.readline()).decode().strip():
            command = line[:4].upper()
            if command in ("EHLO", "HELO"):
                reply("250 mail.test")
            elif command == "DATA":
                reply("354 go on")
                received.append((await reader.readuntil(b"\r\n.\r\n")).decode())
                reply("250 queued")
            elif command == "QUIT":
                reply("221 bye")
                break
            else:
                reply("250 ok")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def test_an_e_mail_is_sent_through_the_smtp_server(pipeline, until):
    received = []
    async with mail_server(received) as port:
        settings = {
            "host": "127.0.0.1", "port": port, "security": "none", "sender": "mill@example.com",
            "recipients": ["ops@example.com", "dev@example.com"],
        }  # fmt: skip
        await put_channel(pipeline, "", type="email", settings=settings, events=("alert.firing",))
        pipeline.start_worker(PROCESS, **FAST)
        await fire(pipeline, "a0", name="cost\r\nBcc: all@example.com")

        async def logged():
            rows = await pipeline.rows(LOG)
            return rows and rows[-1]["status"] == "delivered"

        await until(logged)
    [mail] = received
    head = mail.partition("\r\n\r\n")[0]
    assert "Subject: [FIRING] cost Bcc: all@example.com" in head
    assert "\r\nBcc:" not in head
    assert "To: ops@example.com, dev@example.com" in head
