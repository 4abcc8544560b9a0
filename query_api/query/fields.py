"""Define the dimensions and measures of each view, and which sources have them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from query_api.query.dimension import USAGE, Dimension, Measure, View
from query_api.query.exploded_fields import EXPLODED_DIMENSIONS, EXPLODED_MEASURES
from query_api.store.conditions import Column, Kind
from query_api.store.joins import Join


def _span_ms(since: str, until: str) -> str:
    return (
        f"if(toUnixTimestamp64Micro({until}) > 0 AND toUnixTimestamp64Micro({since}) > 0"
        f" AND {until} >= {since}, (toUnixTimestamp64Micro({until})"
        f" - toUnixTimestamp64Micro({since})) / 1000, NULL)"
    )


def _all_tokens(usage: str) -> str:
    """Return SQL of the total of a usage; other types are its parts."""
    return f"if(mapContains({usage}, 'total'), {usage}['total'], arraySum(mapValues({usage})))"


def _part(usage: str, side: str) -> str:
    return f"arraySum(mapValues(mapFilter((k, v) -> position(k, '{side}') > 0, {usage})))"


_COST: Final = "if(s_id = '', total_cost, toDecimal128(s_counted['cost_pico'], 12) / 1000000000000)"
_LATENCY: Final = _span_ms("start_time", "end_time")
_STREAMING: Final = _span_ms("completion_start_time", "end_time")
_TTFT: Final = _span_ms("start_time", "completion_start_time")
_ALL_USAGE: Final = _all_tokens("usage")


def _tokens(side: str) -> Measure:
    own = _part(USAGE, side) if side else _all_tokens(USAGE)
    rolled = _part("usage", side) if side else _ALL_USAGE
    return Measure(
        f"toInt64({own})",
        join="summaries",
        windows=f"toInt64(sum({rolled}))",
        window_columns=("usage",),
    )


def _unique(sql: str, join: Join | None = "traces") -> Measure:
    return Measure(f"nullIf({sql}, '')", join=join, is_text=True)


def experiment_columns(view: View) -> dict[str, Column]:
    """Return the columns with the same values, for filters."""
    return {
        name: Column(DIMENSIONS[view][name].sql, Kind.TEXT, join=DIMENSIONS[view][name].join)
        for name in EXPERIMENT_NAMES.values()
    }


EXPERIMENT_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "experiment_id": "experimentId",
        "experiment_name": "experimentName",
        "dataset_id": "experimentDatasetId",
    }
)
"""Names of the dimensions of experiments in Langfuse, by those in ``/v1/query``."""


def experiment_dimensions(join: Join) -> dict[str, Dimension]:
    """Return the dimensions of the experiment of a trace, by their names in Langfuse."""
    return {
        "experimentId": Dimension("x_id", join),
        "experimentName": Dimension("x_name", join),
        "experimentDatasetId": Dimension("x_dataset", join),
    }


OBSERVATION_DIMENSIONS: Final[Mapping[str, Dimension]] = MappingProxyType(
    {
        "id": Dimension("id"),
        "traceId": Dimension("trace_id"),
        "traceName": Dimension("t_name", "traces", spend="trace_name"),
        "environment": Dimension("environment", window="environment", spend="environment"),
        "parentObservationId": Dimension("parent_id"),
        "type": Dimension("type", window="type"),
        "name": Dimension("name", window="name"),
        "level": Dimension("level", window="level"),
        "version": Dimension("version"),
        "tags": Dimension("t_tags", "traces"),
        "providedModelName": Dimension("model", window="model", spend="model"),
        "promptName": Dimension("prompt_name", window="prompt_name", spend="prompt_name"),
        "promptVersion": Dimension(
            "if(prompt_version = 0, '', toString(prompt_version))", window="prompt_version"
        ),
        "userId": Dimension("t_user_id", "traces", spend="user_id"),
        "sessionId": Dimension("t_session_id", "traces", spend="session_id"),
        "traceRelease": Dimension("t_release", "traces"),
        "traceVersion": Dimension("t_version", "traces"),
        "release": Dimension("t_release", "traces"),
        "isRootObservation": Dimension("toBool(parent_id = '' OR app_root > 0)"),
        "startTimeMonth": Dimension("formatDateTime(start_time, '%Y-%m')"),
        **experiment_dimensions("experiments"),
        **EXPLODED_DIMENSIONS,
    }
)
OBSERVATION_MEASURES: Final[Mapping[str, Measure]] = MappingProxyType(
    {
        "count": Measure(
            "1",
            windows="toInt64(sum(observation_count))",
            spend_count="toInt64(sum(observation_count))",
            is_count=True,
        ),
        "errors": Measure(
            "level = 'ERROR'",
            windows="toInt64(sum(error_count))",
            window_columns=("error_count",),
            spend_count="toInt64(sum(error_count))",
        ),
        "latency": Measure(_LATENCY, sketch="latency_state"),
        "streamingLatency": Measure(_STREAMING),
        "inputTokens": _tokens("input"),
        "outputTokens": _tokens("output"),
        "totalTokens": _tokens(""),
        "outputTokensPerSecond": Measure(
            f"{_part('usage', 'output')} * 1000 / nullIf({_STREAMING}, 0)"
        ),
        "tokensPerSecond": Measure(f"{_ALL_USAGE} * 1000 / nullIf({_LATENCY}, 0)"),
        "inputCost": Measure(f"if(s_id = '', {_part('cost', 'input')}, 0)", "summaries", "money"),
        "outputCost": Measure(f"if(s_id = '', {_part('cost', 'output')}, 0)", "summaries", "money"),
        "totalCost": Measure(
            _COST, "summaries", "money", windows="sum(total_cost)", spend="sum(total_cost)"
        ),
        "timeToFirstToken": Measure(_TTFT, sketch="ttft_state"),
        "countScores": Measure("c_scores", join="observation_scores"),
        "uniqueUserIds": _unique("t_user_id"),
        "uniqueSessionIds": _unique("t_session_id"),
        "uniqueTraceIds": _unique("trace_id", None),
        **EXPLODED_MEASURES,
    }
)
TRACE_DIMENSIONS: Final[Mapping[str, Dimension]] = MappingProxyType(
    {
        "id": Dimension("id"),
        "name": Dimension("name"),
        "tags": Dimension("tags"),
        "userId": Dimension("user_id"),
        "sessionId": Dimension("session_id"),
        "release": Dimension("release"),
        "version": Dimension("version"),
        "environment": Dimension("environment"),
        "timestampMonth": Dimension("formatDateTime(start_time, '%Y-%m')"),
        **experiment_dimensions("trace_experiments"),
    }
)
TRACE_MEASURES: Final[Mapping[str, Measure]] = MappingProxyType(
    {
        "count": Measure("1", is_count=True),
        "observationsCount": Measure("toInt64(observation_count)"),
        "errors": Measure("toInt64(error_count)"),
        "scoresCount": Measure("c_scores", join="trace_scores"),
        "uniqueUserIds": _unique("user_id", None),
        "uniqueSessionIds": _unique("session_id", None),
        "latency": Measure(_LATENCY),
        "inputTokens": Measure(f"toInt64({_part('usage', 'input')})"),
        "outputTokens": Measure(f"toInt64({_part('usage', 'output')})"),
        "totalTokens": Measure(f"toInt64({_ALL_USAGE})"),
        "totalCost": Measure("total_cost", unit="money"),
    }
)
SCORE_DIMENSIONS: Final[Mapping[str, Dimension]] = MappingProxyType(
    {
        "id": Dimension("id"),
        "environment": Dimension("environment"),
        "name": Dimension("name"),
        "source": Dimension("source"),
        "dataType": Dimension("data_type"),
        "configId": Dimension("config_id"),
        "timestampMonth": Dimension("formatDateTime(event_time, '%Y-%m')"),
        "timestampDay": Dimension("formatDateTime(event_time, '%Y-%m-%d')"),
        "value": Dimension("value"),
        "stringValue": Dimension("string_value"),
        "booleanValue": Dimension("toBool(ifNull(value, 0) != 0)"),
        "traceId": Dimension("trace_id"),
        "observationId": Dimension("observation_id"),
        "traceName": Dimension("t_name", "traces"),
        "tags": Dimension("t_tags", "traces"),
        "traceRelease": Dimension("t_release", "traces"),
        "release": Dimension("t_release", "traces"),
        "traceVersion": Dimension("t_version", "traces"),
        "userId": Dimension("t_user_id", "traces"),
        "sessionId": Dimension("if(session_id != '', session_id, t_session_id)", "traces"),
        "observationName": Dimension("o_name", "observations"),
        "observationModelName": Dimension("o_model", "observations"),
        "observationPromptName": Dimension("o_prompt_name", "observations"),
        "observationPromptVersion": Dimension(
            "if(o_prompt_version = 0, '', toString(o_prompt_version))", "observations"
        ),
        **experiment_dimensions("experiments"),
        "experimentId": Dimension("if(dataset_run_id != '', dataset_run_id, x_id)", "experiments"),
    }
)
SCORE_MEASURES: Final[Mapping[str, Measure]] = MappingProxyType(
    {"count": Measure("1", is_count=True), "value": Measure("value")}
)
DIMENSIONS: Final[Mapping[View, Mapping[str, Dimension]]] = MappingProxyType(
    {
        "observations": OBSERVATION_DIMENSIONS,
        "traces": TRACE_DIMENSIONS,
        "scores": SCORE_DIMENSIONS,
    }
)
MEASURES: Final[Mapping[View, Mapping[str, Measure]]] = MappingProxyType(
    {"observations": OBSERVATION_MEASURES, "traces": TRACE_MEASURES, "scores": SCORE_MEASURES}
)
