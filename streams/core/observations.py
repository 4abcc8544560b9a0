"""What stays in memory of an observation: the numbers that others depend on, no texts.

An observation counts in its trace's totals and in one cell of windows and of spend. When it changes, what it counted before is taken back
first: so what it counts now is all that has to be remembered.
"""

from __future__ import annotations

from typing import Final

import msgspec

from clickhouse.rows import ObservationRow
from streams.core.lines import ObservationLine
from streams.core.merge import Merged

LEVELS: Final = ("DEBUG", "DEFAULT", "WARNING", "ERROR")
SEVERITY: Final = {level: severity for severity, level in enumerate(LEVELS)}
ERROR: Final = SEVERITY["ERROR"]

APP_ROOT, NO_PARENT, HAS_PARENT = 0, 1, 2

MINUTE_US: Final = 60_000_000


class Known(msgspec.Struct, gc=False):
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

    @property
    def root_rank(self) -> tuple[int, int, str]:
        """The observation of a trace with the least rank is its root, unless it has a parent."""
        return self.rootness, self.start_us, self.id


def rank_of(known: Known) -> str:
    """Decides between whole events of one observation made at the same time: the greater wins, equals are one event sent twice.

    Computed costs stay out: they depend on the prices of the day, not on the event.
    """
    given = known.cost_pico if known.cost_source == "given" else -1
    ranked = (
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
    return msgspec.json.encode(ranked).decode()


def start_of(line: ObservationLine) -> int:
    """When a whole event's observation began: as stated, else its end, else when it was said."""
    if line.start_us is not None:
        return line.start_us
    return line.ts_us if line.end_us is None else line.end_us


def rootness_of(parent_id: str, app_root: bool) -> int:
    if app_root:
        return APP_ROOT
    return HAS_PARENT if parent_id else NO_PARENT


def known_of(row: ObservationRow, merged: Merged | None) -> Known:
    """What stays of a row."""
    return Known(
        row.id,
        row.event_us,
        row.row_version,
        row.start_us,
        row.end_us,
        row.name,
        row.environment,
        row.model,
        SEVERITY[row.level],
        rootness_of(row.parent_id, bool(row.app_root)),
        row.usage,
        row.total_cost_pico,
        row.cost_source,
        merged,
    )


def tombstone_of(row: ObservationRow, old_start_us: int) -> ObservationRow | None:
    """The row that deletes ``row``'s predecessor, when the key moved to another minute; else nothing."""
    if old_start_us // MINUTE_US == row.start_us // MINUTE_US:
        return None
    return ObservationRow(
        project_id=row.project_id,
        trace_id=row.trace_id,
        id=row.id,
        start_us=old_start_us,
        row_version=row.row_version,
        is_deleted=1,
    )
