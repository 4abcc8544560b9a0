"""The traces of a shop's support assistant, with what the journeys look for in them."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import Any

from deploy.demo.traces import demo_traces
from query_api.times import iso
from tests.e2e.console.tenants import Tenant

DEMO_TRACES = 150
DAY_S = 86_400
SEED = 11
SLOW_TRACE = "slow-checkout"
SLOW_STEP = "search-inventory"
SPENDER = "grace"
SESSION = "ada-return"
QUESTION = "My parcel never arrived. Can I return it?"
ANSWER = "I am sorry about that. A new parcel is on its way to you."
LOST_TEXT = "parcel never arrived"


class Events:
    """Writes events of Langfuse's ingestion, with times before now."""

    def __init__(self, prefix: str) -> None:
        self._ids = (f"{prefix}-{number}" for number in itertools.count())
        self._now_us = time.time_ns() // 1_000
        self.events: list[dict[str, Any]] = []

    def at(self, ago_s: float) -> str:
        return iso(self._now_us - int(ago_s * 1e6))

    def add(self, kind: str, **body: Any) -> str:
        """Add an event; return the id of what it creates."""
        body.setdefault("id", next(self._ids))
        event_id = f"event-{body['id']}"
        timestamp = self.at(0)
        self.events.append({"id": event_id, "type": kind, "timestamp": timestamp, "body": body})
        return str(body["id"])

    def trace(self, name: str, ago_s: float, **body: Any) -> str:
        environment = body.pop("environment", "production")
        return self.add(
            "trace-create", name=name, timestamp=self.at(ago_s), environment=environment, **body
        )

    def step(
        self, kind: str, trace_id: str, name: str, ago_s: float, took_s: float, **body: Any
    ) -> str:
        """Add an observation that began ``ago_s`` seconds ago."""
        return self.add(
            f"{kind}-create", traceId=trace_id, name=name, startTime=self.at(ago_s),
            endTime=self.at(ago_s - took_s), environment="production", **body,
        )  # fmt: skip


def shop_events() -> list[dict[str, Any]]:
    """Return a slow trace, a session, and the traces of a user who spends most."""
    events = Events("shop")
    _slow_trace(events)
    _session(events)
    for number in range(3):
        ago_s = 7_200 + number * 18_000
        trace_id = events.trace(
            "summarize-orders", ago_s, userId=SPENDER, tags=["batch"],
            input=f"Summarize the orders of store {number}", output="All orders are on time.",
        )  # fmt: skip
        events.step(
            "generation", trace_id, "summarize", ago_s, 9, model="gpt-4o",
            usage={"input": 60_000, "output": 2_000}, input="orders", output="summary",
        )  # fmt: skip
    return events.events


def _slow_trace(events: Events) -> None:
    ago_s = 1_800.0
    trace_id = events.trace(
        "checkout-help", ago_s, id=SLOW_TRACE, userId="linus", release="2026.11",
        input="Is the blue kettle in stock?", output="Yes, three are left.",
    )  # fmt: skip
    root = events.step("span", trace_id, "answer", ago_s, 48)
    events.step(
        "generation", trace_id, "plan", ago_s, 1.2, parentObservationId=root, model="gpt-4o-mini",
        completionStartTime=events.at(ago_s - 0.4), usage={"input": 900, "output": 40},
        input=[{"role": "user", "content": "Is the blue kettle in stock?"}],
        output={"role": "assistant", "content": "I **search** the inventory:\n\n1. north"},
    )  # fmt: skip
    events.step(
        "span", trace_id, SLOW_STEP, ago_s - 1.2, 44, parentObservationId=root,
        level="WARNING", statusMessage="the index was rebuilt while it was read",
        input={"query": "blue kettle", "warehouses": ["north", "south"]}, output={"hits": 3},
    )  # fmt: skip
    events.step(
        "generation", trace_id, "write-answer", ago_s - 45.2, 2.8, parentObservationId=root,
        model="gpt-4o", completionStartTime=events.at(ago_s - 46),
        usage={"input": 1_400, "output": 30}, input="3 hits", output="Yes, three are left.",
    )  # fmt: skip


def _session(events: Events) -> None:
    turns = (
        ("Where is my order 1182?", "It left the warehouse on Monday."),
        (QUESTION, ANSWER),
        ("Thank you!", "You are welcome."),
    )
    for number, (question, answer) in enumerate(turns):
        ago_s = 3_600 - number * 60
        trace_id = events.trace(
            "support-chat", ago_s, userId="ada", sessionId=SESSION, input=question, output=answer,
            tags=["returns"], metadata={"channel": "web", "order": 1182},
        )  # fmt: skip
        events.step(
            "generation", trace_id, "answer", ago_s, 2, model="gpt-4o",
            usage={"input": 500, "output": 60},
            input=[{"role": "system", "content": "You help customers of a shop."},
                   {"role": "user", "content": question}],
            output={"role": "assistant", "content": answer},
        )  # fmt: skip
        events.add(
            "score-create", traceId=trace_id, name="helpful", value=number % 2, dataType="BOOLEAN"
        )


def demo_spans() -> Iterator[tuple[list[dict[str, Any]], list[dict[str, Any]]]]:
    end_ns = time.time_ns()
    start_ns = end_ns - DAY_S * 10**9 + 10**9
    traces = demo_traces(DEMO_TRACES, start_ns, end_ns, SEED)
    while batch := list(itertools.islice(traces, 50)):
        yield [s for t in batch for s in t.spans], [s for t in batch for s in t.scores]


def fill(tenant: Tenant) -> None:
    """Send everything, and wait until it can be read."""
    environment = {"key": "deployment.environment.name", "value": {"stringValue": "production"}}
    for spans, scores in demo_spans():
        part = {"resource": {"attributes": [environment]}, "scopeSpans": [{"spans": spans}]}
        tenant.send("POST", "/api/public/otel/v1/traces", {"resourceSpans": [part]})
        if scores:
            tenant.send("POST", "/api/public/scores", scores)
    events = shop_events()
    tenant.ingest(events)
    traces = sum(each["type"] == "trace-create" for each in events)
    tenant.wait_for_traces(DEMO_TRACES + traces)
