"""Read the usage and costs that clients report.

Usage is reconciled into disjoint counts (``tracemill.reconciliation``), costs become picodollars.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from producers import metrics
from producers.bounded_cache import BoundedCache, size_of
from producers.gateway.values.json_size import check_item, decode_json
from producers.gateway.values.money import pico_of_usd
from producers.gateway.values.reported_usage import with_reported, with_reported_older
from producers.gateway.values.stated_costs import cost_in, cost_within_limit, with_total
from tracemill.contract import COUNT_MAX
from tracemill.reconciliation import Reconciled, reconcile_object
from tracemill.reconciliation.objects import count_of as whole_count_of
from tracemill.reconciliation.objects import dialect_of, number_of
from tracemill.reconciliation.plain import UsageReader

TYPES_MAX: Final = 100
"""Maximum number of usage types of an observation; additional ones are dropped."""

TYPE_LENGTH_MAX: Final = 200

NO_USAGE: Final = Reconciled({})

_TOKENS: Final = "TOKENS"
_UNIT: Final = re.compile(r"[A-Za-z_]{1,32}")
_NOT_COUNTS: Final = frozenset({"unit", "inputCost", "outputCost", "totalCost"})
_PROVIDER_TOTALS: Final = frozenset({"total_tokens", "totalTokens", "total_token_count"})
_decode_counts: Final = msgspec.json.Decoder(dict[str, int]).decode

_readers: BoundedCache[tuple[str, ...], UsageReader] = BoundedCache(
    "cached_usage_readers_max_bytes", 2 * 1024 * 1024
)
_READER_COPIES: Final = 4
"""Size of a cached reader as a multiple of the size of its names."""


def count_of(value: Any) -> int | None:
    """Convert a number, or its decimal text, to a count; None unless whole and in the range.

    The range is from 0 to ``COUNT_MAX``.
    """
    number = number_of(value)
    if number is not None and number > COUNT_MAX:
        metrics.LIMIT_REACHED.labels(limit="count_max").inc()
        return None
    return whole_count_of(number)


def usage_of_object(usage: Any) -> Reconciled:
    """Reconcile a ``usageDetails`` object, or a provider's usage object that is sent instead."""
    if not isinstance(usage, dict):
        return NO_USAGE
    usage = _with_first_types(usage)
    return with_reported(reconcile_object(usage, count_of), counts_sent(usage))


def usage_of_json(text: str) -> Reconciled:
    """Reconcile usage given as JSON text; return ``NO_USAGE`` if it is not a JSON object."""
    try:
        check_item(text)
        counts = _decode_counts(text)
    except msgspec.ValidationError:
        return usage_of_object(_json_or_none(text))
    except msgspec.DecodeError:
        return NO_USAGE
    if len(counts) > TYPES_MAX:
        return usage_of_object(counts)
    found = usage_of_counts(counts)
    if found is None or found.counts == counts:
        return found or NO_USAGE
    if "total" not in counts and found.counts.get("total") == _given_total(counts):
        return found
    return with_reported(found, counts_sent(counts))


def _given_total(counts: dict[str, int]) -> int:
    """Return the total of a provider; -1 if there is none, or several."""
    given = [counts[name] for name in counts if name in _PROVIDER_TOTALS]
    return given[0] if len(given) == 1 else -1


def counts_sent(usage: dict[Any, Any]) -> dict[str, int]:
    """Return the counts of a usage object by the names that were sent, without nested counts."""
    return {
        name: count
        for name, value in usage.items()
        if isinstance(name, str)
        and len(name) <= TYPE_LENGTH_MAX
        and "cost" not in name.lower()
        and (count := whole_count_of(value)) is not None
    }


def usage_of_counts(counts: dict[str, int]) -> Reconciled | None:
    """Reconcile a flat object of counts; readers are cached by the names of the counts."""
    names = tuple(counts)
    reader = _readers.get(names)
    if reader is None:
        reader = UsageReader([(name, name) for name in names], dialect_of(set(names)), count_of)
        _readers.keep(names, reader, _READER_COPIES * size_of(names))
    return reader.read(counts)


def _json_or_none(text: str) -> Any:
    try:
        return decode_json(text)
    except msgspec.DecodeError:
        return None


def usage_of_older_object(usage: Any) -> tuple[Reconciled, dict[str, int]]:
    """Return usage, and costs in picodollars, of the ingestion API's older ``usage`` object.

    Takes ``{input, output, total, unit, inputCost, outputCost, totalCost}`` and ``{promptTokens,
    completionTokens, totalTokens}``; a provider's object that is sent instead is read like
    ``usageDetails``. Counts in another unit than tokens get usage types that name the unit.
    """
    if not isinstance(usage, dict):
        return NO_USAGE, {}
    amounts = {name: value for name, value in usage.items() if name not in _NOT_COUNTS}
    found = reconcile_object(_with_first_types(amounts), count_of)
    counted = found.counts
    unit = usage.get("unit")
    if isinstance(unit, str) and _UNIT.fullmatch(unit) and unit.upper() != _TOKENS:
        found = Reconciled(_in_unit(counted, unit.lower()))
    if counted:
        found = with_reported_older(found, counts_sent(amounts), counted)
    return found, cost_in(usage)


def _in_unit(usage: dict[str, int], unit: str) -> dict[str, int]:
    """Rename usage types by their unit: 1,000 characters are not 1,000 ``input`` tokens."""
    if usage.keys() & {"input", "output"}:
        # The total is priced only if it is the only count; otherwise, its parts are.
        usage = {name: count for name, count in usage.items() if name != "total"}
    names = {"input": f"input_{unit}", "output": f"output_{unit}", "total": unit}
    return {names.get(name, name): count for name, count in usage.items()}


def cost_of_object(cost: Any) -> dict[str, int]:
    """Return picodollars by usage type of a ``costDetails`` object.

    Amounts that are not numbers (or their decimal texts), or are negative, are left out. The result
    is empty if the cost exceeds the maximum of one observation.
    """
    if not isinstance(cost, dict):
        return {}
    found: dict[str, int] = {}
    for key, value in _first_types(cost):
        pico = pico_of_usd(value)
        if pico is not None and isinstance(key, str) and len(key) <= TYPE_LENGTH_MAX:
            found[key] = pico
    return cost_within_limit(with_total(found))


def _with_first_types(usage: dict[Any, Any]) -> dict[Any, Any]:
    return dict(_first_types(usage)) if len(usage) > TYPES_MAX else usage


def _first_types(obj: dict[Any, Any]) -> list[tuple[Any, Any]]:
    items = list(obj.items())
    if len(items) > TYPES_MAX:
        metrics.LIMIT_REACHED.labels(limit="usage_types_max").inc()
    return items[:TYPES_MAX]
