"""Read the form of Explore from its query string, and make the body of ``/v1/query`` of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from query_api.console.explore_fields import DIMENSIONS_OFFERED, HISTOGRAMS, OFFERED, VIEWS
from query_api.console.explore_filters import Term, body_filters, filters_of
from query_api.console.form_bodies import FormError, digits_in
from query_api.console.time_ranges import ALL, PRESETS, TimeRange, time_range_of
from query_api.errors import BadRequestError
from query_api.query.chart_kinds import (
    GROUPED,
    HISTOGRAM,
    KINDS,
    MEASURES_MAX,
    OF_VALUES,
    OVER_TIME,
    ChartKind,
    step_of,
)
from query_api.query.dimension import View
from query_api.query.native_fields import DIMENSIONS
from query_api.query.periods import STEP_S
from query_api.query.sources import BUCKET_S
from query_api.times import SECOND_US, iso

DIMENSIONS_MAX: Final = 2
TOPS: Final = (5, 8, 15, 30, 100)
LINES_MAX: Final = 15
"""Groups of charts over time; more cannot be told apart."""
DEFAULT_TOP: Final = 8
DEFAULT_RANGE: Final = "24h"
_DEFAULTS: Final[Mapping[str, str]] = MappingProxyType(
    {"observations": "cost_usd", "traces": "count", "scores": "value.avg"}
)
_FORM_FIELDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "measures": "measure", "formulas": "formula", "group_by": "by", "filter": "q",
        "filters": "q", "from": "range", "to": "range", "from_us": "range", "to_us": "range",
        "order_by": "measure", "compare_with": "compare",
    }
)  # fmt: skip
_DAY: Final = TimeRange(DEFAULT_RANGE, None, None)
BUCKET_STEP: Final = "15m"
"""The step that is as long as a bucket of spend."""
assert STEP_S[BUCKET_STEP] == BUCKET_S
_SHORTER_STEPS: Final = {name for name, length_s in STEP_S.items() if length_s < BUCKET_S}
FORMULA: Final = "formula"
"""Name of the formula in the body."""


@dataclass(frozen=True, slots=True)
class ExploreQuery:
    """What the form selects. Values are as they were typed; ``body`` checks them."""

    kind: str = "line"
    view: str = "observations"
    measures: tuple[str, ...] = ("cost_usd",)
    formula: str = ""
    by: tuple[str, ...] = ("model",)
    search: str = ""
    range: TimeRange = _DAY
    step: str = ""
    """Empty: the one that fits to the range."""
    top: str = str(DEFAULT_TOP)
    is_compared: bool = False
    range_fault: str = ""
    """Why the range of the query string is not this one."""

    @property
    def parameters(self) -> list[tuple[str, str]]:
        """The query string, in which dimensions are always given."""
        given = [
            ("kind", self.kind),
            ("view", "" if self.view == "observations" else self.view),
            *(("measure", each) for each in self.measures),
            ("formula", self.formula),
            ("q", self.search),
            *((name, text) for name, text in self.range.parameters.items()),
            ("step", self.step),
            ("top", "" if self.top == str(DEFAULT_TOP) else self.top),
            ("compare", "1" if self.is_compared else ""),
        ]
        by = [("by", each) for each in self.by] or [("by", "")]
        return [pair for pair in given if pair[1]] + by

    def address(self, base: str) -> str:
        return f"{base}/explore?{urlencode(self.parameters)}"


def query_of(parameters: QueryParams, at_us: int) -> ExploreQuery:
    """Return what a query string selects; what is missing has a default.

    If the view has just been changed, measures and dimensions that it does not have are left out.
    """
    view = parameters.get("view", "").strip() or "observations"
    measures = _given(parameters.getlist("measure"))
    first_by = ("model",) if view == "observations" else ("name",)
    by = _given(parameters.getlist("by")) if "by" in parameters else first_by
    if parameters.get("was", view) != view and view in VIEWS:
        known: View = view
        names = {name for each in OFFERED[known].values() for name in each}
        measures = tuple(each for each in measures if each in names)
        kept = tuple(each for each in by if each in DIMENSIONS_OFFERED[known])
        by = kept or (first_by if by else ())
    formula = parameters.get("formula", "").strip()
    time_range, range_fault = _DAY, ""
    try:
        time_range = time_range_of(parameters, at_us, DEFAULT_RANGE)
    except BadRequestError as error:
        range_fault = error.message
    first = () if formula else (_DEFAULTS.get(view, "count"),)
    return ExploreQuery(
        parameters.get("kind", "").strip() or "line",
        view,
        measures or first,
        formula,
        by,
        parameters.get("q", "").strip(),
        time_range,
        parameters.get("step", "").strip(),
        parameters.get("top", "").strip() or str(DEFAULT_TOP),
        parameters.get("compare") == "1",
        range_fault,
    )


@dataclass(frozen=True, slots=True)
class Asked:
    """The query of a chart: its body without the range, the range, and the conditions."""

    kind: ChartKind
    view: View
    body: Mapping[str, Any]
    bounds_us: tuple[int, int]
    terms: Sequence[Term] = ()
    unlisted: frozenset[str] = frozenset()
    """Fields with conditions that no term of a search expresses."""

    @property
    def full(self) -> dict[str, Any]:
        """The body of the request to the API."""
        return full_body(self.kind, self.body, self.bounds_us)


def asked_of(query: ExploreQuery, zone: str, at_us: int) -> Asked:
    """Return the query of the form.

    Raises:
        FormError: a field is invalid; the messages are by its name.
    """
    if query.range_fault:
        raise FormError({"range": query.range_fault})
    kind = _one_of("kind", query.kind, KINDS)
    view = _one_of("view", query.view, VIEWS)
    try:
        terms = filters_of(view, query.search)
    except BadRequestError as error:
        raise FormError({"q": error.message.removeprefix("q: ")}) from error
    if query.range.preset == ALL:
        raise FormError({"range": f"one of {', '.join(PRESETS)}, or `from` and `to`"})
    to_us = at_us if query.range.to_us is None else query.range.to_us
    from_us = to_us - PRESETS[DEFAULT_RANGE] * SECOND_US
    from_us = from_us if query.range.from_us is None else query.range.from_us
    body: dict[str, Any] = {"view": view, **_measures_in(query, kind), **body_filters(terms)}
    if kind in GROUPED and query.by:
        if len(query.by) > DIMENSIONS_MAX:
            raise FormError({"by": f"at most {DIMENSIONS_MAX} are allowed"})
        body["group_by"] = list(dict.fromkeys(query.by))
        body["top"] = _top(query.top, kind)
    if kind == "bar" and not query.by:
        raise FormError({"by": "required for bars, which are of its values"})
    if query.step and kind in OVER_TIME:
        body["step"] = _one_of("step", query.step, tuple(STEP_S))
    if kind in OVER_TIME or query.is_compared:
        body["time_zone"] = zone
    if query.is_compared and kind not in OF_VALUES:
        body["compare_with"] = "previous"
    return Asked(kind, view, body, (from_us, to_us), terms)


def full_body(kind: str, body: Mapping[str, Any], bounds_us: tuple[int, int]) -> dict[str, Any]:
    """Return a body with its range, and for a chart over time with a step that fits.

    A dimension that only spend has is counted in whole buckets of spend.
    """
    from_us, to_us = bounds_us
    is_of_buckets = _is_of_spend(body)
    if is_of_buckets:
        unit_us = BUCKET_S * SECOND_US
        from_us, to_us = from_us // unit_us * unit_us, -(-to_us // unit_us) * unit_us
    full = {**body, "from": iso(from_us), "to": iso(to_us)}
    if kind in OVER_TIME and not body.get("step"):
        step = step_of(max(0, to_us - from_us) // SECOND_US)
        full["step"] = BUCKET_STEP if is_of_buckets and step in _SHORTER_STEPS else step
    return full


def _is_of_spend(body: Mapping[str, Any]) -> bool:
    """Return whether a body has a dimension that neither rows nor windows have."""
    known = DIMENSIONS.get(body.get("view", "observations"), {})
    names = (*body.get("group_by", ()), *body.get("filter", ()))
    found = (known[each] for each in names if each in known)
    return any(not each.sql and not each.window for each in found)


def form_faults(faults: Mapping[str, str]) -> dict[str, str]:
    """Return messages about a body by the fields of the form."""
    found: dict[str, str] = {}
    for name, text in faults.items():
        found.setdefault(_FORM_FIELDS.get(name, name), text)
    return found


def _measures_in(query: ExploreQuery, kind: str) -> dict[str, Any]:
    names = list(dict.fromkeys(query.measures))
    if len(names) > MEASURES_MAX:
        raise FormError({"measure": f"at most {MEASURES_MAX} are allowed"})
    if kind in OF_VALUES:
        if not names:
            raise FormError({"measure": "required"})
        return {"measures": [histogram_of(query.view, names[0])]}
    found: dict[str, Any] = {"measures": names}
    if query.formula:
        found["formulas"] = {FORMULA: query.formula}
    return found


def histogram_of(view: str, name: str) -> str:
    """Return the measure with all values of a measure. Raises: FormError: it has none."""
    known = OFFERED.get(view, {})
    base = next((base for base, names in known.items() if name in names), name.partition(".")[0])
    found = f"{base}{HISTOGRAM}"
    if found not in HISTOGRAMS.get(view, ()):
        allowed = ", ".join(each.removesuffix(HISTOGRAM) for each in HISTOGRAMS.get(view, ()))
        raise FormError({"measure": f"{base} has no distribution; these have one: {allowed}"})
    return found


def _top(text: str, kind: str) -> int:
    number = digits_in(text)
    if number is None or not 1 <= number <= TOPS[-1]:
        raise FormError({"top": f"a whole number from 1 to {TOPS[-1]}"})
    return min(number, LINES_MAX) if kind in OVER_TIME else number


def _given(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each.strip() for each in values if each.strip()))


def _one_of(field: str, text: str, allowed: tuple[Any, ...]) -> Any:
    if text not in allowed:
        raise FormError({field: f"{text[:64]!r} is not one of {', '.join(allowed)}"})
    return text
