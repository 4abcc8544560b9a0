"""One attempt: signed, pinned to the checked address, bounded in what it believes and how long it waits."""

import asyncio
import socket
import time

import pytest
from standardwebhooks import Webhook as Verifier

from producers.control.records import Webhook
from streams.notifier_settings import NotifierSettings
from streams.webhook_sender import WebhookSender
from tests.streams.notifier.receivers import receiving, status

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"type":"budget.threshold_crossed"}'


def webhook(url):
    return Webhook(
        id="w1",
        project_id="p1",
        url=url,
        events=("budget.threshold_crossed",),
        secret=SECRET,
        created_us=0,
    )


@pytest.fixture
async def sender():
    opened = WebhookSender(NotifierSettings(attempt_timeout_s=1.0), allow_private=True)
    yield opened
    await opened.close()


async def test_a_delivery_verifies_with_the_reference_library(sender):
    async with receiving() as receiver:
        answer = await sender.attempt(webhook(receiver.url + "?x=1"), "alert_1", BODY)
    assert answer.delivered
    [(headers, body)] = receiver.requests
    assert headers[""] == "POST /hook?x=1 HTTP/1.1"
    assert headers["content-type"] == "application/json"
    assert headers["webhook-id"] == "alert_1"
    assert Verifier(SECRET).verify(body, headers) == {"type": "budget.threshold_crossed"}


@pytest.mark.parametrize("code", [301, 302, 307, 308, 400, 404, 429, 500, 503])
async def test_everything_but_success_is_a_failure_and_no_redirect_is_followed(sender, code):
    async with receiving() as elsewhere:
        respond = status(code, f"location: {elsewhere.url}", "retry-after: 17")
        async with receiving(lambda _: respond) as receiver:
            answer = await sender.attempt(webhook(receiver.url), "alert_1", BODY)
        assert elsewhere.requests == []
    assert (answer.delivered, answer.gone, answer.status) == (False, False, code)
    assert answer.retry_after == "17"


async def test_410_says_that_the_receiver_is_gone(sender):
    async with receiving(lambda _: status(410)) as receiver:
        assert (await sender.attempt(webhook(receiver.url), "alert_1", BODY)).gone


async def test_a_receiver_that_never_answers_is_given_up(sender):
    async with receiving(lambda _: None) as receiver:
        began = time.monotonic()
        answer = await sender.attempt(webhook(receiver.url), "alert_1", BODY)
    assert (answer.status, answer.detail) == (None, "no answer within 1 s")
    assert time.monotonic() - began < 3


async def test_an_endless_answer_is_not_read(sender):
    endless = b"HTTP/1.1 200 OK\r\ncontent-length: 100000000000\r\n\r\n" + b"x" * 1_000_000
    async with receiving(lambda _: endless) as receiver:
        assert (await sender.attempt(webhook(receiver.url), "alert_1", BODY)).delivered


async def test_a_head_without_end_is_a_failure(sender):
    async with receiving(lambda _: b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 100_000) as receiver:
        answer = await sender.attempt(webhook(receiver.url), "alert_1", BODY)
    assert not answer.delivered


async def test_nobody_listening_is_a_failure(sender):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    answer = await sender.attempt(webhook(f"http://127.0.0.1:{port}/"), "alert_1", BODY)
    assert answer.status is None
    assert "ConnectError" in answer.detail


async def test_a_private_address_is_refused_at_every_attempt():
    sender = WebhookSender(NotifierSettings(), allow_private=False)
    async with receiving() as receiver:
        answer = await sender.attempt(webhook(receiver.url), "alert_1", BODY)
    await sender.close()
    assert receiver.requests == []
    assert "not an address of the public internet" in answer.detail


async def test_the_connection_goes_to_the_address_that_was_checked(sender, monkeypatch):
    """A name that resolves once, to the receiver; a second question would lead nowhere."""
    asked = []

    async def resolve(host, port, **_):
        asked.append(host)
        return [(2, 1, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve, raising=False)
    async with receiving() as receiver:
        url = f"http://hooks.example.com:{receiver.port}/hook"
        answer = await sender.attempt(webhook(url), "alert_1", BODY)
    assert answer.delivered
    assert "hooks.example.com" in asked
    assert set(asked) <= {"hooks.example.com", "127.0.0.1"}
    assert receiver.requests[0][0]["host"] == f"hooks.example.com:{receiver.port}"


async def test_the_next_address_is_tried_when_the_first_takes_no_connection(sender, monkeypatch):
    async def resolve(host, port, **_):
        if host == "hooks.example.com":
            return [(2, 1, 6, "", (address, port)) for address in ("127.0.0.9", "127.0.0.1")]
        return [(2, 1, 6, "", (host, port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve, raising=False)
    async with receiving() as receiver:
        url = f"http://hooks.example.com:{receiver.port}/hook"
        assert (await sender.attempt(webhook(url), "alert_1", BODY)).delivered
