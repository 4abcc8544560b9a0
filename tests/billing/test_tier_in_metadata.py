"""The service tier in the metadata is billed at every door."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec

from producers.gateway.langfuse.contract_events import Times
from producers.gateway.langfuse.ingestion_events import event_of, read_event
from tests.billing.observed import NOW_US, cost_of, observed, usd
from tracemill.contract import Observation
from tracemill.fields import SPAN_SETTERS

METADATA = {"service_tier": "flex", "huge": 10**40}


FLEX = {"input_tokens": 1000, "output_tokens": 100}


def ingested(body: dict[str, Any]) -> Observation:
    event = {"id": "e", "type": "generation-create", "timestamp": "2026-11-21T12:00:00Z"}
    times = Times(NOW_US)
    raw = msgspec.Raw(json.dumps({**event, "body": {"id": "o", "traceId": "t", **body}}).encode())
    found = event_of(read_event(raw, times, scores_only=False), times, lambda *_: None, "p", None)
    assert isinstance(found, Observation)
    return found


def traced(**fields: Any) -> Observation:
    found = Observation(project_id="p", trace_id="t", id="o", ts_us=NOW_US)
    for name, value in fields.items():
        SPAN_SETTERS[name](found, value, 1000)
    return found


def test_a_tier_in_the_metadata_bills_at_every_door() -> None:
    for found in (
        ingested({"usageDetails": FLEX, "metadata": METADATA}),
        observed({"langfuse.observation.metadata.service_tier": "flex", **SUMS_OF_FLEX}),
        traced(metadata={"service_tier": "flex"}, usage=FLEX),
        traced(usage=FLEX, metadata={"service_tier": "flex"}),
    ):
        assert usd(cost_of("gpt-5-mini", found)) == Decimal("0.000225")


def test_the_tier_of_the_usage_outranks_that_of_the_metadata() -> None:
    standard = {**FLEX, "service_tier": "default"}
    for found in (
        ingested({"usageDetails": standard, "metadata": METADATA}),
        traced(metadata={"service_tier": "flex"}, usage=standard),
        traced(usage=standard, metadata={"service_tier": "flex"}),
    ):
        assert found.service_tier == "default"


def test_a_tier_of_auto_is_none() -> None:
    assert (
        ingested({"usageDetails": FLEX, "metadata": {"service_tier": "auto"}}).service_tier is None
    )


SUMS_OF_FLEX = {"gen_ai.usage.input_tokens": 1000, "gen_ai.usage.output_tokens": 100}
