"""A tracer asks whether a call may be made, within its timeout, whatever the API does."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tracemill import BudgetExceeded, Tracer

SOON_S = 8
"""A busy machine takes this long at times."""
ALLOWED = {"allow": True, "reason": "within_limit", "remaining_usd": "0.25", "budget_id": "b"}
DENIED = ALLOWED | {"allow": False, "reason": "limit_reached", "remaining_usd": "-0.1"}


@dataclass
class FakeApi:
    """Answers as it is told to, and keeps the requests."""

    url: str = ""
    answer: dict[str, Any] = field(default_factory=lambda: dict(ALLOWED))
    status: int = 200
    body: bytes | None = None
    requests: list[tuple[str, dict[str, list[str]], str]] = field(default_factory=list)
    connections: int = 0
    released: threading.Event = field(default_factory=threading.Event)
    keeps_open: bool = True


@pytest.fixture
def api() -> Iterator[FakeApi]:
    fake = FakeApi()
    fake.released.set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            fake.connections += 1
            super().setup()

        def do_GET(self) -> None:
            fake.released.wait(SOON_S)
            url = urlsplit(self.path)
            given = (url.path, parse_qs(url.query), self.headers["Authorization"])
            fake.requests.append(given)
            body = json.dumps(fake.answer).encode() if fake.body is None else fake.body
            self.send_response(fake.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = not fake.keeps_open

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    fake.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield fake
    fake.released.set()
    server.shutdown()
    thread.join()
    server.server_close()


NewTracer = Callable[..., Tracer]


@pytest.fixture
def new_tracer(api: FakeApi) -> Iterator[NewTracer]:
    made: list[Tracer] = []

    def new(**options: Any) -> Tracer:
        given = {"api_url": api.url, "public_key": "pk", "secret_key": "sk"}
        given |= {"budget_timeout_s": 30.0, "log_interval_s": 3_600.0} | options
        made.append(Tracer("p", "127.0.0.1:1", environment="production", **given))
        return made[-1]

    yield new
    for tracer in made:
        tracer.close(0)


def test_an_allowed_call_returns_the_decision(api: FakeApi, new_tracer: NewTracer) -> None:
    tracer = new_tracer()
    decision = tracer.check_budget(
        user_id="a/b ü", model="gpt-4o", tags=["x", "y"], estimated_usd=Decimal("1E-7")
    )
    assert decision.allow
    assert decision.remaining_usd == Decimal("0.25")
    assert api.requests == [
        (
            "/v1/budgets/decision",
            {
                "environment": ["production"],
                "user_id": ["a/b ü"],
                "model": ["gpt-4o"],
                "tags": ["x", "y"],
                "estimated_usd": ["0.0000001"],
            },
            "Basic cGs6c2s=",
        )
    ]
    assert tracer.budget_stats == (1, 0, 0, 0)


def test_tokens_are_estimated_by_the_server(api: FakeApi, new_tracer: NewTracer) -> None:
    new_tracer().check_budget(model="m", environment="test", estimated_tokens={"input": 1000})
    ((_, given, _),) = api.requests
    assert given == {
        "model": ["m"], "environment": ["test"], "estimated_tokens": ['{"input":1000}'],
    }  # fmt: skip


def test_a_denied_call_raises_with_the_reason(api: FakeApi, new_tracer: NewTracer) -> None:
    api.answer = DENIED | {"message": "budget 'daily': 5 of 5 USD are spent"}
    tracer = new_tracer()
    with pytest.raises(BudgetExceeded, match="5 of 5 USD") as raised:
        tracer.check_budget(user_id="u", fail="open")
    assert raised.value.reason == "limit_reached"
    assert raised.value.budget_id == "b"
    assert raised.value.remaining_usd == Decimal("-0.1")
    assert tracer.budget_stats == (0, 1, 0, 0)


async def test_coroutines_ask_without_blocking_their_loop(
    api: FakeApi, new_tracer: NewTracer
) -> None:
    tracer = new_tracer()
    api.released.clear()
    asking = asyncio.gather(*(tracer.acheck_budget(user_id=str(n)) for n in range(20)))
    await asyncio.sleep(0)  # the loop goes on
    api.released.set()
    assert all(decision.allow for decision in await asking)
    api.answer = DENIED
    with pytest.raises(BudgetExceeded):
        await tracer.acheck_budget(user_id="u")
    assert api.connections <= 8, "connections are limited and stay open"
    assert tracer.budget_stats == (20, 1, 0, 0)


def refused_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param({"api_url": refused_port()}, id="a port without a listener"),
        {"api_url": "http://name.invalid"},
        {"api_url": "nonsense://:x"},
        {"api_url": "http://[::bad"},
        {"api_url": ""},
        {"status": 500},
        {"status": 503},
        {"status": 401},
        {"status": 422},
        {"status": 302},
        {"body": b"no json"},
        {"body": b"{}"},
        {"body": b'{"allow":1,"reason":"x"}'},
        {"body": b" " * 2_000_000},
    ],
    ids=lambda broken: str(broken)[:40],
)
def test_without_an_answer_the_call_is_allowed_or_denied_as_chosen(
    api: FakeApi, new_tracer: NewTracer, broken: dict[str, Any]
) -> None:
    url = broken.get("api_url", api.url)
    api.status, api.body = broken.get("status", 200), broken.get("body")
    tracer = new_tracer(api_url=url)
    allowed = tracer.check_budget(user_id="u", timeout_s=SOON_S)
    assert (allowed.allow, allowed.reason) == (True, "unavailable")
    with pytest.raises(BudgetExceeded) as raised:
        tracer.check_budget(user_id="u", fail="closed", timeout_s=SOON_S)
    assert raised.value.reason == "unavailable"
    closed = new_tracer(api_url=url, budget_fail="closed")
    with pytest.raises(BudgetExceeded):
        closed.check_budget(user_id="u", timeout_s=SOON_S)
    assert tracer.budget_stats.failed == 2


def test_it_never_waits_longer_than_its_timeout(api: FakeApi, new_tracer: NewTracer) -> None:
    tracer = new_tracer()
    api.released.clear()
    began_s = time.monotonic()
    for _ in range(12):  # more than there are threads, which all wait
        assert tracer.check_budget(user_id="u", timeout_s=0.05).reason == "unavailable"
    assert asyncio.run(tracer.acheck_budget(user_id="u", timeout_s=0.05)).reason == "unavailable"
    assert time.monotonic() - began_s < SOON_S
    assert tracer.budget_stats == (0, 0, 13, 0)
    api.released.set()
    assert tracer.check_budget(user_id="u", timeout_s=SOON_S).reason == "within_limit"


def test_a_decision_is_used_again_only_if_that_is_chosen(
    api: FakeApi, new_tracer: NewTracer
) -> None:
    tracer = new_tracer(budget_cache_max=2)
    for _ in range(3):
        tracer.check_budget(user_id="u", cache_s=3_600)
    assert len(api.requests) == 1
    assert tracer.budget_stats == (3, 0, 0, 2)
    for user in ("v", "w"):
        tracer.check_budget(user_id=user, cache_s=3_600)
    tracer.check_budget(user_id="u", cache_s=3_600)
    assert len(api.requests) == 4, "the oldest was removed"
    tracer.check_budget(user_id="x")
    tracer.check_budget(user_id="x")
    assert len(api.requests) == 6


def test_a_connection_that_the_server_closed_is_replaced(
    api: FakeApi, new_tracer: NewTracer
) -> None:
    tracer = new_tracer(budget_connections_max=1)
    api.keeps_open = False
    for _ in range(3):
        assert tracer.check_budget(user_id="u").reason == "within_limit"
    assert api.connections == 3


def test_threads_share_a_tracer(api: FakeApi, new_tracer: NewTracer) -> None:
    tracer = new_tracer()
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda n: tracer.check_budget(user_id=str(n)), range(200)))
    assert all(each.allow for each in found)
    assert tracer.budget_stats == (200, 0, 0, 0)
    assert api.connections <= 8


def test_bad_arguments_do_not_raise(new_tracer: NewTracer) -> None:
    tracer = new_tracer()
    assert tracer.check_budget(user_id=object()).reason == "unavailable"  # type: ignore[arg-type]
    assert tracer.check_budget(user_id="u", timeout_s="x").allow  # type: ignore[arg-type]
    assert tracer.check_budget(user_id="u", fail="maybe").allow  # type: ignore[arg-type]
    assert tracer.stats.mistakes == 2
