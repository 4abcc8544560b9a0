"""Write conditions of traces on what their observations and scores have together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from query_api.store.sql import OF_PROJECT, Binder

_HOLDS: Final[Mapping[str, Callable[[float], bool]]] = MappingProxyType(
    {
        "eq": lambda value: value == 0,
        "ne": lambda value: value != 0,
        "lt": lambda value: value > 0,
        "le": lambda value: value >= 0,
        "gt": lambda value: value < 0,
        "ge": lambda value: value <= 0,
    }
)
"""Whether zero meets a condition with an operator and a value."""


def observations_sql(total: str, operator: str, sign: str, value: float, binder: Binder) -> str:
    """Return the condition that a sum over the observations of a trace meets a comparison.

    That of a trace without observations is zero. ``total`` is a number, so no double is exact to
    more than 15 digits.
    """
    bound = binder.bind(value, "Float64")
    is_met = f"toFloat64({total}) {sign} {bound}"
    includes_none = _HOLDS[operator](value)
    found = (
        f"(SELECT trace_id FROM observations_slim FINAL WHERE {OF_PROJECT}"
        f" GROUP BY trace_id HAVING {'NOT ' if includes_none else ''}({is_met}))"
    )
    return f"id {'NOT IN' if includes_none else 'IN'} {found}"


def mean_score_sql(name: str, sign: str, value: float, binder: Binder) -> str:
    """Return the condition that the mean of a trace's numeric scores of a name meets a comparison.

    A trace without such scores does not meet it.
    """
    return (
        f"id IN (SELECT trace_id FROM scores FINAL WHERE {OF_PROJECT} AND trace_id != ''"
        f" AND name = {binder.text(name)} AND data_type IN ('NUMERIC', 'BOOLEAN')"
        f" GROUP BY trace_id HAVING avg(value) {sign} {binder.bind(value, 'Float64')})"
    )


def score_category_sql(
    name: str, categories: tuple[str, ...], binder: Binder, *, is_none: bool
) -> str:
    """Return the condition that a trace has a score of a name with one of some categories."""
    chosen = f"data_type = 'CATEGORICAL' AND string_value IN {binder.texts(categories)}"
    return _with_score(name, chosen, binder, is_none=is_none)


def score_flag_sql(name: str, binder: Binder, *, flag: bool, is_none: bool) -> str:
    """Return the condition that a trace has a boolean score of a name with a value."""
    chosen = f"data_type = 'BOOLEAN' AND (value != 0) = {int(flag)}"
    return _with_score(name, chosen, binder, is_none=is_none)


def _with_score(name: str, chosen: str, binder: Binder, *, is_none: bool) -> str:
    return (
        f"id {'NOT IN' if is_none else 'IN'} (SELECT trace_id FROM scores FINAL"
        f" WHERE {OF_PROJECT} AND trace_id != '' AND name = {binder.text(name)} AND {chosen})"
    )
