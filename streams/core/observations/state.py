"""What stays in memory of an observation: the numbers that others depend on, no texts.

An observation counts in its trace's totals and in one cell of windows and of spend. When it changes, what it counted before is taken back
first: so what it counts now is all that has to be remembered.
"""

from __future__ import annotations

from typing import Final

import msgspec

from clickhouse.rows import ObservationRow
from streams.core.dimensions.sources import OF_OBSERVATIONS, more_of_row
from streams.core.observations.lines import NO_TEXT, ObservationLine
from streams.core.observations.merge import Merged

LEVELS: Final = ("DEBUG", "DEFAULT", "WARNING", "ERROR")
SEVERITY: Final = {level: severity for severity, level in enumerate(LEVELS)}
ERROR: Final = SEVERITY["ERROR"]

APP_ROOT, NO_PARENT, HAS_PARENT = 0, 1, 2

MINUTE_US: Final = 60_000_000


class ObservationState(msgspec.Struct, gc=False):
    """An observation as it counts. ``end_us`` 0: not known."""

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
    """Of observations told in parts: the statements, texts included."""
    estimated: dict[str, int] | None = None
    """Likewise: tokens that were counted in its texts, where nobody gave any."""
    more: tuple[str, ...] = ()
    """Values of dimensions that have no field here (``streams.core.dimensions.sources``)."""

    @property
    def root_rank(self) -> tuple[int, int, str]:
        """The observation of a trace with the least rank is its root, unless it has a parent."""
        return self.rootness, self.start_us, self.id


def rank_of(known: ObservationState) -> str:
    """Decides between whole events of one observation made at the same time: the greater wins, equals are one event sent twice.

    Computed costs stay out: they depend on the prices of the day, not on the event.
    """
    given = known.cost_pico if known.cost_source == "given" else -1
    ranked: tuple[object, ...] = (
        known.start_us,
        known.end_us,
        given,
        sorted(known.usage.items()),
        known.name,
        known.environment,
        known.model,
        known.severity,
        known.rootness,
    )
    if known.more:
        ranked += (known.more,)
    return msgspec.json.encode(ranked).decode()


def whole_row(line: ObservationLine) -> ObservationRow:  # noqa: C901, PLR0912, PLR0915  # one line per field
    """The row of a whole event; without its version, and what it cost.

    It began when it says, else when it ended, else when it was said. Most fields of most events are empty, and setting the others one by one takes half the time of
    passing all to the constructor.
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
        event_us=ts_us,
    )
    if end_us:
        row.end_us = max(start_us, end_us)
    if line.completion_start_us:
        row.completion_start_us = line.completion_start_us
    if line.type:
        row.type = line.type
    if line.name:
        row.name = line.name
    if line.parent_id:
        row.parent_id = line.parent_id
    if line.environment:
        row.environment = line.environment
    if line.level:
        row.level = line.level
    if line.status_message:
        row.status_message = line.status_message
    if line.version:
        row.version = line.version
    if line.model:
        row.model = line.model
    if line.model_parameters:
        row.model_parameters = line.model_parameters
    if line.usage:
        row.provided_usage = line.usage
    if line.cost:
        row.provided_cost_pico = line.cost
    # Texts pass as the JSON they came in: the encoder writes it as it is.
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
    if line.app_root:
        row.app_root = 1
    said = line.trace
    if said is not None:
        if said.user_id:
            row.user_id = said.user_id
        if said.session_id:
            row.session_id = said.session_id
    return row


def known_of(row: ObservationRow, merged: Merged | None) -> ObservationState:
    """What stays of a row; counts of zero add nothing, so they don't."""
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
    )


def tombstones_of(row: ObservationRow, old_start_us: int) -> list[ObservationRow]:
    """What deletes the row before ``row`` when the key moved to another minute; else nothing."""
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
