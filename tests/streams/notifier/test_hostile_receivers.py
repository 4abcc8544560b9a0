"""A hostile response fails only its own attempt, within the attempt's timeout."""

import asyncio
import socket
import struct
import time
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from producers.control.kinds.webhook import Webhook
from streams.core.deliveries import retry_after_s
from streams.core.jobs.state import JobState, failed
from streams.notifications.settings import NotifierSettings
from streams.notifications.webhook_sender import WebhookSender

NOW_US = 1_795_248_000_123_000
TIMEOUT_S = 1.0
BODY = b'{"type":"budget.threshold_crossed"}'

RETRY_AFTER = [
    "Sun, 06 Nov 1994 08:49:37 +99999999999999999999",
    "Sun, 06 Nov 1994 08:49:37 -99999999999999999999",
    "Sun, 06 Nov 99999999999999 08:49:37 GMT",
    "Sun, 99 Nov 1994 08:49:37 GMT",
    "Sun, 06 Nov 1994 99:99:99 GMT",
    "Fri, 31 Dec 9999 23:59:59 -2359",
    "Mon, 01 Jan 0001 00:00:00 +2359",
    "Mon, 01 Jan 0000 00:00:00 GMT",
    "1e400",
    "inf",
    "nan",
    "-1e308",
    "9" * 5_000,
    "٣٤",
    "²",
    "\x00",
    "0x7fffffff",
    "1_000",
    "+5",
    "5.5",
    "5, 5",
    ",",
    " ",
    ";;;",
    "GMT",
    "Sun, 06 Nov 1994",
]


@pytest.mark.parametrize("header", RETRY_AFTER)
def test_an_odd_retry_after_asks_for_a_pause_within_bounds(header):
    asked_s = retry_after_s(header, NOW_US, max_s=3_600)
    assert 0 <= asked_s <= 3_600
    after = failed(
        JobState(),
        NOW_US,
        "",
        schedule_s=(5,),
        jitter=0,
        retry_after_s=asked_s,
    )
    assert NOW_US < after.next_attempt_us <= NOW_US + 3_600_000_000


HEADER_PARTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["Sun", ",", " ", "06", "Nov", "-", "1994", "08:49:37", "GMT", "+", "0" * 9, ":"]
    ),
    st.integers().map(str),
    st.floats().map(str),
)


@given(st.lists(HEADER_PARTS, max_size=9).map("".join), st.integers(0, 2**53))
def test_any_text_as_retry_after_asks_for_a_pause_within_bounds(header, now_us):
    assert 0 <= retry_after_s(header, now_us, max_s=60) <= 60


def test_the_three_dates_of_http_are_understood():
    at_us = 784_111_777_000_000 - 30_000_000
    for text in (
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
    ):
        assert retry_after_s(text, at_us, max_s=60) == 30


@asynccontextmanager
async def answering(*pieces, pause_s=0.0, reset=False, endless=b"", before_request=False):
    """Run a server that writes ``pieces``, then repeats ``endless``, for any request."""
    writers = set()

    async def serve(reader, writer):
        writers.add(writer)
        try:
            if not before_request:
                await reader.readuntil(b"\r\n\r\n")
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(pause_s)
            while endless:
                writer.write(endless)
                await writer.drain()
                await asyncio.sleep(pause_s)
            if reset:
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, linger
                )
                writer.transport.abort()
            elif pause_s:
                await reader.read()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()


async def attempted(url, **settings):
    settings = NotifierSettings(**{"attempt_timeout_s": TIMEOUT_S} | settings)
    sender = WebhookSender(settings, allow_private=True)
    hook = Webhook.model_construct(
        id="w1",
        project_id="p1",
        url=url,
        events=("budget.threshold_crossed",),
        secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        created_us=0,
        disabled=False,
    )
    began = time.monotonic()
    try:
        answer = await sender.attempt(hook, "alert_1", BODY)
    finally:
        await sender.close()
    assert time.monotonic() - began < TIMEOUT_S + 20, "an attempt ends within its time"
    assert len(answer.detail) <= 500
    return answer


OK = b"HTTP/1.1 200 OK\r\n"
FAILURES = {
    "1xx without end": ((), {"endless": b"HTTP/1.1 100 Continue\r\n\r\n" * 100}),
    "1xx slowly": ((), {"endless": b"HTTP/1.1 103 Early Hints\r\n\r\n", "pause_s": 0.05}),
    "headers without end": ((OK,), {"endless": b"x: y\r\n" * 100}),
    "one header without end": ((OK, b"x: "), {"endless": b"y" * 4096}),
    "thousands of headers": ((OK + b"x: y\r\n" * 20_000 + b"\r\n",), {}),
    "a very long value": ((OK + b"x: " + b"y" * 200_000 + b"\r\n\r\n",), {}),
    "one byte at a time": ((OK,), {"endless": b"x", "pause_s": 0.05}),
    "silence": ((), {"pause_s": 0.01}),
    "a status of two digits": ((b"HTTP/1.1 20 OK\r\n\r\n",), {}),
    "a status below 100": ((b"HTTP/1.1 099 X\r\n\r\n",), {}),
    "status 000": ((b"HTTP/1.1 000 X\r\n\r\n",), {}),
    "a negative status": ((b"HTTP/1.1 -200 OK\r\n\r\n",), {}),
    "HTTP/2": ((b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",), {}),
    "another protocol": ((b"220 mail.example.com ESMTP\r\n",), {}),
    "TLS alert": ((b"\x15\x03\x03\x00\x02\x02\x28",), {}),
    "nulls": ((b"\x00" * 65_536,), {}),
    "a header that is none": ((OK + b"\xff\xfe\r\n\r\n",), {}),
    "a folded start": ((OK + b" folded: x\r\n\r\n",), {}),
    "two lengths": ((OK + b"content-length: 1\r\ncontent-length: 2\r\n\r\n",), {}),
    "a length of 5,000 digits": ((OK + b"content-length: " + b"9" * 5_000 + b"\r\n\r\n",), {}),
    "a negative length": ((OK + b"content-length: -1\r\n\r\n",), {}),
    "an unknown coding": ((OK + b"transfer-encoding: bogus\r\n\r\n",), {}),
    "closed at once": ((), {}),
    "closed in the status line": ((b"HTTP/1.",), {}),
    "closed in a header": ((OK + b"x: ",), {}),
    "reset at once": ((), {"reset": True}),
    "reset in the status line": ((b"HTTP/1.",), {"reset": True}),
    "reset in a header": ((OK + b"x: ",), {"reset": True, "pause_s": 0.01}),
    "reset before the request": ((), {"reset": True, "before_request": True}),
    "an upgrade": ((b"HTTP/1.1 101 Switching\r\nupgrade: h2c\r\n\r\n",), {"pause_s": 0.01}),
    "a redirect inside": (
        (b"HTTP/1.1 302 X\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n",),
        {},
    ),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_a_hostile_answer_is_a_failed_attempt(name):
    pieces, how = FAILURES[name]
    async with answering(*pieces, **how) as port:
        answer = await attempted(f"http://127.0.0.1:{port}/hook")
    assert not answer.delivered
    assert not answer.gone


DELIVERED = {
    "a body without end": ((OK + b"\r\n",), {"endless": b"x" * 65_536}),
    "a body of one byte a minute": ((OK + b"content-length: 9\r\n\r\n",), {"pause_s": 60}),
    "a gzip bomb": (
        (OK + b"content-encoding: gzip\r\n\r\n\x1f\x8b\x08" + b"\x00" * 9_000,),
        {},
    ),
    "a bad chunk": ((OK + b"transfer-encoding: chunked\r\n\r\nzz\r\n",), {}),
    "an endless chunk": (
        (OK + b"transfer-encoding: chunked\r\n\r\nffffffffffffff\r\n",),
        {"endless": b"x" * 65_536},
    ),
    "informational answers first": ((b"HTTP/1.1 102 X\r\n\r\n" * 50 + OK + b"\r\n",), {}),
    "cookies": (
        (OK + b"set-cookie: a=b; expires=Sun, 06 Nov 1994 08:49:37 +9999999999\r\n\r\n",),
        {},
    ),
    "reset in the body": ((OK + b"content-length: 9\r\n\r\n",), {"reset": True}),
}


@pytest.mark.parametrize("name", DELIVERED)
async def test_what_follows_the_head_of_a_success_does_not_count(name):
    pieces, how = DELIVERED[name]
    async with answering(*pieces, **how) as port:
        answer = await attempted(f"http://127.0.0.1:{port}/hook")
    assert answer.delivered


@pytest.mark.parametrize("header", RETRY_AFTER)
async def test_an_odd_retry_after_over_the_wire_is_bounded(header):
    value = header.encode("utf-8").replace(b"\x00", b"")
    raw = b"HTTP/1.1 503 X\r\ncontent-length: 0\r\nretry-after: " + value + b"\r\n\r\n"
    async with answering(raw) as port:
        answer = await attempted(f"http://127.0.0.1:{port}/hook")
    assert not answer.delivered
    assert 0 <= retry_after_s(answer.retry_after, NOW_US, max_s=60) <= 60


@pytest.mark.parametrize(
    "garbage", [b"HTTP/1.1 200 OK\r\n\r\n", b"\x16\x03\x01", b"", b"\xff" * 99]
)
async def test_garbage_instead_of_tls_is_a_failed_attempt(garbage):
    async with answering(garbage, before_request=True, pause_s=0.01) as port:
        answer = await attempted(f"https://127.0.0.1:{port}/hook")
    assert answer.status is None


@pytest.mark.parametrize(
    "host",
    [
        "a..b",
        ".",
        "-",
        "a" * 64 + ".test",
        ("a" * 60 + ".") * 5 + "test",
        "xn--a",
        "xn--" + "9" * 50,
        "1.2.3.4.5",
        "256.256.256.256",
        "0x",
        "[::ffff:999.1.1.1]",
        "[v1.x]",
        "nul.invalid",
    ],
)
async def test_an_odd_host_is_a_failed_attempt(host):
    answer = await attempted(f"http://{host}:1/hook")
    assert answer.status is None


@pytest.mark.parametrize(
    "texts", [[], ["nonsense"], ["127.0.0.1%lo"], ["::%1"], [""], ["127.0.0.1"] * 5_000]
)
async def test_odd_answers_of_the_name_server_are_a_failed_attempt(texts, monkeypatch):
    def getaddrinfo(host, port, **_):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (text, port)) for text in texts]

    monkeypatch.setattr("producers.control.resolver.socket.getaddrinfo", getaddrinfo)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    answer = await attempted(f"http://odd.test:{port}/hook")
    assert answer.status is None


async def test_a_long_head_is_counted_under_its_limit():
    name = "tracemill_notifier_limit_reached_total"
    labels = {"limit": "answer_head_max_bytes"}
    before = REGISTRY.get_sample_value(name, labels) or 0
    async with answering(OK, endless=b"x: y\r\n" * 100) as port:
        answer = await attempted(
            f"http://127.0.0.1:{port}/", answer_head_max_bytes=1_024, attempt_timeout_s=30.0
        )
    assert "1024 bytes" in answer.detail
    assert REGISTRY.get_sample_value(name, labels) == before + 1
