"""Define the dimensions, measures and filters of ``/v1/query`` by their names.

A measure is named ``<measure>`` or ``<measure>.<aggregation>``, such as ``cost_usd``,
``latency_ms.p99.9`` or ``tokens.input.avg``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from producers.dimensions.registry import REGISTRY
from producers.usage_units import cache_pattern
from query_api.errors import BadRequestError
from query_api.query.dimension import USAGE, Dimension, Measure, View
from query_api.query.fields import (
    EXPERIMENT_NAMES,
    OBSERVATION_DIMENSIONS,
    OBSERVATION_MEASURES,
    SCORE_DIMENSIONS,
    SCORE_MEASURES,
    TRACE_DIMENSIONS,
    TRACE_MEASURES,
)
from query_api.query.logical_query import PERCENTILE, GroupBy, Metric

KEY_CHARS_MAX: Final = 200
METADATA: Final = "metadata."
TOKENS: Final = "tokens."
_AGGREGATION: Final = re.compile(
    r"(?P<name>.+?)\.(?P<aggregation>sum|avg|min|max|histogram|p\d+(?:\.\d+)?)\Z",
    re.ASCII | re.DOTALL,
)
_NUMBERS: Final = ("avg", "min", "max", "percentile", "histogram")
PERCENTILES: Final = "any pN from p0.001 to p99.999, with at most three decimals"
AGGREGATIONS: Final = f"sum, avg, min, max, histogram, pN; {PERCENTILES}"


@dataclass(frozen=True, slots=True)
class NativeMeasure:
    """A measure and its aggregations; ``default`` is that of its bare name, if it has one."""

    measure: Measure
    default: str = ""
    others: tuple[str, ...] = ()

    def allowed(self, name: str) -> tuple[str, ...]:
        """Return the names with all aggregations; ``p95`` stands for all percentiles."""
        shown = ("p95" if each == "percentile" else each for each in self.others)
        return (*((name,) if self.default else ()), *(f"{name}.{each}" for each in shown))


def _count(rows: str, window: str, **fields: bool) -> NativeMeasure:
    """Return a count of rows with a condition, which windows have as a column."""
    sql = f"toInt64(sum({window}))"
    return NativeMeasure(Measure(rows, windows=sql, window_columns=(window,), **fields), "sum")  # type: ignore[arg-type]  # flags


def _saved(is_of_app: str, window: str) -> NativeMeasure:
    """Return the savings of calls that meet a condition, which windows have as a column."""
    rows = f"if(s_id = '' AND {is_of_app}, cache_saved, toDecimal128(0, 12))"
    measure = Measure(
        rows, "summaries", "money", f"sum({window})", (window,), is_full=True, is_always_set=True
    )
    return NativeMeasure(measure, "sum")


def _of_type(usage: str, join: str | None = None) -> Measure:
    """Return the tokens of one usage type, the key of the measure."""
    return Measure(
        f"if(mapContains({usage}, $key), toInt64({usage}[$key]), NULL)",
        join=join,  # type: ignore[arg-type]  # a join
        windows="toInt64(sum(usage[$key]))",
        window_columns=("usage",),
    )


def _of_kind(usage: str, join: str | None = None) -> Measure:
    """Return the tokens of all usage types that match a pattern, the key of the measure."""
    own = _matching(usage)
    return Measure(
        f"if(length({own}) > 0, toInt64(arraySum(mapValues({own}))), NULL)",
        join=join,  # type: ignore[arg-type]  # a join
        windows=f"toInt64(sum(arraySum(mapValues({_matching('usage')}))))",
        window_columns=("usage",),
    )


def _matching(usage: str) -> str:
    return f"mapFilter((k, v) -> match(k, $key), {usage})"


def _unique(measures: Mapping[str, Measure], name: str) -> NativeMeasure:
    return NativeMeasure(measures[name], "uniq")


_MONEY: Final = ("sum", *_NUMBERS)
_RATE_OUTPUT: Final = "arraySum(mapValues(mapFilter((k, v) -> position(k, 'output') > 0, usage)))"
_DURATION_US: Final = "(toUnixTimestamp64Micro(end_time) - toUnixTimestamp64Micro(start_time))"
_RATE: Final = (
    f"if(s_id = '' AND toUnixTimestamp64Micro(end_time) > 0 AND {_DURATION_US} > 0,"
    f" nullIf({_RATE_OUTPUT}, 0) * 1000000 / {_DURATION_US}, NULL)"
)
_UNPRICED: Final = (
    "cost_source = 'unpriced' AND (s_id = '' OR length(mapFilter((k, v) -> k != 'cost_pico',"
    " s_counted)) > 0)"
)
_BY_APP: Final = "app_cache IN ('exact', 'semantic')"


def _wide(usage: str) -> str:
    return f"mapApply((k, v) -> (k, toInt128(v)), {usage})"


OBSERVATIONS: Final[Mapping[str, NativeMeasure]] = MappingProxyType(
    {
        "count": NativeMeasure(OBSERVATION_MEASURES["count"], "count"),
        "errors": NativeMeasure(OBSERVATION_MEASURES["errors"], "sum"),
        "cost_usd": NativeMeasure(
            replace(OBSERVATION_MEASURES["totalCost"], is_always_set=True), "sum", _MONEY
        ),
        "tokens": NativeMeasure(
            Measure(_wide(USAGE), "summaries", "counts", "sumMap(usage)", ("usage",)), "sum"
        ),
        "latency_ms": NativeMeasure(OBSERVATION_MEASURES["latency"], others=_NUMBERS),
        "ttft_ms": NativeMeasure(OBSERVATION_MEASURES["timeToFirstToken"], others=_NUMBERS),
        "output_tokens_per_s": NativeMeasure(
            Measure(_RATE, "summaries", sketch="rate_state"), others=_NUMBERS
        ),
        "traces": _unique(OBSERVATION_MEASURES, "uniqueTraceIds"),
        "users": _unique(OBSERVATION_MEASURES, "uniqueUserIds"),
        "sessions": _unique(OBSERVATION_MEASURES, "uniqueSessionIds"),
        "unpriced": NativeMeasure(
            Measure(
                _UNPRICED,
                "summaries",
                windows="toInt64(sum(unpriced_count))",
                window_columns=("unpriced_count",),
                spend_unpriced="toInt64(sum(unpriced_count))",
            ),
            "sum",
        ),
        "cache_exact": _count("app_cache = 'exact'", "cache_exact_count", is_full=True),
        "cache_semantic": _count("app_cache = 'semantic'", "cache_semantic_count", is_full=True),
        "cache_miss": _count("app_cache = 'miss'", "cache_miss_count", is_full=True),
        "prompt_cache_saved_usd": _saved(f"NOT {_BY_APP}", "cached_saved"),
        "app_cache_saved_usd": _saved(_BY_APP, "app_saved"),
    }
)
TRACES: Final[Mapping[str, NativeMeasure]] = MappingProxyType(
    {
        "count": NativeMeasure(TRACE_MEASURES["count"], "count"),
        "errors": NativeMeasure(TRACE_MEASURES["errors"], "sum", _NUMBERS),
        "observations": NativeMeasure(TRACE_MEASURES["observationsCount"], "sum", _NUMBERS),
        "cost_usd": NativeMeasure(TRACE_MEASURES["totalCost"], "sum", _MONEY),
        "tokens": NativeMeasure(Measure(_wide("usage"), unit="counts"), "sum"),
        "latency_ms": NativeMeasure(TRACE_MEASURES["latency"], others=_NUMBERS),
        "users": _unique(TRACE_MEASURES, "uniqueUserIds"),
        "sessions": _unique(TRACE_MEASURES, "uniqueSessionIds"),
    }
)
SCORES: Final[Mapping[str, NativeMeasure]] = MappingProxyType(
    {
        "count": NativeMeasure(SCORE_MEASURES["count"], "count"),
        "value": NativeMeasure(SCORE_MEASURES["value"], others=_NUMBERS),
    }
)
MEASURES: Final[Mapping[View, Mapping[str, NativeMeasure]]] = MappingProxyType(
    {"observations": OBSERVATIONS, "traces": TRACES, "scores": SCORES}
)
_OF_TYPE: Final[Mapping[View, Measure]] = MappingProxyType(
    {"observations": _of_type(USAGE, "summaries"), "traces": _of_type("usage")}
)
_OF_KIND: Final[Mapping[View, Measure]] = MappingProxyType(
    {"observations": _of_kind(USAGE, "summaries"), "traces": _of_kind("usage")}
)
_KINDS: Final = MappingProxyType(
    {"cache_read": cache_pattern("read"), "cache_write": cache_pattern("write")}
)
"""Patterns of the usage types that ``tokens.cache_read`` and ``tokens.cache_write`` add up."""
_RAW: Final = "JSONExtractRaw(metadata, $key)"
_MEMBER: Final = f"if(startsWith({_RAW}, '\"'), JSONExtractString(metadata, $key), {_RAW})"
_TAG: Final = "arrayJoin(if(empty({0}), [''], {0}))"


def _of_experiment(known: Mapping[str, Dimension]) -> dict[str, Dimension]:
    return {name: known[each] for name, each in EXPERIMENT_NAMES.items()}


def _observation_dimensions() -> dict[str, Dimension]:
    own = OBSERVATION_DIMENSIONS
    rows = {
        "model": own["providedModelName"],
        "prompt_name": own["promptName"],
        "prompt_version": own["promptVersion"],
        "user_id": own["userId"],
        "session_id": own["sessionId"],
        "trace_name": own["traceName"],
        "service_tier": Dimension("service_tier"),
        "provider": Dimension("provider", is_full=True),
        "api_key": Dimension("api_key", is_full=True),
        **{name: own[name] for name in ("environment", "name", "type", "level", "version")},
    }
    found = {
        each.name: replace(
            rows.get(each.name, Dimension("")),
            window=each.name if each.in_windows else "",
            spend=each.name if each.in_spend else "",
        )
        for each in REGISTRY.all()
        if not each.is_array
    }
    return {
        **found,
        "tag": Dimension(_TAG.format("t_tags"), "traces"),
        "release": own["release"],
        "version": own["version"],
        "trace_version": own["traceVersion"],
        "trace_id": own["traceId"],
        "parent_id": own["parentObservationId"],
        "id": own["id"],
        **_of_experiment(own),
    }


_TRACE_DIMENSIONS: Final = {
    **{name: TRACE_DIMENSIONS[name] for name in ("name", "environment", "release", "version")},
    "user_id": TRACE_DIMENSIONS["userId"],
    "session_id": TRACE_DIMENSIONS["sessionId"],
    "tag": Dimension(_TAG.format("tags")),
    "id": TRACE_DIMENSIONS["id"],
    **_of_experiment(TRACE_DIMENSIONS),
}
_SCORE_DIMENSIONS: Final = {
    "name": SCORE_DIMENSIONS["name"],
    "source": SCORE_DIMENSIONS["source"],
    "data_type": SCORE_DIMENSIONS["dataType"],
    "string_value": SCORE_DIMENSIONS["stringValue"],
    "config_id": SCORE_DIMENSIONS["configId"],
    "environment": SCORE_DIMENSIONS["environment"],
    "user_id": SCORE_DIMENSIONS["userId"],
    "session_id": SCORE_DIMENSIONS["sessionId"],
    "trace_name": SCORE_DIMENSIONS["traceName"],
    "release": SCORE_DIMENSIONS["release"],
    "trace_version": SCORE_DIMENSIONS["traceVersion"],
    "tag": Dimension(_TAG.format("t_tags"), "traces"),
    "observation_name": SCORE_DIMENSIONS["observationName"],
    "model": SCORE_DIMENSIONS["observationModelName"],
    "prompt_name": SCORE_DIMENSIONS["observationPromptName"],
    "prompt_version": SCORE_DIMENSIONS["observationPromptVersion"],
    "trace_id": SCORE_DIMENSIONS["traceId"],
    **_of_experiment(SCORE_DIMENSIONS),
}
DIMENSIONS: Final[Mapping[View, Mapping[str, Dimension]]] = MappingProxyType(
    {
        "observations": _observation_dimensions(),
        "traces": _TRACE_DIMENSIONS,
        "scores": _SCORE_DIMENSIONS,
    }
)


def group_by_of(view: View, name: str, field: str) -> GroupBy:
    """Return a dimension. Raises: BadRequestError: the view has none of this name."""
    found = DIMENSIONS[view].get(name)
    if found is not None:
        return GroupBy(name, found)
    key = name.removeprefix(METADATA)
    if key != name and 0 < len(key) <= KEY_CHARS_MAX:
        return GroupBy(name, Dimension(_MEMBER, is_full=view == "observations", key=key))
    allowed = (*DIMENSIONS[view], f"{METADATA}KEY")
    raise _unknown(name, field, "a dimension", allowed)


def metric_of(view: View, name: str, field: str, position: int | None = None) -> Metric:
    """Return a measure with its aggregation.

    ``position`` is that of the name in a formula.

    Raises:
        BadRequestError: the view has no such measure, or it has no such aggregation.
    """
    found = _AGGREGATION.match(name)
    base, aggregation = (found["name"], found["aggregation"]) if found else (name, "")
    native = MEASURES[view].get(base)
    if native is None and base.startswith(TOKENS) and view in _OF_TYPE:
        key = base.removeprefix(TOKENS)
        if key in _KINDS:
            native = NativeMeasure(replace(_OF_KIND[view], key=_KINDS[key]), "sum", _MONEY)
        elif 0 < len(key) <= KEY_CHARS_MAX:
            native = NativeMeasure(replace(_OF_TYPE[view], key=key), "sum", _MONEY)
    if native is None:
        typed = (f"{TOKENS}TYPE",) if view in _OF_TYPE else ()
        allowed = (*MEASURES[view], *typed)
        raise _unknown(name, field, "a measure", allowed, position)
    kind = "percentile" if PERCENTILE.match(aggregation) else aggregation
    if kind not in (native.others or ()) and aggregation != native.default and aggregation:
        raise _unknown(name, field, "a measure", native.allowed(base), position)
    if not aggregation and not native.default:
        raise _unknown(name, field, "a measure", native.allowed(base), position)
    aggregation = aggregation or native.default
    engine = "heatmap" if aggregation == "histogram" else aggregation
    return Metric(name, native.measure, engine)


def _unknown(
    name: str, field: str, kind: str, allowed: tuple[str, ...], position: int | None = None
) -> BadRequestError:
    where = "" if position is None else f" at position {position}"
    message = f"{field}: {name[:64]!r}{where} is not {kind}; allowed: {', '.join(allowed)}"
    if any(each.endswith(".p95") for each in allowed):
        message = f"{message}; instead of p95, {PERCENTILES}"
    return BadRequestError(message, field=field, allowed=allowed)
