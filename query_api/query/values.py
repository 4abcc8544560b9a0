"""Convert the values of rows: money to decimal strings, histograms, formulas and changes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from query_api.money import pico_of, usd_text
from query_api.query.formulas import Formula
from query_api.query.logical_query import Metric

_CHANGE_DIGITS: Final = 6
_ADDITIVE: Final = frozenset({"sum", "count", "uniq"})

Shown = dict[str, Any]


def shown_value(metric: Metric, raw: Any) -> Any:
    """Return the value of a measure in answers; ``raw`` is that of the store, or None.

    Without rows, sums and counts are zero, and other aggregations null.
    """
    is_money = metric.measure.unit == "money"
    if metric.aggregation == "heatmap":
        return histogram_of(raw or {})
    if metric.measure.unit == "counts":
        return {name: count for name, count in sorted((raw or {}).items()) if count}
    if raw is None and metric.aggregation in _ADDITIVE:
        return usd_text(0) if is_money else 0
    if raw is None or (isinstance(raw, float) and not math.isfinite(raw)):
        return None
    return usd_text(pico_of(money_text(raw))) if is_money else raw


def money_text(raw: Any) -> str:
    """Return an amount as a decimal text; percentiles of it are doubles."""
    return raw if isinstance(raw, str) else f"{raw:.12f}"


def histogram_of(buckets: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return the buckets of a histogram, whose bounds are powers of the square root of two."""
    return [
        {"from": _bound(int(at)), "to": _bound(int(at) + 1), "count": count}
        for at, count in sorted(buckets.items(), key=lambda each: int(each[0]))
    ]


def _bound(at: int) -> float:
    return float(f"{2 ** (at / 2):.6g}")


def with_formulas(
    values: Mapping[str, Any], formulas: Mapping[str, Formula], shown: Sequence[str]
) -> Shown:
    """Return the shown measures, and the results of formulas over all of them."""
    found: Shown = {name: values[name] for name in shown}
    if formulas:
        numbers = {name: _number(value) for name, value in values.items()}
        for name, formula in formulas.items():
            result = formula.value(numbers)
            found[name] = result
            numbers[name] = _number(result)
    return found


def changes(current: Mapping[str, Any], previous: Mapping[str, Any]) -> dict[str, float | None]:
    """Return the relative change of each number; null if it was zero, or either is null."""
    found = {}
    for name, value in current.items():
        if isinstance(value, dict | list):
            continue
        now, before = _number(value), _number(previous[name])
        is_known = now is not None and before is not None and before != 0
        found[name] = round(float((now - before) / before), _CHANGE_DIGITS) if is_known else None  # type: ignore[operator]  # both are known
    return found


def _number(value: Any) -> Decimal | None:
    if value is None or isinstance(value, dict | list):
        return None
    return Decimal(value) if isinstance(value, str | int) else Decimal(repr(value))
