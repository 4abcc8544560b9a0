"""From spans over OTLP to the denial of the next call, by tier, and back when the tier changes."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.fixtures.installation import Server
from tracemill import BudgetDecision, BudgetExceeded, Tracer

WITHIN_S = 60.0
PAUSE_S = 0.02


def export(user: str, cost_usd: float, **metadata: str) -> bytes:
    """Return a generation of a user with a given cost."""
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add()
    span.trace_id, span.span_id, span.name = secrets.token_bytes(16), secrets.token_bytes(8), "call"
    span.start_time_unix_nano = time.time_ns() - 10**9
    span.end_time_unix_nano = span.start_time_unix_nano + 10**6
    attributes = {
        "langfuse.observation.type": "generation",
        "langfuse.observation.model.name": "gpt-4o",
        "langfuse.observation.cost_details": json.dumps({"total": cost_usd}),
        "user.id": user,
        **{f"langfuse.trace.metadata.{name}": value for name, value in metadata.items()},
    }
    for name, value in attributes.items():
        span.attributes.add(key=name).value.string_value = value
    return request.SerializeToString()


def spend(server: Server, user: str, cost_usd: float, **metadata: str) -> None:
    answer = httpx.post(
        f"{server.url}/v1/traces",
        content=export(user, cost_usd, **metadata),
        headers={"content-type": "application/x-protobuf"},
        auth=(server.public_key, server.secret_key),
        timeout=30,
    )
    assert answer.status_code == 200, answer.text


@pytest.fixture
def tracer(installation: Server) -> Iterator[Tracer]:
    tracer = Tracer(
        "default",
        api_url=installation.url,
        public_key=installation.public_key,
        secret_key=installation.secret_key,
        budget_timeout_s=WITHIN_S,
        budget_fail="closed",
    )
    yield tracer
    tracer.close(0)


def decision(tracer: Tracer, **call: str) -> BudgetDecision:
    try:
        return tracer.check_budget(**call)  # type: ignore[arg-type]
    except BudgetExceeded as exceeded:
        return exceeded.decision


def until_reason(tracer: Tracer, reason: str, **call: str) -> BudgetDecision:
    deadline_s = time.monotonic() + WITHIN_S
    while (found := decision(tracer, **call)).reason != reason:
        assert time.monotonic() < deadline_s, found
        time.sleep(PAUSE_S)
    return found


def test_spend_denies_the_next_call_until_the_tier_allows_more(
    installation: Server, client: httpx.Client, tracer: Tracer
) -> None:
    budget = {
        "name": "each user", "group_by": ["user_id"], "period": "day", "default_tier": "free",
        "tiers": {"free": "0.10", "pro": "5"},
    }  # fmt: skip
    created = client.post("/v1/budgets", json=budget)
    assert created.status_code == 201, created.text
    budget_id = created.json()["id"]
    spender, other = f"a/b ü {secrets.token_hex(4)}", f"other-{secrets.token_hex(4)}"
    until_reason(tracer, "within_limit", user_id=spender)

    for _ in range(3):
        spend(installation, spender, 0.04)
    denied = until_reason(tracer, "limit_reached", user_id=spender)
    assert (denied.budget_id, str(denied.remaining_usd)) == (budget_id, "-0.02")
    assert tracer.check_budget(user_id=other).allow, "each user has the limit of its own"

    # The mapping is in effect at once, in both directions.
    path = f"/v1/tiers/{spender.replace('/', '%2F').replace(' ', '%20')}"
    assert client.put(path, json={"tier": "pro"}).status_code == 200
    allowed = tracer.check_budget(user_id=spender, estimated_usd="4.88")
    assert str(allowed.remaining_usd) == "4.88"
    with pytest.raises(BudgetExceeded) as raised:
        tracer.check_budget(user_id=spender, estimated_usd="4.880000000001")
    assert raised.value.reason == "estimate_exceeds_limit"
    assert client.delete(path).status_code == 204
    assert not decision(tracer, user_id=spender).allow

    # What is current is known: everything that was sent before is included at some time.
    sent_s = time.time()
    spend(installation, other, 0.01)
    deadline_s = time.monotonic() + WITHIN_S
    while True:
        answer = client.get("/v1/budgets/decision", params={"user_id": other}).json()
        if answer["spent_usd"] == "0.01" and answer["staleness_s"] < time.time() - sent_s:
            break
        assert time.monotonic() < deadline_s, answer
        time.sleep(PAUSE_S)
    assert client.delete(f"/v1/budgets/{budget_id}").status_code == 204
    assert decision(tracer, user_id=spender).reason == "no_budget"
