"""Order-independent, per-field last-write-wins merge of partial updates of an observation.

Each field remembers the mark (``streams.core.observations.logical_time``) of the statement that it holds. The latest statement wins, except for the start time and the environment, which
are what was said first: they place the observation. Empty values say nothing. A whole event is a statement about every field at once: it covers all
that was said before it.

A text that is too long is cut as its statement comes in, before it is compared with others;
metadata is joined in place, within its bounds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from clickhouse.rows import ObservationRow
from streams.core.observations.bounding import Bounds
from streams.core.observations.lines import ObservationLine, kept, text_of
from streams.core.observations.logical_time import partial_mark, whole_mark
from streams.core.observations.metadata import Metadata, restored
from tracemill.contract import DEFAULT_ENVIRONMENT

LATEST: Final[dict[str, str]] = {
    "type": "type",
    "name": "name",
    "parent_id": "parent_id",
    "end_us": "end_us",
    "completion_start_us": "completion_start_us",
    "level": "level",
    "status_message": "status_message",
    "version": "version",
    "model": "model",
    "model_parameters": "model_parameters",
    "usage": "provided_usage",
    "cost": "provided_cost_pico",
    "input": "input",
    "output": "output",
    "prompt_name": "prompt_name",
    "prompt_version": "prompt_version",
    "service_name": "service_name",
    "scope_name": "scope_name",
    "scope_version": "scope_version",
    "app_root": "app_root",
    "user_id": "user_id",
    "session_id": "session_id",
}
"""Fields of which the latest statement holds → the row's field with the same value."""

_OF_TRACE: Final = ("user_id", "session_id")
"""Those that an event states with the attributes of its trace."""
_OF_OBSERVATION: Final = tuple(field for field in LATEST if field not in _OF_TRACE)

_TEXTS: Final = ("input", "output")
_SLICE_CHARS: Final = 4_096
_encode = msgspec.json.Encoder(order="deterministic").encode

Statement = tuple[int, Any]


class Merged(msgspec.Struct):
    first_us: int
    last_us: int
    whole_mark: int = -1
    whole_rank: str = ""
    latest: dict[str, Statement] = {}
    start: Statement | None = None
    environment: Statement | None = None
    metadata: Metadata = msgspec.field(default_factory=Metadata)

    @property
    def start_us(self) -> int:
        return self.first_us if self.start is None else int(self.start[1])

    def apart(self) -> Merged:
        """Return a copy that shares no mutable state."""
        return msgspec.structs.replace(self, metadata=self.metadata.copy())

    def is_outranked_by(self, ts_us: int, rank: str) -> bool:
        """Whether a whole event with this time and rank is later than every whole event so far."""
        return (whole_mark(ts_us), rank) > (self.whole_mark, self.whole_rank)

    def is_covered_by(self, ts_us: int) -> bool:
        """Whether a whole event at ``ts_us`` leaves nothing of what was stated before it."""
        mark = whole_mark(ts_us)
        return (
            self.last_us <= ts_us
            and self.whole_mark <= mark
            and all(held[0] <= mark for held in self.latest.values())
            and not self.metadata.has_later(mark)
        )

    @property
    def is_whole(self) -> bool:
        """Whether it holds one whole event and nothing else."""
        return self.whole_mark >= 0 and self.is_covered_by(self.whole_mark // 2)

    @property
    def text_bytes(self) -> int:
        """Roughly what the texts take in memory."""
        held = sum(len(self.latest[field][1]) for field in _TEXTS if field in self.latest)
        return held + self.metadata.bytes


class _MergeState(msgspec.Struct, omit_defaults=True):
    """What a row does not say by itself."""

    first_us: int
    marks: dict[str, int]
    whole_mark: int = -1
    whole_rank: str = ""
    start_mark: int = -1
    environment_mark: int = -1
    metadata: list[Any] = []
    end_us: int = 0
    """As stated, where it lay before the start."""


def merged_part(before: Merged | None, line: ObservationLine, ts_us: int, bounds: Bounds) -> Merged:
    """Merge a partial event into ``before``; returns ``before`` itself if nothing changed.

    The metadata of ``before`` is reused and changed in place.
    """
    mark = partial_mark(ts_us)
    if before is None:
        changed = True
        before = Merged(ts_us, ts_us)
    elif mark < before.whole_mark:
        return before
    else:
        changed = not before.first_us <= ts_us <= before.last_us
    latest = dict(before.latest)
    for field, value in _said(line, bounds):
        if field not in latest or _later((mark, value), latest[field]):
            latest[field] = (mark, value)
            changed = True
    about_metadata = text_of(line.metadata)
    if about_metadata:
        changed |= bounds.metadata(before.metadata, about_metadata, mark)
    start = _earliest(before.start, mark, line.start_us)
    environment = _earliest(before.environment, mark, line.environment or None)
    if not changed and start is before.start and environment is before.environment:
        return before
    return Merged(
        min(before.first_us, ts_us),
        max(before.last_us, ts_us),
        before.whole_mark,
        before.whole_rank,
        latest,
        start,
        environment,
        before.metadata,
    )


def merged_whole(  # the event, and what it is weighed by
    before: Merged | None,
    line: ObservationLine,
    ts_us: int,
    start_us: int,
    rank: str,
    bounds: Bounds,
) -> Merged:
    """What is known after a whole event of this rank (``streams.core.observations.state.rank_of``); ``before`` itself when that holds already."""
    mark = whole_mark(ts_us)
    if before is None:
        before = Merged(ts_us, ts_us)
    if not before.is_outranked_by(ts_us, rank):
        return before
    latest = {field: held for field, held in before.latest.items() if held[0] > mark}
    for field, value in _said(line, bounds):
        latest.setdefault(field, (mark, value))
    before.metadata.cover(mark)
    about_metadata = text_of(line.metadata)
    if about_metadata:
        bounds.metadata(before.metadata, about_metadata, mark)
    return Merged(
        min(before.first_us, ts_us),
        max(before.last_us, ts_us),
        mark,
        rank,
        latest,
        (mark, start_us),
        (mark, line.environment or DEFAULT_ENVIRONMENT),
        before.metadata,
    )


def _said(line: ObservationLine, bounds: Bounds) -> Iterator[tuple[str, Any]]:
    for field in _OF_OBSERVATION:
        value = getattr(line, field)
        if field in _TEXTS:
            value = bounds.text(text_of(value))
        if value:
            yield field, value
    if line.trace is not None:
        for field in _OF_TRACE:
            value = getattr(line.trace, field)
            if value:
                yield field, value


def _later(new: Statement, old: Statement) -> bool:
    return new[0] > old[0] or (new[0] == old[0] and is_greater(new[1], old[1]))


def is_greater(one: Any, other: Any) -> bool:
    """Compare two values by their JSON; of texts only the first slice that differs is encoded."""
    if isinstance(one, str) and isinstance(other, str):
        if one == other:
            return False
        at = 0
        while one[at : at + _SLICE_CHARS] == other[at : at + _SLICE_CHARS]:
            at += _SLICE_CHARS
        one, other = one[at : at + _SLICE_CHARS], other[at : at + _SLICE_CHARS]
    return _encode(one) > _encode(other)


def _earliest(old: Statement | None, mark: int, value: Any) -> Statement | None:
    if value is None or (old is not None and old <= (mark, value)):
        return old
    return (mark, value)


def write_statements(merged: Merged, row: ObservationRow) -> None:
    """Set the fields of ``row`` that the statements are about, and its ``merge_state``."""
    write_fields(merged, row)
    write_merge_state(merged, row)


def write_fields(merged: Merged, row: ObservationRow) -> None:
    """Set the fields that totals depend on, at a cost independent of texts and metadata."""
    for field, (_, value) in merged.latest.items():
        setattr(row, LATEST[field], value)
    row.app_root = int("app_root" in merged.latest)
    row.start_us = merged.start_us
    row.end_us = max(row.end_us, row.start_us) if row.end_us else 0
    if merged.environment is not None:
        row.environment = merged.environment[1]
    row.event_us = merged.last_us


def write_merge_state(merged: Merged, row: ObservationRow) -> None:
    """Set the other fields: merged metadata, and the marks that later updates are compared with."""
    row.metadata = merged.metadata.text()
    stated_end_us = merged.latest["end_us"][1] if "end_us" in merged.latest else 0
    state = _MergeState(
        first_us=merged.first_us,
        marks={field: mark for field, (mark, _) in merged.latest.items()},
        whole_mark=merged.whole_mark,
        whole_rank=merged.whole_rank,
        start_mark=-1 if merged.start is None else merged.start[0],
        environment_mark=-1 if merged.environment is None else merged.environment[0],
        metadata=merged.metadata.marks(),
        end_us=stated_end_us if stated_end_us != row.end_us else 0,
    )
    row.merge_state = _encode(state).decode()
    merged.metadata.written = None  # it is written again when it has changed only


def merged_of(row: ObservationRow) -> Merged:
    """The statements of a row of an observation told in parts: the inverse of ``write_statements``."""
    state = msgspec.json.decode(row.merge_state, type=_MergeState)
    latest = {field: (mark, getattr(row, LATEST[field])) for field, mark in state.marks.items()}
    if state.end_us:
        latest["end_us"] = (state.marks["end_us"], state.end_us)
    if "app_root" in latest:
        latest["app_root"] = (state.marks["app_root"], True)
    return Merged(
        state.first_us,
        row.event_us,
        state.whole_mark,
        state.whole_rank,
        latest,
        None if state.start_mark < 0 else (state.start_mark, row.start_us),
        None if state.environment_mark < 0 else (state.environment_mark, row.environment),
        restored(row.metadata, state.metadata),
    )


def merged_of_whole(row: ObservationRow, rank: str, bounds: Bounds) -> Merged:
    """The statements of a whole event, from its row with texts: as read back, or just made."""
    mark = whole_mark(row.event_us)
    latest = {field: (mark, getattr(row, of_row)) for field, of_row in LATEST.items()}
    stated = {field: held for field, held in latest.items() if held[1]}
    for field in _TEXTS:
        if field in stated:
            text = bounds.text(kept(stated.pop(field)[1]))
            if text:
                stated[field] = (mark, text)
    if "app_root" in stated:
        stated["app_root"] = (mark, True)
    tree = Metadata()
    tree.cover(mark)
    about_metadata = kept(row.metadata)
    if about_metadata:
        bounds.metadata(tree, about_metadata, mark)
    return Merged(
        row.event_us,
        row.event_us,
        mark,
        rank,
        stated,
        (mark, row.start_us),
        (mark, row.environment),
        tree,
    )
