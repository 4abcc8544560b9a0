"""Parse the parameter ``query`` of Langfuse's metrics API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, get_args

import msgspec

from query_api.errors import BadRequestError
from query_api.query.dimension import View
from query_api.query.exploded_fields import of_type
from query_api.query.fields import DIMENSIONS, MEASURES, experiment_columns
from query_api.query.logical_query import GroupBy, Metric
from query_api.store.columns import OBSERVATION_COLUMNS, SCORE_COLUMNS, TRACE_COLUMNS
from query_api.store.conditions import Column, Condition, Kind
from query_api.store.filters import parse_filter
from query_api.store.steps import Runs
from query_api.times import SECOND_US, instant_us

Granularity = Literal["auto", "minute", "hour", "day", "week", "month"]
DIMENSIONS_MAX: Final = 20
METRICS_MAX: Final = 30
_AGGREGATIONS: Final = (
    *("sum", "avg", "count", "max", "min", "p50", "p75", "p90", "p95", "p99", "histogram", "uniq"),
)
_VIEWS: Final[Mapping[str, tuple[View, str]]] = MappingProxyType(
    {
        "traces": ("traces", ""),
        "observations": ("observations", ""),
        "scores-numeric": ("scores", "NUMERIC,BOOLEAN"),
        "scores-boolean": ("scores", "BOOLEAN"),
        "scores-categorical": ("scores", "CATEGORICAL"),
    }
)
"""For each view: the view of the engine, and the data types of its scores."""
_STEP_S: Final[Mapping[str, int]] = MappingProxyType({"minute": 60, "hour": 3_600, "day": 86_400})
_TRACE_RELEASE: Final = replace(TRACE_COLUMNS["release"], of_trace=True)
_TRACE_VERSION: Final = replace(TRACE_COLUMNS["version"], of_trace=True)
_OF_TRACES: Final = {"traceRelease": _TRACE_RELEASE, "traceVersion": _TRACE_VERSION}
_COLUMNS: Final[Mapping[View, Mapping[str, Column]]] = MappingProxyType(
    {
        "traces": {
            **TRACE_COLUMNS,
            "traceName": TRACE_COLUMNS["name"],
            **experiment_columns("traces"),
        },
        "observations": {
            **OBSERVATION_COLUMNS,
            **_OF_TRACES,
            "promptVersion": Column("toString(prompt_version)", Kind.TEXT),
            **experiment_columns("observations"),
        },
        "scores": {
            **SCORE_COLUMNS,
            **_OF_TRACES,
            "tags": SCORE_COLUMNS["traceTags"],
            "release": _TRACE_RELEASE,
            "scoreName": SCORE_COLUMNS["name"],
            "booleanValue": Column("(ifNull(value, 0) != 0)", Kind.FLAG),
            **experiment_columns("scores"),
        },
    }
)


class _Field(msgspec.Struct):
    field: str


class _Metric(msgspec.Struct):
    measure: str
    aggregation: str


class _TimeDimension(msgspec.Struct):
    granularity: Granularity


class _Order(msgspec.Struct):
    field: str
    direction: Literal["asc", "desc"]


class _Config(msgspec.Struct):
    bins: Annotated[int, msgspec.Meta(ge=1, le=100)] = 10
    row_limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100


class MetricsQuery(msgspec.Struct, rename="camel"):
    """The query object of the metrics API."""

    view: str
    from_timestamp: str
    to_timestamp: str
    metrics: Annotated[list[_Metric], msgspec.Meta(min_length=1, max_length=METRICS_MAX)]
    dimensions: Annotated[list[_Field], msgspec.Meta(max_length=DIMENSIONS_MAX)] | None = None
    filters: list[Any] | None = None
    time_dimension: _TimeDimension | None = None
    order_by: list[_Order] | None = None
    config: _Config | None = None
    chart_config: _Config | None = None
    """Former name of ``config``."""

    @property
    def limits(self) -> _Config:
        return self.config or self.chart_config or _Config()

    def engine_view(self) -> View:
        """Return the view of the engine. Raises: BadRequestError: there is no such view."""
        view: View = _one_of(_VIEWS, self.view, "view")[0]
        return view

    def fields(self) -> tuple[GroupBy, ...]:
        """Return the dimensions. Raises: BadRequestError: one does not exist."""
        known = DIMENSIONS[self.engine_view()]
        names = [each.field for each in self.dimensions or ()]
        for at, name in enumerate(names):
            _one_of(known, name, f"dimensions[{at}].field")
        return tuple(GroupBy(name, known[name]) for name in dict.fromkeys(names))

    def aggregated(self) -> tuple[Metric, ...]:
        """Return the metrics. Raises: BadRequestError: one does not exist."""
        known = MEASURES[self.engine_view()]
        grouped = {each.name: each.dimension for each in self.fields()}
        found = []
        for at, each in enumerate(self.metrics):
            measure = _one_of(known, each.measure, f"metrics[{at}].measure")
            allowed = ("sum", "count", "uniq") if measure.is_text else _AGGREGATIONS
            names = dict.fromkeys(allowed, True)
            _one_of(names, each.aggregation, f"metrics[{at}].aggregation")
            name = f"{each.aggregation}_{each.measure}"
            measure = of_type(each.measure, measure, grouped)
            found.append(Metric(name, measure, each.aggregation, self.limits.bins))
        return tuple(dict.fromkeys(found))

    def range_us(self) -> tuple[int, int]:
        """Return the range. Raises: BadRequestError: a time is invalid, or the range empty."""
        times = []
        for name, text in (
            ("fromTimestamp", self.from_timestamp),
            ("toTimestamp", self.to_timestamp),
        ):
            try:
                times.append(max(instant_us(text), 0))
            except ValueError as error:
                raise BadRequestError(f"{name}: {error}", field=name) from error
        if times[0] >= times[1]:
            message = "fromTimestamp: must be before toTimestamp"
            raise BadRequestError(message, field="fromTimestamp")
        return times[0], times[1]

    def conditions(self) -> tuple[Condition, ...]:
        """Return the filters. Raises: BadRequestError: one is invalid."""
        view, data_types = _VIEWS[self.view]
        found: list[Condition] = []
        if self.filters:
            parsed = parse_filter(msgspec.json.encode(self.filters).decode(), _COLUMNS[view])
            found += [each for group in parsed.values() for each in group]
        if data_types:
            types = tuple(data_types.split(","))
            found.append(Condition(SCORE_COLUMNS["dataType"], "in", types))
        return tuple(found)

    def granularity(self) -> Granularity | None:
        """Return the length of steps; ``auto`` depends on the range."""
        if self.time_dimension is None:
            return None
        if self.time_dimension.granularity != "auto":
            return self.time_dimension.granularity
        from_us, to_us = self.range_us()
        hours = (to_us - from_us) / 3_600 / SECOND_US
        limits: Sequence[tuple[float, Granularity]] = (
            *((2, "minute"), (72, "hour"), (1_440, "day"), (8_760, "week")),
        )
        return next((name for most, name in limits if hours <= most), "month")

    def order(self) -> tuple[tuple[str, bool], ...]:
        """Return pairs of a selected column of the engine and whether it is descending.

        Raises:
            BadRequestError: a field is not in the result.
        """
        metrics = self.aggregated()
        columns = {each.name: f"d{at}" for at, each in enumerate(self.fields())}
        columns |= {each.name: f"m{at}" for at, each in enumerate(metrics)}
        if self.time_dimension is not None:
            columns["time_dimension"] = "start_s"
        given = [
            (_one_of(columns, each.field, f"orderBy[{at}].field"), each.direction == "desc")
            for at, each in enumerate(self.order_by or ())
        ]
        if given:
            return tuple(given)
        if self.time_dimension is not None:
            return (("start_s", False),)
        is_sorted = metrics[0].aggregation != "histogram"
        return (("m0", True),) if is_sorted and self.fields() else ()


def parse_query(text: str) -> MetricsQuery:
    """Return the query object. Raises: BadRequestError: it is invalid."""
    try:
        return msgspec.json.decode(text, type=MetricsQuery)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError) as error:
        is_json = isinstance(error, msgspec.ValidationError)
        message = f"query: {error}" if is_json else f"query: must be a JSON object: {error}"
        allowed = get_args(Granularity) if "granularity" in message else ()
        raise BadRequestError(message, field="query", allowed=allowed) from error


def bounds_of(granularity: Granularity, from_us: int, to_us: int) -> tuple[tuple[int, ...], Runs]:
    """Return the bounds of the steps in UTC, and their runs."""
    to_s = -(-to_us // SECOND_US)
    if granularity in _STEP_S:
        step_s = _STEP_S[granularity]
        begin_s = from_us // SECOND_US // step_s * step_s
        bounds = tuple(range(begin_s, to_s + step_s, step_s))
        return bounds, Runs(step_s, (begin_s,), (bounds[-2],))
    at = datetime.fromtimestamp(from_us // SECOND_US, UTC)
    at = at.replace(hour=0, minute=0, second=0)
    at = at.replace(day=1) if granularity == "month" else at - timedelta(days=at.weekday())
    starts = [int(at.timestamp())]
    while starts[-1] < to_s:
        if granularity == "month":
            at = (at + timedelta(days=32)).replace(day=1)
        else:
            at += timedelta(days=7)
        starts.append(int(at.timestamp()))
    begins = tuple(starts[:-1])
    return tuple(starts), Runs(400 * 86_400, begins, begins)


def _one_of(allowed: Mapping[str, Any], name: str, at: str) -> Any:
    if name not in allowed:
        message = f"{at}: {name[:64]!r} is not one of {', '.join(allowed)}"
        raise BadRequestError(message, field=at, allowed=tuple(allowed))
    return allowed[name]
