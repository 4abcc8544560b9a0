"""Explain the cost of a call: the price, the interpretation of the name, and unpriced usage.

The price, the rates and the amounts are those of ``PriceBook``, which computes the stored costs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from producers.usage_units import fallbacks, unit_of
from streams.core.pricing.price_book import Candidate, PriceBook, rates_of
from streams.core.pricing.rates import Hours, Period, Rate, RateTable, Variant, input_tokens_of
from streams.core.pricing.request import conditions_of
from streams.core.pricing.valuation import with_tier_note
from tracemill.reconciliation import Reconciled, reconcile_object

PROJECT, INSTALLATION, SHIPPED = "project", "installation", "shipped"

APPLIES: Final = "applies"
NAME_UNKNOWN: Final = "no price fits the name of the model"
NONE_IN_FORCE: Final = "no price that fits the name is in force at this time"
NOTHING_PRICED: Final = "none of the usage has a price"


class ExplainedPrice(msgspec.Struct, frozen=True, kw_only=True):
    """A price that matches the name of a model, and the reason why it applies or not."""

    id: str
    origin: str
    """``project``, ``installation`` or ``shipped``."""
    provider: str | None
    model: str
    match: str
    """The pattern or the name that matches."""
    matching: str
    """``whole_name`` or ``part`` for patterns, ``name`` for a listed name."""
    effective_from_us: int
    hours: Hours | None
    source: str
    as_of: str
    """Date of the source; empty for prices of the control plane."""
    created_us: int
    """Time of creation; 0 for shipped prices."""
    outcome: str
    """``applies``, or the reason why it does not."""


class Amount(msgspec.Struct, frozen=True, kw_only=True):
    """The cost of one usage type."""

    usage_type: str
    count: int
    priced_as: str
    """The unit whose rate applies."""
    rate: Rate
    cost_pico: int


class Unpriced(msgspec.Struct, frozen=True, kw_only=True):
    """A usage type without a cost, and the reason."""

    usage_type: str
    count: int
    reason: str


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """The explanation of a call's cost."""

    price: ExplainedPrice | None
    reason: str
    """The reason why there is no cost; empty if there is one."""
    reading: tuple[str, ...]
    """The steps that changed the name to find a shipped price."""
    conditions: Mapping[str, str]
    """Conditions of the call, such as its service tier."""
    tiers: tuple[Variant, ...]
    """Conditional prices that apply; the first one with a rate for a unit is used."""
    input_tokens: int
    above_input_tokens: int | None
    """Number of input tokens above which these rates apply; None: those of short requests."""
    rates: Mapping[str, Rate]
    usage: Mapping[str, int]
    """Disjoint counts, as they are billed."""
    usage_uncertain: str
    amounts: tuple[Amount, ...]
    unpriced: tuple[Unpriced, ...]
    total_pico: int | None
    """Total cost; None if no usage has a price, or there is no usage."""
    candidates: tuple[ExplainedPrice, ...]
    """Prices that match the name, in order of precedence."""


def explain(
    book: PriceBook,
    project_id: str,
    model: str,
    reported: Mapping[str, Any],
    at_us: int,
    parameters: str = "",
    service_tier: str = "",
) -> Explanation:
    """Explain the cost of a call in a project.

    Args:
        book: the prices.
        project_id: the project, whose own prices take precedence.
        model: the name of the model, as sent by the application.
        reported: usage as a client or a provider reports it; it is reconciled.
        at_us: time of the call.
        parameters: parameters of the call as a JSON object.
        service_tier: tier that served the call; by default, the one in the usage.
    """
    read = reconcile_object(reported)
    tier = service_tier or read.service_tier
    found = tuple(book.candidates(project_id, model))
    chosen = next((each for each in found if each.period.in_force(at_us)), None)
    candidates = tuple(_explained(book, each, _outcome(each, chosen, at_us)) for each in found)
    reading = next((each.resolved.candidate.steps for each in found if each.resolved), ())
    if chosen is None:
        return _without_price(read, NONE_IN_FORCE if found else NAME_UNKNOWN, candidates, reading)
    period = chosen.period
    table = rates_of(period, read.counts, at_us, parameters, tier)
    priced = book.cost_of(project_id, model, read.counts, at_us, parameters, tier)
    conditions = conditions_of(parameters, tier)
    input_tokens = input_tokens_of(read.counts)
    applying = period.applying(conditions, at_us, input_tokens)
    nothing = bool(priced.unpriced or any(read.counts.values())) and not priced.has_price
    return Explanation(
        price=candidates[found.index(chosen)],
        reason=NOTHING_PRICED if nothing else "",
        reading=reading,
        conditions=conditions,
        tiers=tuple(period.variants[i] for i in applying),
        input_tokens=input_tokens,
        above_input_tokens=_exceeded(period, input_tokens),
        rates=table.rates,
        usage=read.counts,
        usage_uncertain=read.uncertain if priced.has_tier else with_tier_note(read.uncertain, tier),
        amounts=tuple(_amounts(table, read.counts, priced.cost)),
        unpriced=tuple(_unpriced(read.counts, priced.cost, "")),
        total_pico=priced.total_pico if priced.cost else None,
        candidates=candidates,
    )


def _without_price(
    read: Reconciled,
    reason: str,
    candidates: tuple[ExplainedPrice, ...],
    reading: tuple[str, ...],
) -> Explanation:
    return Explanation(
        price=None,
        reason=reason,
        reading=reading,
        conditions={},
        tiers=(),
        input_tokens=input_tokens_of(read.counts),
        above_input_tokens=None,
        rates={},
        usage=read.counts,
        usage_uncertain=read.uncertain,
        amounts=(),
        unpriced=tuple(_unpriced(read.counts, {}, reason)),
        total_pico=None,
        candidates=candidates,
    )


def _exceeded(period: Period, input_tokens: int) -> int | None:
    return max((above for above in period.thresholds if above < input_tokens), default=None)


def _amounts(
    table: RateTable, usage: Mapping[str, int], cost: Mapping[str, int]
) -> Iterator[Amount]:
    for usage_type, pico in cost.items():
        count, unit = usage.get(usage_type, 0), table.priced_as(usage_type)
        rate = table.rates[unit] if unit else None
        if rate is None:  # a total alone
            unit, rate = "total", table.rate_of_total()
            count = max((usage[name] for name in usage if unit_of(name) == "total"), default=0)
        elif count == 0:  # the charge per request, which no usage counts
            count = 1
        assert rate is not None
        yield Amount(
            usage_type=usage_type,
            count=count,
            priced_as=unit or usage_type,
            rate=rate,
            cost_pico=pico,
        )


def _unpriced(usage: Mapping[str, int], cost: Mapping[str, int], reason: str) -> Iterator[Unpriced]:
    """Yield usage types without a cost, with ``reason`` or, if it is empty, a reason for each.

    A total is left out if its parts are listed, because it is not billed.
    """
    for usage_type, count in usage.items():
        unit = unit_of(usage_type)
        if count <= 0 or usage_type in cost or (unit == "total" and len(usage) > 1):
            continue
        yield Unpriced(usage_type=usage_type, count=count, reason=reason or _why_unpriced(unit))


def _why_unpriced(unit: str | None) -> str:
    if unit is None:
        return "the price does not list this usage type, and its unit is unknown"
    if unit == "total":
        return "a total is billed only if input and output have the same price"
    return f"the price does not list {' or '.join(fallbacks(unit))}"


def _outcome(candidate: Candidate, chosen: Candidate | None, at_us: int) -> str:
    period = candidate.period
    if candidate is chosen:
        return APPLIES
    if period.from_us > at_us:
        return "not yet in force at this time"
    if chosen is None or not period.in_force(at_us):
        return "not in force at this hour of the day"
    if chosen.record is None:
        return "a price of the list that began later, or for this hour, comes first"
    if _origin(chosen) != _origin(candidate):
        return f"the {_origin(chosen)}'s price comes first"
    return "a more specific, later or younger price comes first"


def _origin(candidate: Candidate) -> str:
    if candidate.record is None:
        return SHIPPED
    return INSTALLATION if candidate.record.project_id is None else PROJECT


def _explained(book: PriceBook, candidate: Candidate, outcome: str) -> ExplainedPrice:
    period, record, resolved = candidate
    if record is not None:
        return ExplainedPrice(
            id=period.price_id,
            origin=_origin(candidate),
            provider=None,
            model=record.name or record.match,
            match=record.match,
            matching=record.matching,
            effective_from_us=period.from_us,
            hours=None,
            source="the project" if record.project_id else "the installation's admin",
            as_of="",
            created_us=record.created_us,
            outcome=outcome,
        )
    assert resolved is not None
    entry, name = resolved.entry, resolved.candidate.name
    is_named = resolved.candidate.is_exact or name in entry.names or not entry.pattern
    prices = book.defaults.list_of(resolved)
    return ExplainedPrice(
        id=period.price_id,
        origin=SHIPPED,
        provider=resolved.provider,
        model=entry.id,
        match=name if is_named else entry.pattern,
        matching="name" if is_named else "part",
        effective_from_us=period.from_us,
        hours=period.hours,
        source=entry.source or prices.source,
        as_of=prices.as_of,
        created_us=0,
        outcome=outcome,
    )
