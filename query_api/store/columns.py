"""Map the names that clients filter and sort by to SQL expressions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from query_api.store.conditions import Column, Kind
from query_api.store.rows import IS_ROOT

_INPUT_TOKENS = "arraySum(mapValues(mapFilter((k, v) -> position(k, 'input') > 0, usage)))"
_OUTPUT_TOKENS = "arraySum(mapValues(mapFilter((k, v) -> position(k, 'output') > 0, usage)))"
_TOTAL_TOKENS = "if(mapContains(usage, 'total'), usage['total'], arraySum(mapValues(usage)))"
_INPUT_COST = "arraySum(mapValues(mapFilter((k, v) -> position(k, 'input') > 0, cost)))"
_OUTPUT_COST = "arraySum(mapValues(mapFilter((k, v) -> position(k, 'output') > 0, cost)))"


def _seconds(since: str, until: str) -> str:
    """Return SQL for the seconds between two times; null if ``until`` is the epoch (absent)."""
    span = f"toUnixTimestamp64Micro({until}) - toUnixTimestamp64Micro({since})"
    return f"if(toUnixTimestamp64Micro({until}) > 0, ({span}) / 1000000, NULL)"


_IS_AFTER_END = "toUnixTimestamp64Micro(end_time) > 0 AND completion_start_time > end_time"
_TIME_TO_FIRST_TOKEN = (
    f"if(completion_start_time < start_time OR ({_IS_AFTER_END}), NULL,"
    f" {_seconds('start_time', 'completion_start_time')})"
)


def _text(sql: str) -> Column:
    return Column(sql, Kind.TEXT)


def _number(sql: str) -> Column:
    return Column(sql, Kind.NUMBER)


TRACE_COLUMNS: Final[Mapping[str, Column]] = MappingProxyType(
    {
        "id": Column("id", Kind.TEXT, narrow=True),
        "name": _text("name"),
        "timestamp": Column("start_time", Kind.TIME),
        "userId": _text("user_id"),
        "sessionId": Column("session_id", Kind.TEXT, narrow=True),
        "environment": _text("environment"),
        "version": _text("version"),
        "release": _text("release"),
        "externalId": _text("external_id"),
        "level": _text("level"),
        "public": Column("(public = 1)", Kind.FLAG),
        "bookmarked": Column("(0 = 1)", Kind.FLAG),
        "tags": Column("tags", Kind.LIST),
        "metadata": Column("metadata", Kind.OBJECT),
        "input": Column("input", Kind.TEXT, is_json=True, of_root=True),
        "output": Column("output", Kind.TEXT, is_json=True, of_root=True),
        "latency": _number(_seconds("start_time", "end_time")),
        "inputTokens": _number(_INPUT_TOKENS),
        "outputTokens": _number(_OUTPUT_TOKENS),
        "totalTokens": _number(_TOTAL_TOKENS),
        "totalCost": Column("total_cost", Kind.MONEY),
        "observationCount": _number("observation_count"),
        "errorCount": _number("error_count"),
    }
)


def _sum(sql: str) -> Column:
    return Column(sql, Kind.OF_OBSERVATIONS)


_MEAN_SCORE: Final = Column("", Kind.MEAN_SCORE)
LISTED_TRACE_COLUMNS: Final[Mapping[str, Column]] = MappingProxyType(
    {
        **TRACE_COLUMNS,
        "tokens": TRACE_COLUMNS["totalTokens"],
        "inputCost": _sum(f"sum({_INPUT_COST})"),
        "outputCost": _sum(f"sum({_OUTPUT_COST})"),
        "warningCount": _sum("countIf(level = 'WARNING')"),
        "defaultCount": _sum("countIf(level = 'DEFAULT')"),
        "debugCount": _sum("countIf(level = 'DEBUG')"),
        "scores_avg": _MEAN_SCORE,
        "scores": _MEAN_SCORE,
        "score_categories": Column("", Kind.SCORE_CATEGORY),
        "score_booleans": Column("", Kind.SCORE_FLAG),
    }
)
"""Columns of lists of traces, some of which read all observations or scores of the project."""

TRACE_ORDER: Final[Mapping[str, str]] = MappingProxyType(
    {
        "timestamp": "start_time",
        "id": "id",
        "name": "name",
        "userId": "user_id",
        "sessionId": "session_id",
        "release": "release",
        "version": "version",
        "environment": "environment",
        "public": "public",
        "latency": "end_time - start_time",
        "totalCost": "total_cost",
    }
)

_TRACE_NAME = replace(TRACE_COLUMNS["name"], of_trace=True)
_TRACE_TAGS = replace(TRACE_COLUMNS["tags"], of_trace=True)
_TRACE_USER = replace(TRACE_COLUMNS["userId"], of_trace=True)
_TRACE_SESSION = replace(TRACE_COLUMNS["sessionId"], of_trace=True)
_TRACE_RELEASE = replace(TRACE_COLUMNS["release"], of_trace=True)
_TRACE_ENVIRONMENT = replace(TRACE_COLUMNS["environment"], of_trace=True)

OBSERVATION_COLUMNS: Final[Mapping[str, Column]] = MappingProxyType(
    {
        "id": Column("id", Kind.TEXT, narrow=True),
        "type": _text("type"),
        "name": _text("name"),
        "traceId": Column("trace_id", Kind.TEXT, narrow=True),
        "parentObservationId": _text("parent_id"),
        "startTime": Column("start_time", Kind.TIME),
        "endTime": Column("end_time", Kind.TIME, may_be_absent=True),
        "completionStartTime": Column("completion_start_time", Kind.TIME, may_be_absent=True),
        "environment": _text("environment"),
        "level": _text("level"),
        "statusMessage": Column("status_message", Kind.TEXT, full_text=True),
        "version": _text("version"),
        "isRootObservation": Column(IS_ROOT, Kind.FLAG),
        "hasParentObservation": Column("(parent_id != '')", Kind.FLAG),
        "positionInTrace": Column(IS_ROOT, Kind.POSITION),
        "userId": _TRACE_USER,
        "sessionId": _TRACE_SESSION,
        "traceName": _TRACE_NAME,
        "traceTags": _TRACE_TAGS,
        "tags": _TRACE_TAGS,
        "release": _TRACE_RELEASE,
        "traceEnvironment": _TRACE_ENVIRONMENT,
        "latency": _number(_seconds("start_time", "end_time")),
        "timeToFirstToken": _number(_TIME_TO_FIRST_TOKEN),
        "tokensPerSecond": _number(
            f"{_OUTPUT_TOKENS} / nullIf({_seconds('start_time', 'end_time')}, 0)"
        ),
        "inputTokens": _number(_INPUT_TOKENS),
        "outputTokens": _number(_OUTPUT_TOKENS),
        "totalTokens": _number(_TOTAL_TOKENS),
        "tokens": _number(_TOTAL_TOKENS),
        "inputCost": Column(_INPUT_COST, Kind.MONEY),
        "outputCost": Column(_OUTPUT_COST, Kind.MONEY),
        "totalCost": Column("total_cost", Kind.MONEY),
        "model": _text("model"),
        "providedModelName": _text("model"),
        "promptName": _text("prompt_name"),
        "promptVersion": _number("prompt_version"),
        "serviceName": _text("service_name"),
        "input": Column("input", Kind.TEXT, full_text=True, is_json=True),
        "output": Column("output", Kind.TEXT, full_text=True, is_json=True),
        "metadata": Column("metadata", Kind.OBJECT, full_text=True),
        "toolNames": Column("mapKeys(tool_definitions)", Kind.LIST, full_text=True),
        "calledToolNames": Column("tool_call_names", Kind.LIST, full_text=True),
        "toolDefinitions": Column("length(tool_definitions)", Kind.NUMBER, full_text=True),
        "toolCalls": Column("length(tool_calls)", Kind.NUMBER, full_text=True),
    }
)

OBSERVATION_ORDER: Final[Mapping[str, str]] = MappingProxyType(
    {
        "latency": "end_time - start_time",
        "timeToFirstToken": _TIME_TO_FIRST_TOKEN,
        "totalTokens": _TOTAL_TOKENS,
        "totalCost": "total_cost",
        "name": "name",
    }
)
"""Orders of observations in addition to that by start."""

SCORE_COLUMNS: Final[Mapping[str, Column]] = MappingProxyType(
    {
        "id": _text("id"),
        "name": _text("name"),
        "timestamp": Column("event_time", Kind.TIME),
        "source": _text("source"),
        "dataType": _text("data_type"),
        "value": _number("value"),
        "stringValue": _text("string_value"),
        "comment": _text("comment"),
        "environment": _text("environment"),
        "traceId": _text("trace_id"),
        "observationId": _text("observation_id"),
        "sessionId": _text("session_id"),
        "datasetRunId": _text("dataset_run_id"),
        "configId": _text("config_id"),
        "queueId": _text("queue_id"),
        "authorUserId": _text("author_user_id"),
        "metadata": Column("metadata", Kind.OBJECT),
        "userId": _TRACE_USER,
        "traceName": _TRACE_NAME,
        "traceTags": _TRACE_TAGS,
        "tags": _TRACE_TAGS,
        "traceEnvironment": _TRACE_ENVIRONMENT,
        "booleanValue": Column("if(data_type = 'BOOLEAN', value != 0, NULL)", Kind.FLAG),
    }
)
