"""Every row of the corpus costs what the provider bills, through every door that takes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import genai_prices
import msgspec
import pytest
from genai_prices.data_units import unit_data
from genai_prices.types import ModelPrice

from producers.control.kinds.price import Price as PriceRecord
from producers.gateway.langfuse.contract_events import Times
from producers.gateway.langfuse.ingestion_events import event_of, read_event
from producers.gateway.mapping import map_in_slices
from producers.gateway.otlp import Export, ExportedSpan, SpanGroup
from producers.gateway.otlp.export import Origin
from producers.gateway.values.usage import usage_of_object
from producers.langfuse_sdk import Sdk
from producers.usage_units import unit_of
from streams.core.pricing.price_book import PriceBook, Priced, total_of_given
from tests.billing.rows import Price, Row, Table, billed, rows
from tests.billing.table import DOCUMENT, document
from tracemill.contract import Observation
from tracemill.fields import SPAN_SETTERS

PICO = 10**12
MILLION = 10**6
DEFAULT_BOOK = PriceBook()
ROWS = list(rows())


def ingested(field: str) -> Callable[[Row], Observation]:
    """Return the door of Langfuse's ingestion API, with the usage in this field."""

    def observe(row: Row) -> Observation:
        body = {"id": "o", "traceId": "t", "model": row.model, field: row.json}
        when = "2026-11-21T12:00:00Z"
        event = {"id": "e", "type": "generation-create", "timestamp": when, "body": body}
        times = Times(row.at_us)
        read = read_event(msgspec.Raw(msgspec.json.encode(event)), times, scores_only=False)
        found = event_of(read, times, lambda *_: None, "p", None)
        assert isinstance(found, Observation)
        return found

    return observe


def exported(attributes: dict[str, Any], row: Row) -> Observation:
    start_ns = row.at_us * 1000
    span = ExportedSpan("t" * 32, "s" * 16, None, "call", start_ns, start_ns + 1, attributes, [])
    origin = Origin({}, row.scope, "", {})
    (mapped,) = map_in_slices(Export([SpanGroup(origin, [span])], {}), "p", row.at_us, Sdk())
    assert not mapped.refusals
    return mapped.observations[0]


def as_langfuse_span(row: Row) -> Observation:
    attributes = {
        "langfuse.observation.type": "generation",
        "langfuse.observation.model.name": row.model,
        "langfuse.observation.usage_details": row.usage,
    }
    return exported(attributes, row)


def as_sent(row: Row) -> Observation:
    return exported(row.json, row)


def traced(row: Row) -> Observation:
    """Return what the project's own SDK sends."""
    observation = Observation(project_id="p", trace_id="t", id="o", ts_us=row.at_us)
    SPAN_SETTERS["usage"](observation, row.json, 0)
    return observation


DOORS: dict[str, Callable[[Row], Observation]] = {
    "ingestion, usageDetails": ingested("usageDetails"),
    "ingestion, usage": ingested("usage"),
    "OTLP, usage_details": as_langfuse_span,
    "OTLP, as sent": as_sent,
    "SDK": traced,
}


def doors_of(row: Row) -> list[str]:
    return [door for door in DOORS if (door == "OTLP, as sent") == bool(row.attributes)]


def cases() -> Iterator[Any]:
    for table, row in ROWS:
        marks = [pytest.mark.xfail(reason=row.pending, strict=True)] if row.pending else []
        for door in doors_of(row):
            name = f"{table.provider}, {row.api}, {row.via}: {row.name} [{door}]"
            yield pytest.param(table, row, DOORS[door], id=name, marks=marks)


def partition_of(observation: Observation) -> dict[str, int]:
    """Return the counts by unit."""
    found: Counter[str] = Counter()
    for usage_type, count in (observation.usage or {}).items():
        if usage_type != "total":
            found[unit_of(usage_type) or usage_type] += count
    if not found and observation.usage:
        return {unit: count for unit, count in observation.usage.items() if count}
    return {unit: count for unit, count in found.items() if count}


def cost_of(book: PriceBook, row: Row, observation: Observation) -> Priced:
    return book.cost_of(
        "p",
        observation.model or row.model,
        observation.usage or {},
        row.at_us,
        observation.model_parameters or row.parameters_json,
        observation.service_tier or "",
    )


def book_of(price: Price) -> PriceBook:
    """Return a book that has one price for all models: the published one."""
    by_unit = {unit: int(Decimal(usd) * MILLION) for unit, usd in price.usd_per_million.items()}
    record = PriceRecord(id="published", match=".*", effective_from_us=0, prices=by_unit)
    return PriceBook(None, [record])


@pytest.mark.parametrize(("table", "row", "observe"), list(cases()))
def test_a_reported_usage_costs_what_the_provider_bills(
    table: Table, row: Row, observe: Callable[[Row], Observation]
) -> None:
    observation = observe(row)
    assert partition_of(observation) == row.counts
    assert row.uncertain in (observation.usage_uncertain or "")
    assert bool(observation.usage_uncertain) == bool(row.uncertain)
    if row.service_tier:
        assert observation.service_tier == row.service_tier
    if row.stated_usd == "none":
        assert observation.cost is None
    elif row.stated_usd:
        assert observation.cost is not None
        assert Decimal(total_of_given(observation.cost)) / PICO == Decimal(row.stated_usd)
    listed = cost_of(DEFAULT_BOOK, row, observation)
    missing = {unit_of(name) or name for name in listed.unpriced}
    assert (missing if listed.has_price else set(row.counts)) == set(row.unpriced)
    assert Decimal(listed.total_pico) / PICO == Decimal(row.usd)
    published = cost_of(book_of(table.price_of(row)), row, observation)
    assert Decimal(published.total_pico) / PICO == Decimal(row.usd)


def reversed_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: reversed_keys(value[key]) for key in reversed(value)}
    return [reversed_keys(item) for item in reversed(value)] if isinstance(value, list) else value


def in_texts(value: Any) -> Any:
    """Return a usage object with decimal texts instead of whole numbers."""
    if isinstance(value, dict):
        return {key: in_texts(item) for key, item in value.items()}
    if isinstance(value, list):
        return [in_texts(item) for item in value]
    return str(value) if type(value) is int else value


@pytest.mark.parametrize("spelled", [reversed_keys, in_texts])
def test_order_and_spelling_of_the_numbers_change_nothing(spelled: Callable[[Any], Any]) -> None:
    usages = [row.json for _, row in ROWS if row.usage]
    assert [usage_of_object(spelled(usage)) for usage in usages] == [
        usage_of_object(usage) for usage in usages
    ]


@pytest.mark.parametrize(
    ("table", "row"), ROWS, ids=[f"{table.provider}: {row.name}" for table, row in ROWS]
)
def test_a_row_is_right_in_itself(table: Table, row: Row) -> None:
    priced = {unit: count for unit, count in row.counts.items() if unit not in row.unpriced}
    assert billed(priced, table.price_of(row)) == Decimal(row.usd)
    assert bool(row.usage) != bool(row.attributes)
    assert row.source


def test_names_of_rows_are_unique_and_every_price_is_used() -> None:
    names = Counter((table.provider, row.api, row.via, row.name) for table, row in ROWS)
    assert [name for name, count in names.items() if count > 1] == []
    used = {(table.provider, row.price or row.model) for table, row in ROWS}
    assert used == {(table.provider, model) for table, _ in ROWS for model in table.prices}


def test_the_document_about_costs_is_current() -> None:
    text = DOCUMENT.read_text()
    assert document(text) == text, "run `make docs`"


def second_opinions() -> Iterator[Any]:
    for table, row in ROWS:
        if row.via == "raw" and row.api in table.extractors:
            yield pytest.param(table, row, id=f"{table.provider}, {row.api}: {row.name}")


@pytest.mark.parametrize(("table", "row"), list(second_opinions()))
def test_genai_prices_extracts_the_same_cost_or_the_row_says_why_not(
    table: Table, row: Row
) -> None:
    agrees = second_opinion(table, row) == Decimal(row.usd)
    assert agrees == (not row.genai_prices_differs)


def second_opinion(table: Table, row: Row) -> Decimal | None:
    """Return the cost by genai-prices' extractor at the published price; None if it has none."""
    provider, flavor = table.extractors[row.api].split("/")
    usage = row.json
    response = {"usage": usage, "usageMetadata": usage, "meta": usage, "response": {"usage": usage}}
    try:
        found = genai_prices.extract_usage(response, provider_id=provider, api_flavor=flavor)
        calculated = model_price(table.price_of(row)).calc_price(found.usage)
    except (LookupError, ValueError):
        return None
    return calculated["total_price"].normalize()


def model_price(price: Price) -> ModelPrice:
    keys = {name.removesuffix("_tokens"): unit for name, unit in unit_data.items()}
    rates = {
        keys[unit]["price_key"]: Decimal(usd) * keys[unit]["per"] / MILLION
        for unit, usd in price.usd_per_million.items()
    }
    return ModelPrice(**rates)
