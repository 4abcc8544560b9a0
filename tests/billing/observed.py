"""Observations of spans, and what they cost by the shipped prices."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from producers.gateway.mapping import map_in_slices
from producers.gateway.otlp import Export, ExportedSpan, SpanGroup
from producers.gateway.otlp.export import Origin
from producers.langfuse_sdk import Sdk
from streams.core.pricing.price_book import PriceBook, Priced
from tracemill.contract import Observation

NOW_US = 1_795_262_400_000_000
BOOK = PriceBook()


def cost_of(model: str, observation: Observation) -> Priced:
    return BOOK.cost_of(
        "p",
        model,
        observation.usage or {},
        NOW_US,
        observation.model_parameters or "",
        observation.service_tier or "",
    )


def observed(attributes: dict[str, Any], scope: str = "") -> Observation:
    """Return the observation of a span with these attributes."""
    start_ns = NOW_US * 1000
    span = ExportedSpan("t" * 32, "s" * 16, None, "call", start_ns, start_ns + 1, attributes, [])
    origin = Origin({}, scope, "", {})
    (mapped,) = map_in_slices(Export([SpanGroup(origin, [span])], {}), "p", NOW_US, Sdk())
    assert not mapped.refusals
    return mapped.observations[0]


def usd(priced: Priced) -> Decimal:
    assert not priced.unpriced
    return Decimal(priced.total_pico) / 10**12
