"""Define the rows that the streams produce: one struct per table, one JSON line per row.

Field names are column names; omitted fields have the column's default. Two kinds of fields are
inputs of another column (``EPHEMERAL`` in the migrations): ``x_us`` (integer microseconds) sets
``x_time DateTime64(6)``, and ``x_pico`` (integer picodollars) sets ``x Decimal(38, 12)``. Integers
avoid formatting in the hot path.

Of several rows with the same sort key, the one with the highest ``row_version`` is valid.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, Final, TypeVar

import msgspec

from clickhouse.state_rows import AlertStateRow as AlertStateRow  # noqa: PLC0414  exported
from clickhouse.state_rows import BudgetStateRow as BudgetStateRow  # noqa: PLC0414
from producers.dimensions.dimension import Dimension, as_is
from producers.dimensions.registry import REGISTRY

RowT = TypeVar("RowT", bound=type[msgspec.Struct])
ROOT_OF_TRACE: Final = 1
"""An observation with a parent that is the root of an application: its trace takes its texts."""
ENTRY: Final = 2
"""An observation with a parent that is the first span that an SDK exports: a root without that."""


def _with_columns(dimensions: Sequence[Dimension]) -> Callable[[RowT], RowT]:
    """Add a column for each dimension that has none.

    The value is always written, so that rows do not depend on the column's default.
    """

    def extended(row: RowT) -> RowT:
        columns: list[Any] = [
            (each.name, str, msgspec.field(default_factory=partial(as_is, each.default)))
            for each in dimensions
            if each.name not in row.__struct_fields__
        ]
        if not columns:
            return row
        return msgspec.defstruct(  # type: ignore[return-value]
            row.__name__,
            columns,
            bases=(row,),
            module=__name__,
            kw_only=True,
            omit_defaults=True,
            gc=False,
        )

    return extended


class ObservationRow(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """An observation, merged and priced. Key: project, trace, id (and the start minute)."""

    project_id: str
    trace_id: str
    id: str
    start_us: int
    row_version: int
    is_deleted: int = 0
    end_us: int = 0
    completion_start_us: int = 0
    sent_completion_start_us: int = 0
    """The time of the first token as sent, if that is not within the observation."""
    type: str = "SPAN"
    name: str = ""
    parent_id: str = ""
    environment: str = "default"
    level: str = "DEFAULT"
    status_message: str = ""
    error_type: str = ""
    """Class of the error, if the observation has one."""
    version: str = ""
    model: str = ""
    model_parameters: str = ""
    provided_usage: dict[str, int] = {}
    usage: dict[str, int] = {}
    reported_usage: str = ""
    """JSON of the usage as the client sent it, if that differs from ``provided_usage``; ``{}`` or
    empty if it does not."""
    provided_cost_pico: dict[str, int] = {}
    cost_pico: dict[str, int] = {}
    total_cost_pico: int = 0
    cost_source: str = "none"
    """``given`` (sent by the client), ``computed`` (from a price), ``unpriced`` (there is no price)
    or ``none`` (there is no usage)."""
    price_id: str = ""
    computed_cost_pico: int = 0
    """The cost by ``price_id`` if a given cost differs from it by more than a tenth."""
    usage_estimated: int = 0
    usage_uncertain: str = ""
    """Inconsistencies in the reported usage; empty if there are none."""
    unpriced_usage: tuple[str, ...] = ()
    """Usage types without a price, if other usage of the observation is priced."""
    service_tier: str = ""
    """Tier that served the call, if the response contains it."""
    provider: str = ""
    """Who served the call."""
    provider_derived: int = 0
    """Whether the provider was derived from the name of the model, because none was reported."""
    app_cache: str = ""
    """How a cache of the application answered: ``exact``, ``semantic`` or ``miss``."""
    cache_saved_pico: int = 0
    """Picodollars that caches saved (``streams.core.pricing.savings``): the prompt cache, or the
    application's if that answered."""
    input: str = ""
    output: str = ""
    metadata: str = ""
    tool_definitions: dict[str, str] = {}
    """JSON definitions of the tools that the input offers, by name."""
    tool_calls: tuple[str, ...] = ()
    """Tools that the output calls, as JSON ``{id, name, arguments}``."""
    tool_call_names: tuple[str, ...] = ()
    prompt_name: str = ""
    prompt_version: int = 0
    service_name: str = ""
    scope_name: str = ""
    scope_version: str = ""
    app_root: int = 0
    """0, ``ROOT_OF_TRACE`` or ``ENTRY``."""
    api_key: str = ""
    """Public key of the API key that sent it."""
    user_id: str = ""
    session_id: str = ""
    merge_state: str = ""
    """JSON state for merging later partial updates; empty if the event was complete."""
    event_us: int = 0
    """``ts_us`` of the latest event merged into the row."""


class TraceRow(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """A trace with the totals of its observations. Key: project, day of its start, id."""

    project_id: str
    id: str
    start_us: int
    row_version: int
    is_deleted: int = 0
    end_us: int = 0
    name: str = ""
    user_id: str = ""
    session_id: str = ""
    environment: str = "default"
    release: str = ""
    version: str = ""
    external_id: str = ""
    public: int = 0
    tags: tuple[str, ...] = ()
    metadata: str = ""
    input: str = ""
    """Input of the trace; if empty, that of the root observation is used."""
    output: str = ""
    root_observation_id: str = ""
    level: str = "DEFAULT"
    observation_count: int = 0
    error_count: int = 0
    unpriced_count: int = 0
    usage: dict[str, int] = {}
    total_cost_pico: int = 0
    summaries: dict[str, dict[str, int]] = {}
    """Observations that repeat the usage of their descendants, and what they count themselves:
    tokens by side, and ``cost_pico``."""
    merge_state: str = ""


class ScoreRow(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """A score. Key: project, id."""

    project_id: str
    id: str
    event_us: int
    row_version: int
    is_deleted: int = 0
    name: str = ""
    data_type: str = "NUMERIC"
    value: float | None = None
    string_value: str = ""
    trace_id: str = ""
    observation_id: str = ""
    session_id: str = ""
    dataset_run_id: str = ""
    source: str = "API"
    environment: str = "default"
    comment: str = ""
    metadata: str = ""
    config_id: str = ""
    queue_id: str = ""
    author_user_id: str = ""


@_with_columns(REGISTRY.of_windows())
class WindowRow(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """Totals of a tumbling window of ten seconds of event time.

    Rows of earlier versions are of a whole minute. Key: project, start, dimensions.
    """

    project_id: str
    window_s: int
    """Window start, seconds since the epoch; column ``window_start DateTime``."""
    environment: str
    model: str
    name: str
    row_version: int
    observation_count: int = 0
    error_count: int = 0
    usage: dict[str, int] = {}
    total_cost_pico: int = 0
    latency_state_hex: str
    """Hex of the column ``latency_state``.

    An ``AggregateFunction(quantilesDD(0.01, 0.5, 0.95, 0.99), Float64)`` state over microseconds.
    """
    ttft_state_hex: str = ""
    """The same for the time to the first token; empty: no observation has one."""
    rate_state_hex: str = ""
    """The same for output tokens per second × 1,000."""
    unpriced_count: int = 0
    """Observations with usage but without a price."""
    cache_exact_count: int = 0
    """Observations that a cache of the application answered, by an answer to the same request."""
    cache_semantic_count: int = 0
    """The same, by an answer to a similar request."""
    cache_miss_count: int = 0
    cached_saved_pico: int = 0
    """Picodollars that prompt caches saved."""
    app_saved_pico: int = 0
    """Picodollars that caches of the application saved."""
    error_types: dict[str, int] = {}
    """Errors by class."""


@_with_columns(REGISTRY.of_spend())
class SpendRow(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """Cost, counts and tokens of 15 minutes of event time.

    Key: project, start, dimensions.
    """

    project_id: str
    bucket_s: int
    """Bucket start, seconds since the epoch, multiple of 900; column ``bucket_start DateTime``."""
    user_id: str
    model: str
    environment: str
    row_version: int
    total_cost_pico: int = 0
    observation_count: int = 0
    error_count: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    unpriced_count: int = 0
    """Observations with usage but without a price."""


class AlertRow(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """An alert (``producers.notifications.alert``). Key: project, id.

    Old records have only the columns of budgets; ``clickhouse.alert_rows`` and the table's defaults
    fill the generic ones.
    """

    project_id: str
    id: str
    """Id that depends only on the alert's identity; it is also the ``webhook-id``."""
    event: str = ""
    rule_kind: str = ""
    """Empty in old records, whose rule is a budget."""
    rule_id: str = ""
    name: str
    labels: dict[str, str] = {}
    episode: str = ""
    state: str = ""
    severity: str = ""
    value: Decimal | None = None
    limit_value: Decimal | None = None
    payload: str = ""
    """JSON of the event type's struct."""
    budget_id: str = ""
    """This column and the following ones up to ``trace_id`` belong to budgets."""
    scope: str = ""
    """JSON object."""
    period_start_us: int = 0
    threshold: str = ""
    """Decimal string."""
    spent_pico: int = 0
    limit_pico: int = 0
    trace_id: str = ""
    created_us: int
    row_version: int


class DeadLetterRow(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """Input that could not be processed. Key: project, day, id."""

    project_id: str
    id: str
    """Id that depends only on the source, so that a replay produces the same row."""
    created_us: int
    stage: str
    """Stage that rejected the input: ``gateway``, ``observations``, ``sink`` …"""
    reason: str
    """Short machine-readable code."""
    detail: str = ""
    source_topic: str = ""
    source_partition: int = -1
    source_offset: int = -1
    payload: str = ""
    row_version: int = 1


class ControlLogRow(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """A record of the control-plane log; it is immutable and has no version. Key: offset, time."""

    log_offset: int
    log_key: str
    """``kind/id/nonce``: the key for log compaction."""
    kind: str
    id: str
    is_tombstone: int = 0
    record: str = ""
    """The value as JSON (``producers.control.state.Envelope``), without secrets.

    Empty for deletions and for records that the sink could not decode.
    """
    appended_us: int


class TierRow(msgspec.Struct, kw_only=True, gc=False):
    """The tier of a user; empty if it was removed. Key: project and user."""

    project_id: str
    user_id: str
    tier: str
    row_version: int


class DocumentRow(msgspec.Struct, kw_only=True, gc=False):
    """A document. Key: project, kind, id, and version; the highest ``row_version`` is valid."""

    project_id: str
    kind: str
    id: str
    version: int
    """0: the current state. Otherwise a revision of a versioned kind, which is kept."""
    revision: int
    is_deleted: int
    parent: str
    name: str
    status: str
    subject: str
    created_us: int
    updated_us: int
    body: str
    """The content as JSON."""
    row_version: int


class LogPositionRow(msgspec.Struct, kw_only=True, gc=False):
    """The position of one partition of the log. Key: topic and partition."""

    topic: str
    topic_partition: int
    cluster_id: str
    end_offset: int
    stored_offset: int
    row_version: int
