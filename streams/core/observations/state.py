"""Define the state kept of an observation: the numbers that totals depend on, without texts.

An observation counts in the totals of its trace, and in one cell each of windows and of spend. When
it changes, its old state is subtracted and its new state is added.
"""

from __future__ import annotations

from typing import Final

import msgspec

from clickhouse.rows import ENTRY, ROOT_OF_TRACE, ObservationRow
from streams.core.dimensions.sources import OF_OBSERVATIONS, more_of_row
from streams.core.observations.lines import NO_TEXT, ObservationLine
from streams.core.observations.merge import Merged, set_first_token
from tracemill.contract import DEFAULT_ENVIRONMENT

LEVELS: Final = ("DEBUG", "DEFAULT", "WARNING", "ERROR")
SEVERITY: Final = {level: severity for severity, level in enumerate(LEVELS)}
ERROR: Final = SEVERITY["ERROR"]

APP_ROOT, NO_PARENT, HAS_PARENT = 0, 1, 2

MINUTE_US: Final = 60_000_000


AGGREGATE_TYPES: Final = frozenset({"AGENT", "CHAIN", "SPAN"})
"""Types whose usage is a sum over descendants; an observation that is itself a call of a model has
the type ``GENERATION`` or ``EMBEDDING``."""


class ObservationState(msgspec.Struct, gc=False):
    """What an observation contributes to totals; ``end_us`` is 0 if unknown.

    ``usage`` and ``cost_pico`` are what it counts.
    """

    id: str
    ts_us: int
    row_version: int
    start_us: int
    end_us: int
    name: str
    environment: str
    model: str
    severity: int
    rootness: int
    usage: dict[str, int]
    cost_pico: int
    cost_source: str
    merged: Merged | None = None
    """Merged updates, texts included, if the observation has had partial updates."""
    estimated: dict[str, int] | None = None
    """Estimated tokens by side, if it has had partial updates and none had usage."""
    more: tuple[str, ...] = ()
    """Values of dimensions that have no field here (``streams.core.dimensions.sources``)."""
    parent_id: str = ""
    is_aggregate: bool = False
    """Whether its type is one of ``AGGREGATE_TYPES``."""
    is_estimated: bool = False
    """Whether its usage was estimated from texts."""
    reported: tuple[dict[str, int], int] | None = None
    """Usage and picodollars of its row, if it is a summary, which counts less than these
    (``streams.core.observations.summaries``)."""
    first_us: int = 0
    """Time of the first output token; 0 if unknown."""
    error_type: str = ""
    app_cache: str = ""
    saved_pico: int = 0
    """Picodollars that caches saved."""

    @property
    def root_rank(self) -> tuple[int, int, str]:
        """Return the sort key of root candidates: the least of a trace is its root."""
        return self.rootness, self.start_us, self.id

    @property
    def is_unpriced(self) -> bool:
        """Return whether it counts usage without a known price."""
        return self.cost_source == "unpriced" and (self.reported is None or bool(self.usage))


def rank_of(state: ObservationState) -> str:
    """Return the rank of a whole event among those with the same time; the greatest wins.

    Equal ranks are duplicates of one event. Computed costs are left out, because they depend on the
    prices of the day.
    """
    usage, cost_pico = state.reported or (state.usage, state.cost_pico)
    given = cost_pico if state.cost_source == "given" else -1
    ranked: tuple[object, ...] = (
        state.start_us,
        state.end_us,
        given,
        sorted(usage.items()),
        state.name,
        state.environment,
        state.model,
        state.severity,
        state.rootness,
        state.parent_id,
        state.is_aggregate,
        state.is_estimated,
    )
    if state.more:
        ranked += (state.more,)
    if state.first_us or state.error_type or state.app_cache:
        ranked += (state.first_us, state.error_type, state.app_cache)
    return msgspec.json.encode(ranked).decode()


def whole_row(line: ObservationLine) -> ObservationRow:  # noqa: C901, PLR0912, PLR0915  # one per field
    """Build the row of a whole event, without version and cost.

    The start defaults to the end, then to the time of the event. Only the first fields are passed
    to the constructor, because most others are empty, and passing all takes twice as long.
    """
    ts_us, end_us = line.ts_us, line.end_us
    start_us = line.start_us
    if start_us is None:
        start_us = ts_us if end_us is None else end_us
    row = ObservationRow(
        project_id=line.project_id,
        trace_id=line.trace_id,
        id=line.id,
        start_us=start_us,
        row_version=0,
        end_us=max(start_us, end_us) if end_us else 0,
        type=line.type or "SPAN",
        name=line.name or "",
        parent_id=line.parent_id or "",
        environment=line.environment or DEFAULT_ENVIRONMENT,
        level=line.level or "DEFAULT",
        event_us=ts_us,
    )
    if line.completion_start_us:
        set_first_token(row, line.completion_start_us)
    if line.status_message:
        row.status_message = line.status_message
    if line.error_type:
        row.error_type = line.error_type
    if line.version:
        row.version = line.version
    if line.model:
        row.model = line.model
    if line.model_parameters:
        row.model_parameters = line.model_parameters
    if line.usage:
        row.provided_usage = line.usage
    if line.reported_usage:
        row.reported_usage = line.reported_usage
    if line.usage_uncertain:
        row.usage_uncertain = line.usage_uncertain
    if line.service_tier:
        row.service_tier = line.service_tier
    if line.provider:
        row.provider = line.provider
    if line.app_cache:
        row.app_cache = line.app_cache
    if line.cost:
        row.provided_cost_pico = line.cost
    # Texts stay JSON; the encoder copies them into the row.
    if line.input is not NO_TEXT:
        row.input = line.input  # type: ignore[assignment]
    if line.output is not NO_TEXT:
        row.output = line.output  # type: ignore[assignment]
    if line.metadata is not NO_TEXT:
        row.metadata = line.metadata  # type: ignore[assignment]
    if line.prompt_name:
        row.prompt_name = line.prompt_name
    if line.prompt_version:
        row.prompt_version = line.prompt_version
    if line.service_name:
        row.service_name = line.service_name
    if line.scope_name:
        row.scope_name = line.scope_name
    if line.scope_version:
        row.scope_version = line.scope_version
    if line.app_root or line.app_entry:
        row.app_root = ROOT_OF_TRACE if line.app_root else ENTRY
    if line.api_key:
        row.api_key = line.api_key
    attributes = line.trace
    if attributes is not None:
        if attributes.user_id:
            row.user_id = attributes.user_id
        if attributes.session_id:
            row.session_id = attributes.session_id
    return row


def state_of_row(row: ObservationRow, merged: Merged | None) -> ObservationState:
    """Return the state of a row; counts of zero are left out."""
    usage = row.usage
    if usage and 0 in usage.values():
        usage = {usage_type: count for usage_type, count in usage.items() if count}
    return ObservationState(
        row.id,
        row.event_us,
        row.row_version,
        row.start_us,
        row.end_us,
        row.name,
        row.environment,
        row.model,
        SEVERITY[row.level],
        APP_ROOT if row.app_root else HAS_PARENT if row.parent_id else NO_PARENT,
        usage,
        row.total_cost_pico,
        row.cost_source,
        merged,
        None,
        more_of_row(row) if OF_OBSERVATIONS else (),
        row.parent_id,
        row.type in AGGREGATE_TYPES,
        bool(row.usage_estimated),
        None,
        row.completion_start_us,
        row.error_type,
        row.app_cache,
        row.cache_saved_pico,
    )


def tombstones_of(row: ObservationRow, old_start_us: int) -> list[ObservationRow]:
    """Return the deletion of the previous row if the start moved to another minute.

    The minute is part of the key, so the new row does not replace the previous one.
    """
    if old_start_us // MINUTE_US == row.start_us // MINUTE_US:
        return []
    return [
        ObservationRow(
            project_id=row.project_id,
            trace_id=row.trace_id,
            id=row.id,
            start_us=old_start_us,
            row_version=row.row_version,
            is_deleted=1,
        )
    ]
