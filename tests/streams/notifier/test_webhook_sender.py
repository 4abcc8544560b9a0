"""An attempt is signed, connects to a checked address, and is bounded in bytes and time."""

import asyncio
import socket
import threading
from ipaddress import ip_address

import httpcore
import pytest
from prometheus_client import REGISTRY
from standardwebhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

from producers.control.kinds.webhook import Webhook
from producers.control.own_endpoints import own_endpoints
from streams.notifications import webhook_sender
from streams.notifications.settings import NotifierSettings
from streams.notifications.webhook_connection import require_peer
from streams.notifications.webhook_sender import WebhookSender
from tests.streams.notifier.receivers import receiving, status

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
BODY = b'{"type":"budget.threshold_crossed"}'


def reached(limit):
    name = "tracemill_notifier_limit_reached_total"
    return REGISTRY.get_sample_value(name, {"limit": limit}) or 0


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
    opened = WebhookSender(NotifierSettings(attempt_timeout_s=30.0), allow_private=True)
    yield opened
    await opened.close()


@pytest.fixture
async def impatient():
    """A sender that soon gives up."""
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


async def test_while_a_rotation_overlaps_both_secrets_verify_a_delivery(sender):
    rotated = webhook("http://127.0.0.1:1/").with_new_secret(OTHER_SECRET, 2**52)
    async with receiving() as receiver:
        to_it = rotated.model_copy(update={"url": receiver.url})
        assert (await sender.attempt(to_it, "alert_1", BODY)).delivered
        ended = to_it.model_copy(update={"overlap_until_us": 1})
        assert (await sender.attempt(ended, "alert_2", BODY)).delivered
    [(first, body), (second, _)] = receiver.requests
    for secret in (SECRET, OTHER_SECRET):
        assert Verifier(secret).verify(body, first)
    assert Verifier(OTHER_SECRET).verify(body, second)
    with pytest.raises(WebhookVerificationError):
        Verifier(SECRET).verify(body, second)


@pytest.mark.parametrize(
    "peer", [("10.0.0.1", 80), ("::1", 80, 0, 0), None, "/run/socket", ("169.254.169.254", 80)]
)
def test_a_socket_that_is_connected_to_another_address_is_refused(peer):
    with pytest.raises(httpcore.ConnectError, match="leads to"):
        require_peer(peer, "93.184.216.34")
    require_peer(("93.184.216.34", 443), "93.184.216.34")
    require_peer(("2606:4700::1111", 443, 0, 0), "2606:4700:0::1111")


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


async def test_a_receiver_that_never_answers_is_given_up(impatient):
    before = reached("attempt_timeout_s")
    async with receiving(lambda _: None) as receiver, asyncio.timeout(30):
        answer = await impatient.attempt(webhook(receiver.url), "alert_1", BODY)
    assert (answer.status, answer.detail) == (None, "no response within 1 s")
    assert reached("attempt_timeout_s") == before + 1


async def test_of_many_addresses_the_first_few_are_tried_and_that_is_counted(sender, monkeypatch):
    async def addresses(*_, **__):
        return [ip_address(f"127.0.0.{number}") for number in range(2, 9)]

    monkeypatch.setattr(webhook_sender, "checked_addresses", addresses)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    before = reached("addresses_per_attempt_max")
    answer = await sender.attempt(webhook(f"http://many.test:{port}/"), "alert_1", BODY)
    assert answer.status is None
    assert reached("addresses_per_attempt_max") == before + 1


async def test_an_endless_answer_is_not_read(sender):
    endless = b"HTTP/1.1 200 OK\r\ncontent-length: 100000000000\r\n\r\n" + b"x" * 1_000_000
    async with receiving(lambda _: endless) as receiver:
        assert (await sender.attempt(webhook(receiver.url), "alert_1", BODY)).delivered


async def test_a_head_without_end_is_a_failure(sender):
    async with receiving(lambda _: b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 100_000) as receiver:
        answer = await sender.attempt(webhook(receiver.url), "alert_1", BODY)
    assert not answer.delivered


async def test_a_refused_connection_is_a_failure(sender):
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


async def test_an_own_port_is_refused_at_every_attempt_whatever_is_allowed():
    async with receiving() as receiver:
        sender = WebhookSender(
            NotifierSettings(), allow_private=True, own=own_endpoints(str(receiver.port))
        )
        for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433", "0.0.0.0"):
            url = f"http://{host}:{receiver.port}/?query=DROP"
            answer = await sender.attempt(webhook(url), "alert_1", BODY)
            assert "belongs to this installation" in answer.detail
        await sender.close()
    assert receiver.requests == []


@pytest.fixture
def resolve(monkeypatch):
    """Lets names mean what a test says; gives the list of what was asked."""
    asked = []

    def install(**addresses_of):
        def getaddrinfo(host, port, **_):
            asked.append(host)
            found = addresses_of[host.split(".")[0]]
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in found]

        monkeypatch.setattr("producers.control.resolver.socket.getaddrinfo", getaddrinfo)
        return asked

    return install


async def test_the_connection_goes_to_the_address_that_was_checked(sender, resolve):
    asked = resolve(hooks=["127.0.0.1"])
    async with receiving() as receiver:
        url = f"http://hooks.example.com:{receiver.port}/hook"
        answer = await sender.attempt(webhook(url), "alert_1", BODY)
    assert answer.delivered
    assert asked == ["hooks.example.com"]
    assert receiver.requests[0][0]["host"] == f"hooks.example.com:{receiver.port}"


async def test_the_next_address_is_tried_if_the_first_refuses_the_connection(sender, resolve):
    resolve(hooks=["127.0.0.9", "127.0.0.1"])
    async with receiving() as receiver:
        url = f"http://hooks.example.com:{receiver.port}/hook"
        assert (await sender.attempt(webhook(url), "alert_1", BODY)).delivered


async def test_a_name_with_one_inside_address_is_refused_altogether(resolve):
    resolve(hooks=["93.184.215.14", "10.0.0.7"])
    sender = WebhookSender(NotifierSettings(), allow_private=False)
    answer = await sender.attempt(webhook("https://hooks.example.com/"), "alert_1", BODY)
    await sender.close()
    assert "hooks.example.com is not an address of the public internet" in answer.detail


async def test_a_name_lookup_that_hangs_blocks_one_thread_and_delays_no_other(
    impatient, monkeypatch
):
    released = threading.Event()
    asked = []

    def getaddrinfo(host, port, **_):
        asked.append(host)
        if host == "hangs.example.com":
            released.wait(30)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr("producers.control.resolver.socket.getaddrinfo", getaddrinfo)
    try:
        async with receiving() as receiver, asyncio.timeout(20):
            url = f"http://hangs.example.com:{receiver.port}/"
            hanging = [
                asyncio.create_task(impatient.attempt(webhook(url), "a", BODY)) for _ in range(100)
            ]
            other = webhook(f"http://other.example.com:{receiver.port}/")
            while not (await impatient.attempt(other, "alert_1", BODY)).delivered:
                pass  # a slow machine may take longer than an attempt
            answers = await asyncio.gather(*hanging)
    finally:
        released.set()
    assert {answer.detail for answer in answers} == {"no response within 1 s"}
    assert asked.count("hangs.example.com") == 1
