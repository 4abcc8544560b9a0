"""Load the corpus: usage as providers and instrumentations send it, with the cost it must have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec

CORPUS: Final = Path(__file__).parent / "corpus"
MILLION: Final = 10**6
_GENERAL: Final = {
    "output_reasoning": "output",
    "output_citation": "output",
    "input_tool": "input",
    "cache_write_5m": "cache_write",
    "cache_write_1h": "cache_write",
    "input_text": "input",
    "output_text": "output",
}
"""Units that cost as much as a more general one where a price list has no price of their own."""


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Published prices in US dollars per million units, by unit; ``source`` says where."""

    source: str
    usd_per_million: dict[str, str]

    def of(self, unit: str) -> Decimal:
        key = unit if unit in self.usd_per_million else _GENERAL.get(unit, unit)
        return Decimal(self.usd_per_million[key])


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One call as it is sent, and what it must cost."""

    name: str
    api: str
    via: str
    """``raw`` for the provider's usage object; else the SDK or instrumentation, with version."""
    model: str
    counts: dict[str, int]
    """The partition: counts by unit that do not overlap."""
    usd: str
    source: str
    """Where the meaning of the counts is documented."""
    usage: str = ""
    """JSON of the usage object as sent."""
    attributes: str = ""
    """JSON of the span's attributes as sent, instead of ``usage``."""
    scope: str = ""
    """Name of the span's instrumentation scope."""
    price: str = ""
    """Key of the published price; empty for that of ``model``."""
    at: date | None = None
    """Day of the call, where the price depends on it."""
    hour: int = 12
    parameters: dict[str, str] = {}
    """Parameters of the request that select a price, such as ``service_tier``."""
    service_tier: str = ""
    """The tier that the usage itself states."""
    stated_usd: str = ""
    """The cost that the sender states, which counts instead of ``usd``; ``none`` if what it states
    is no cost."""
    uncertain: str = ""
    """Text that the reason of ``usage_uncertain`` contains; empty if the counts are certain."""
    unpriced: tuple[str, ...] = ()
    """Units of ``counts`` that the price list has no price for; they are named, not billed."""
    reported: str = ""
    """The public report of this fault in another tool, as ``owner/repository#number``."""
    pending: str = ""
    """Why the row fails today."""
    genai_prices_differs: str = ""
    """Why the extractor of genai-prices gives another cost."""

    @property
    def json(self) -> dict[str, Any]:
        found = msgspec.json.decode(self.usage or self.attributes)
        assert isinstance(found, dict)
        return found

    @property
    def at_us(self) -> int:
        day = self.at or date(2026, 11, 21)
        moment = datetime.combine(day, time(self.hour), UTC)
        return int(moment.timestamp()) * MILLION

    @property
    def parameters_json(self) -> str:
        return msgspec.json.encode(self.parameters).decode() if self.parameters else ""


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The rows of one provider, and the published prices of its models."""

    provider: str
    prices: dict[str, Price]
    rows: tuple[Row, ...]
    extractors: dict[str, str] = {}
    """genai-prices' ``provider/flavor`` by API."""

    def price_of(self, row: Row) -> Price:
        return self.prices[row.price or row.model]


def tables() -> list[Table]:
    paths = sorted(CORPUS.glob("*.toml"))
    return [msgspec.toml.decode(path.read_bytes(), type=Table) for path in paths]


def rows() -> Iterator[tuple[Table, Row]]:
    for table in tables():
        for row in table.rows:
            yield table, row


def billed(counts: Mapping[str, int], price: Price) -> Decimal:
    """Return what the counts cost at a price, in US dollars."""
    counted = {"requests": 1, **counts} if "requests" in price.usd_per_million else counts
    return sum((price.of(unit) * count for unit, count in counted.items()), Decimal()) / MILLION
