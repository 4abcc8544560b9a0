"""Define a query of ``/v1/query``, whose names are resolved, and its limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from query_api import metrics
from query_api.errors import BadRequestError, TooCostlyError
from query_api.query.dimension import View
from query_api.query.formulas import Formula, FormulaError
from query_api.query.logical_query import GroupBy, Metric
from query_api.query.native_fields import metric_of
from query_api.query.periods import STEP_S, Period, QueryStep
from query_api.settings import QuerySettings
from query_api.store.conditions import Condition
from query_api.times import SECOND_US, iso

ROUNDED_S: Final = 10
"""Ranges are rounded outwards to multiples of this, the length of a window."""
LAST_S: Final = 2**32 // 86_400 * 86_400
"""Latest end of a range, because the store's times of windows have 32 bits."""
FORMULAS_NESTED_MAX: Final = 10
"""Maximum depth of formulas that contain other formulas."""


@dataclass(frozen=True, slots=True)
class Compared:
    """The earlier period to compare with; None: the one that ends where the range begins."""

    offset_s: int | None = None


@dataclass(frozen=True, slots=True)
class QueryRequest:
    """An aggregate query of a project."""

    project_id: str
    view: View
    from_s: int
    to_s: int
    step: QueryStep | None
    time_zone: str
    shown: tuple[str, ...]
    """Names of the measures in the answer."""
    metrics: tuple[Metric, ...]
    """The shown measures, and others that formulas need."""
    formulas: Mapping[str, Formula]
    """In an order in which each one follows those that it contains."""
    group_by: tuple[GroupBy, ...] = ()
    conditions: tuple[Condition, ...] = ()
    order_by: str = ""
    """Name of a shown measure or dimension, or ``start``; empty: ``start``, or the first measure if
    there are no steps."""
    is_descending: bool = False
    top: int | None = None
    compared: Compared | None = None
    limit: int = 1_000
    cursor: str | None = None
    are_percentiles_exact: bool = False

    @property
    def is_series(self) -> bool:
        """Return whether the answer has every step, also those without rows."""
        return self.step is not None and not self.group_by


def resolved_formulas(texts: Mapping[str, str]) -> dict[str, Formula]:
    """Parse formulas, and sort them so that each one follows those that it contains.

    Raises:
        BadRequestError: one cannot be parsed, or they contain each other.
    """
    parsed: dict[str, Formula] = {}
    for name, text in texts.items():
        try:
            parsed[name] = Formula(text)
        except FormulaError as error:
            field = f"formulas.{name}"
            raise BadRequestError(f"{field}: {error}", field=field) from error
    found: dict[str, Formula] = {}
    for name in parsed:
        _add_formula(name, parsed, found, ())
    return found


def _add_formula(
    name: str, parsed: Mapping[str, Formula], found: dict[str, Formula], outer: tuple[str, ...]
) -> None:
    if name in found:
        return
    field = f"formulas.{name}"
    if name in outer:
        loop = " → ".join((*outer[outer.index(name) :], name))
        raise BadRequestError(f"{field}: formulas must not contain each other: {loop}", field=field)
    if len(outer) >= FORMULAS_NESTED_MAX:
        message = f"{field}: at most {FORMULAS_NESTED_MAX} formulas may contain one another"
        raise BadRequestError(message, field=field)
    for inner in parsed[name].names:
        if inner in parsed:
            _add_formula(inner, parsed, found, (*outer, name))
    found[name] = parsed[name]


def metrics_of(
    view: View, names: tuple[str, ...], formulas: Mapping[str, Formula]
) -> tuple[Metric, ...]:
    """Return the measures of a query and of its formulas, each once.

    Raises:
        BadRequestError: one does not exist, or a formula contains one that is no number.
    """
    found = {name: metric_of(view, name, f"measures.{at}") for at, name in enumerate(names)}
    for formula_name, formula in formulas.items():
        field = f"formulas.{formula_name}"
        for name, position in formula.names.items():
            if name in formulas:
                continue
            metric = found.get(name) or metric_of(view, name, field, position)
            if not is_number(metric):
                message = f"{field}: {name!r} at position {position} is not a number"
                raise BadRequestError(message, field=field)
            found[name] = metric
    return tuple(found.values())


def is_number(metric: Metric) -> bool:
    """Return whether a measure is one number, unlike counts by type and histograms."""
    return metric.aggregation != "heatmap" and metric.measure.unit != "counts"


def is_additive(metric: Metric) -> bool:
    """Return whether a measure of several groups together is the sum of theirs."""
    return is_number(metric) and metric.aggregation in {"sum", "count"}


def range_s(
    from_us: int, to_us: int, step: QueryStep | None, settings: QuerySettings
) -> tuple[int, int]:
    """Return a range, rounded outwards to windows.

    Raises:
        BadRequestError: it is empty, too long, or not within the range of the store.
        TooCostlyError: it has too many steps.
    """
    if from_us >= to_us:
        raise BadRequestError("from: must be before `to`", field="from")
    if from_us < 0:
        raise BadRequestError(f"from: must be {iso(0)} or later", field="from")
    if to_us > LAST_S * SECOND_US:
        message = f"to: must be {iso(LAST_S * SECOND_US)} or earlier"
        raise BadRequestError(message, field="to")
    unit_us = ROUNDED_S * SECOND_US
    from_s, to_s = from_us // unit_us * ROUNDED_S, -(-to_us // unit_us) * ROUNDED_S
    longest_s = settings.query_range_max_days * 86_400
    if to_s - from_s > longest_s:
        metrics.LIMITS_REACHED.labels("query_range_max_days").inc()
        message = f"from: must be at most {settings.query_range_max_days} days before `to`"
        raise BadRequestError(message, field="from")
    steps_max = settings.window_steps_max
    if step is not None and (to_s - from_s) // STEP_S[step] > steps_max:
        metrics.LIMITS_REACHED.labels("window_steps_max").inc()
        message = (
            f"step: more than {steps_max} steps of {step}; use longer ones, or a shorter range"
        )
        raise BadRequestError(message, field="step")
    return from_s, to_s


def require_rows_at_most(rows: int, settings: QuerySettings) -> None:
    """Refuse an answer with too many rows. Raises: TooCostlyError: there are more."""
    if rows > settings.window_rows_max:
        metrics.LIMITS_REACHED.labels("window_rows_max").inc()
        raise TooCostlyError(
            f"more than {settings.window_rows_max} rows; request fewer steps or groups"
        )


def earlier_fits(period: Period) -> bool:
    """Return whether an earlier period begins in 1970 or later, as rows of the store do."""
    return period.from_s >= 0
