"""Define the rows that queries return: the rows of the streams, with the time of insertion.

The select lists convert columns to integers (microseconds, picodollars) with the names of the
structs' fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from clickhouse.rows import ROOT_OF_TRACE, DeadLetterRow, ObservationRow, ScoreRow, TraceRow


class StoredObservation(ObservationRow, kw_only=True, gc=False):
    inserted_ms: int = 0
    counted: dict[str, int] | None = None
    """Amounts of a summary that its descendants do not report: tokens by side, and ``cost_pico``.

    Set by ``store.summaries``; None for other observations, whose reported amounts all count.
    """
    prompt_id: str | None = None
    """Id of the version of the prompt; set by ``PromptLibrary.mark``."""


class StoredTrace(TraceRow, kw_only=True, gc=False):
    inserted_ms: int = 0
    is_declared: int = 0
    """Whether an event of its own created the trace. Its input, output and metadata are then those
    of such events, and not those of its root observation."""


class StoredScore(ScoreRow, kw_only=True, gc=False):
    inserted_ms: int = 0


class StoredDeadLetter(DeadLetterRow, kw_only=True, gc=False):
    pass


def _micros(column: str, name: str) -> str:
    return f"toUnixTimestamp64Micro({column}) AS {name}"


def _pico(column: str, name: str) -> str:
    return f"toInt64({column} * 1000000000000) AS {name}"


def _pico_map(column: str, name: str) -> str:
    return f"mapApply((k, v) -> (k, toInt64(v * 1000000000000)), {column}) AS {name}"


_FIRST_TOKENS: Final = (
    _micros("completion_start_time", "completion_start_us"),
    _micros("sent_completion_start_time", "sent_completion_start_us"),
)
_INSERTED: Final = "toUnixTimestamp64Milli(inserted_at) AS inserted_ms"

OBSERVATION_CERTAINTY: Final = ("usage_uncertain", "unpriced_usage", "service_tier")
OBSERVATION_NUMBERS: Final = (
    "project_id",
    "trace_id",
    "id",
    _micros("start_time", "start_us"),
    "row_version",
    "is_deleted",
    _micros("end_time", "end_us"),
    *_FIRST_TOKENS,
    "type",
    "name",
    "parent_id",
    "environment",
    "level",
    "status_message",
    "version",
    "model",
    "usage",
    "reported_usage",
    _pico_map("cost", "cost_pico"),
    _pico("total_cost", "total_cost_pico"),
    "cost_source",
    "price_id",
    _pico("computed_cost", "computed_cost_pico"),
    "usage_estimated",
    *OBSERVATION_CERTAINTY,
    "prompt_name",
    "prompt_version",
    "service_name",
    "app_root",
    "user_id",
    "session_id",
    _INSERTED,
)
"""Columns that ``observations_slim`` has as well."""

OBSERVATION_KEY: Final = (
    "project_id",
    "trace_id",
    "id",
    _micros("start_time", "start_us"),
    "row_version",
    "is_deleted",
)
OBSERVATION_PARAMETERS: Final = ("model_parameters", "scope_name")
"""Model parameters, and what sent them."""
OBSERVATION_TEXTS: Final = ("input", "output")
OBSERVATION_TOOLS: Final = ("tool_definitions", "tool_calls", "tool_call_names")
OBSERVATION_GROUPS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "core": (_micros("end_time", "end_us"), "type", "parent_id"),
        "basic": (
            "name",
            "level",
            "status_message",
            "version",
            "environment",
            "app_root",
            "user_id",
            "session_id",
        ),
        "time": (*_FIRST_TOKENS, _INSERTED),
        "io": (*OBSERVATION_TEXTS, *OBSERVATION_TOOLS),
        "metadata": ("metadata",),
        "model": ("model", "price_id", *OBSERVATION_PARAMETERS),
        "usage": (
            "usage",
            "reported_usage",
            _pico_map("cost", "cost_pico"),
            _pico("total_cost", "total_cost_pico"),
            "cost_source",
            "price_id",
            _pico("computed_cost", "computed_cost_pico"),
            "usage_uncertain",
            "unpriced_usage",
            "service_tier",
        ),
        "prompt": ("prompt_name", "prompt_version"),
        "metrics": (_micros("completion_start_time", "completion_start_us"),),
    }
)
"""Columns of each group of fields of ``/api/public/v2/observations``, without the key.

Only requested groups are read, because each column costs time even for few rows.
"""
OBSERVATION_IN_TREE: Final = (
    *OBSERVATION_KEY,
    _micros("end_time", "end_us"),
    "type",
    "name",
    "parent_id",
    "level",
    "status_message",
    "model",
    "usage",
    _pico("total_cost", "total_cost_pico"),
    "cost_source",
    "price_id",
    _pico("computed_cost", "computed_cost_pico"),
    "usage_estimated",
    "usage_uncertain",
    "unpriced_usage",
    "service_tier",
    "app_root",
)
OBSERVATION_ROOTNESS: Final = ("parent_id", "app_root")
IS_ROOT: Final = "(parent_id = '' OR app_root > 0)"
GIVES_TEXTS: Final = f"(parent_id = '' OR app_root = {ROOT_OF_TRACE})"
"""Whether the trace takes the texts of this observation, if it has none."""
OBSERVATION_METADATA: Final = ("metadata",)
OBSERVATION_WHOLE: Final = (
    *OBSERVATION_NUMBERS,
    *OBSERVATION_TEXTS,
    *OBSERVATION_TOOLS,
    *OBSERVATION_METADATA,
    *OBSERVATION_PARAMETERS,
)

TRACE_CORE: Final = (
    "project_id",
    "id",
    _micros("start_time", "start_us"),
    "row_version",
    "is_deleted",
    _micros("end_time", "end_us"),
    "name",
    "user_id",
    "session_id",
    "environment",
    "release",
    "version",
    "external_id",
    "public",
    "tags",
    "root_observation_id",
    "level",
    "observation_count",
    "error_count",
    "unpriced_count",
    "usage",
    _pico("total_cost", "total_cost_pico"),
    _INSERTED,
)
TRACE_SUMMARIES: Final = (
    "project_id",
    "id",
    _micros("start_time", "start_us"),
    "row_version",
    "is_deleted",
    "summaries",
)
"""The key of a trace and its summaries."""
IS_DECLARED: Final = "JSONHas(merge_state, 'first_us')"
TRACE_TEXTS: Final = ("input", "output", "metadata", f"{IS_DECLARED} AS is_declared")
TRACE_WHOLE: Final = (*TRACE_CORE, *TRACE_TEXTS)
TRACE_DETAIL: Final = (*TRACE_WHOLE, "summaries")
TRACE_TOTALS: Final = (
    "project_id",
    "id",
    _micros("start_time", "start_us"),
    "row_version",
    "is_deleted",
    _micros("end_time", "end_us"),
    "name",
    "level",
    "observation_count",
    "unpriced_count",
    _pico("total_cost", "total_cost_pico"),
    "summaries",
)
"""Columns of a trace in its call tree."""
TRACE_AMOUNTS: Final = (*TRACE_TOTALS, "error_count", "usage")
OBSERVATION_TIMES: Final = (_micros("completion_start_time", "completion_start_us"),)
TRACE_CONTEXT: Final = (
    "project_id",
    "id",
    _micros("start_time", "start_us"),
    "row_version",
    "is_deleted",
    "name",
    "user_id",
    "session_id",
    "environment",
    "release",
    "public",
    "tags",
)
"""Columns of a trace that are part of its observations and scores."""

SCORE_WHOLE: Final = (
    "project_id",
    "id",
    _micros("event_time", "event_us"),
    "row_version",
    "is_deleted",
    "name",
    "data_type",
    "value",
    "string_value",
    "trace_id",
    "observation_id",
    "session_id",
    "dataset_run_id",
    "source",
    "environment",
    "comment",
    "metadata",
    "config_id",
    "queue_id",
    "author_user_id",
    _INSERTED,
)

ALERT_STATE_WHOLE: Final = (
    "project_id",
    "rule_id",
    "group",
    "state",
    "rule_version",
    "severity",
    "labels",
    "episode_id",
    "sequence",
    _micros("started_time", "started_us"),
    _micros("since_time", "since_us"),
    "toString(value) AS value",
    "toString(threshold) AS threshold",
    _micros("window_start_time", "window_start_us"),
    _micros("window_end_time", "window_end_us"),
    "silenced",
    "suppressed_by",
    "acknowledged_by",
    "exemplars",
    "incomplete",
    _micros("complete_since_time", "complete_since_us"),
    "reason",
    _micros("updated_time", "updated_us"),
    "row_version",
)

ALERT_WHOLE: Final = (
    "project_id",
    "id",
    "event",
    "rule_kind",
    "rule_id",
    "name",
    "labels",
    "episode",
    "state",
    "severity",
    "toString(value) AS value",
    "toString(limit_value) AS limit_value",
    "payload",
    _micros("created_time", "created_us"),
    "row_version",
)

DEAD_LETTER_WHOLE: Final = (
    "project_id",
    "id",
    _micros("created_time", "created_us"),
    "stage",
    "reason",
    "detail",
    "source_topic",
    "payload",
    "row_version",
)
