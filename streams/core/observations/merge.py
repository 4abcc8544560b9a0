"""Order-independent, per-field last-write-wins merge of updates of an observation.

Each field keeps the logical timestamp (``streams.core.observations.logical_time``) of the update
that set it. The latest update wins, except for start time and environment, where the first wins
because they determine the row's place in the store. An empty value of a partial update leaves its
field unchanged. A whole event replaces everything older than itself, including the fields that it
leaves empty.

Texts that are too long are cut before they are compared; metadata is merged in place, within its
limits.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from clickhouse.rows import ENTRY, ROOT_OF_TRACE, ObservationRow
from streams.core.observations.bounding import Bounds
from streams.core.observations.first_token import first_token_within
from streams.core.observations.lines import ObservationLine, decoded_row_text, decoded_text
from streams.core.observations.logical_time import partial_update_ts, whole_event_ts
from streams.core.observations.metadata import Metadata, restore_metadata
from streams.core.pricing.valuation import without_tier_note
from tracemill.contract import DEFAULT_ENVIRONMENT

LATEST: Final[dict[str, str]] = {
    "type": "type",
    "name": "name",
    "parent_id": "parent_id",
    "end_us": "end_us",
    "completion_start_us": "completion_start_us",
    "level": "level",
    "status_message": "status_message",
    "error_type": "error_type",
    "version": "version",
    "model": "model",
    "model_parameters": "model_parameters",
    "usage": "provided_usage",
    "reported_usage": "reported_usage",
    "usage_uncertain": "usage_uncertain",
    "service_tier": "service_tier",
    "provider": "provider",
    "app_cache": "app_cache",
    "cost": "provided_cost_pico",
    "input": "input",
    "output": "output",
    "prompt_name": "prompt_name",
    "prompt_version": "prompt_version",
    "service_name": "service_name",
    "scope_name": "scope_name",
    "scope_version": "scope_version",
    "app_root": "app_root",
    "app_entry": "app_root",
    "api_key": "api_key",
    "user_id": "user_id",
    "session_id": "session_id",
}
"""Fields of which the latest value wins → the row's field with the same value."""
ROOTS: Final = frozenset({"app_root", "app_entry"})
"""Flags that share the field ``app_root`` of the row; once sent, they stay."""

_OF_TRACE: Final = ("user_id", "session_id")
"""Fields that an event carries in the attributes of its trace."""
_OF_OBSERVATION: Final = tuple(field for field in LATEST if field not in _OF_TRACE)

_TEXTS: Final = ("input", "output")
_SLICE_CHARS: Final = 4_096
_encode = msgspec.json.Encoder(order="deterministic").encode

VersionedValue = tuple[int, Any]
"""A value and the logical timestamp of the update that set it, timestamp first."""


class Merged(msgspec.Struct):
    """The merged updates of one observation."""

    first_us: int
    last_us: int
    whole_ts: int = -1
    whole_rank: str = ""
    latest: dict[str, VersionedValue] = {}
    start: VersionedValue | None = None
    environment: VersionedValue | None = None
    metadata: Metadata = msgspec.field(default_factory=Metadata)

    @property
    def start_us(self) -> int:
        return self.first_us if self.start is None else int(self.start[1])

    def copy(self) -> Merged:
        """Return a copy that shares no mutable state."""
        return msgspec.structs.replace(self, metadata=self.metadata.copy())

    def is_outranked_by(self, ts_us: int, rank: str) -> bool:
        """Return whether a whole event with this time and rank is later than all merged ones."""
        return (whole_event_ts(ts_us), rank) > (self.whole_ts, self.whole_rank)

    def is_covered_by(self, ts_us: int) -> bool:
        """Return whether a whole event at ``ts_us`` replaces all updates merged so far."""
        logical_ts = whole_event_ts(ts_us)
        return (
            self.last_us <= ts_us
            and self.whole_ts <= logical_ts
            and all(value[0] <= logical_ts for value in self.latest.values())
            and not self.metadata.has_later(logical_ts)
        )

    @property
    def is_whole(self) -> bool:
        """Return whether the state equals that of one whole event."""
        return self.whole_ts >= 0 and self.is_covered_by(self.whole_ts // 2)

    @property
    def text_bytes(self) -> int:
        """Return the approximate size of the texts in memory."""
        texts = sum(len(self.latest[field][1]) for field in _TEXTS if field in self.latest)
        return texts + self.metadata.bytes


class _MergeState(msgspec.Struct, omit_defaults=True):
    """The JSON of the column ``merge_state``: what later merges need besides the row's fields."""

    first_us: int
    logical_times: dict[str, int] = msgspec.field(name="marks")
    whole_ts: int = msgspec.field(default=-1, name="whole_mark")
    whole_rank: str = ""
    start_ts: int = msgspec.field(default=-1, name="start_mark")
    environment_ts: int = msgspec.field(default=-1, name="environment_mark")
    metadata: list[Any] = []
    end_us: int = 0
    """The end as sent, if that was before the start."""
    completion_start_us: int = 0
    """The time of the first token as sent, in rows from before ``sent_completion_start_us``."""


def merge_partial(
    before: Merged | None, line: ObservationLine, ts_us: int, bounds: Bounds
) -> Merged:
    """Merge a partial update into ``before``; return ``before`` itself if nothing changed.

    The metadata of ``before`` is reused and changed in place.
    """
    logical_ts = partial_update_ts(ts_us)
    if before is None:
        changed = True
        before = Merged(ts_us, ts_us)
    elif logical_ts < before.whole_ts:
        return before
    else:
        changed = not before.first_us <= ts_us <= before.last_us
    latest = dict(before.latest)
    for field, value in _fields_set_by(line, bounds):
        if field not in latest or _later((logical_ts, value), latest[field]):
            latest[field] = (logical_ts, value)
            changed = True
    metadata_text = decoded_text(line.metadata)
    if metadata_text:
        changed |= bounds.merge_metadata(before.metadata, metadata_text, logical_ts)
    start = _earliest(before.start, logical_ts, line.start_us)
    environment = _earliest(before.environment, logical_ts, line.environment or None)
    if not changed and start is before.start and environment is before.environment:
        return before
    return Merged(
        min(before.first_us, ts_us),
        max(before.last_us, ts_us),
        before.whole_ts,
        before.whole_rank,
        latest,
        start,
        environment,
        before.metadata,
    )


def merge_whole(
    before: Merged | None,
    line: ObservationLine,
    ts_us: int,
    start_us: int,
    rank: str,
    bounds: Bounds,
) -> Merged:
    """Merge a whole event into ``before``; return ``before`` itself if it already has a later one.

    ``rank`` decides between events with the same time, see
    ``streams.core.observations.state.rank_of``.
    """
    logical_ts = whole_event_ts(ts_us)
    if before is None:
        before = Merged(ts_us, ts_us)
    if not before.is_outranked_by(ts_us, rank):
        return before
    latest = {field: value for field, value in before.latest.items() if value[0] > logical_ts}
    for field, value in _fields_set_by(line, bounds):
        latest.setdefault(field, (logical_ts, value))
    before.metadata.cover(logical_ts)
    metadata_text = decoded_text(line.metadata)
    if metadata_text:
        bounds.merge_metadata(before.metadata, metadata_text, logical_ts)
    return Merged(
        min(before.first_us, ts_us),
        max(before.last_us, ts_us),
        logical_ts,
        rank,
        latest,
        (logical_ts, start_us),
        (logical_ts, line.environment or DEFAULT_ENVIRONMENT),
        before.metadata,
    )


def _fields_set_by(line: ObservationLine, bounds: Bounds) -> Iterator[tuple[str, Any]]:
    """Yield the fields that an event sets, and their values."""
    for field in _OF_OBSERVATION:
        value = getattr(line, field)
        if field in _TEXTS:
            value = bounds.text(decoded_text(value))
        if value:
            yield field, value
    if line.trace is not None:
        for field in _OF_TRACE:
            value = getattr(line.trace, field)
            if value:
                yield field, value


def _later(new: VersionedValue, old: VersionedValue) -> bool:
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


def _earliest(old: VersionedValue | None, logical_ts: int, value: Any) -> VersionedValue | None:
    if value is None or (old is not None and old <= (logical_ts, value)):
        return old
    return (logical_ts, value)


def write_fields(merged: Merged, row: ObservationRow) -> None:
    """Set the fields that totals depend on, at a cost independent of texts and metadata."""
    for field, (_, value) in merged.latest.items():
        setattr(row, LATEST[field], value)
    row.app_root = 0
    if not ROOTS.isdisjoint(merged.latest):
        row.app_root = ROOT_OF_TRACE if "app_root" in merged.latest else ENTRY
    row.start_us = merged.start_us
    row.end_us = max(row.end_us, row.start_us) if row.end_us else 0
    if row.completion_start_us:
        set_first_token(row, row.completion_start_us)
    if merged.environment is not None:
        row.environment = merged.environment[1]
    row.event_us = merged.last_us


def set_first_token(row: ObservationRow, sent_us: int) -> None:
    """Set the time of the first token that counts, and the one that was sent if they differ.

    The row's start and end are set before.
    """
    checked_us = first_token_within(sent_us, row.start_us, row.end_us)
    row.completion_start_us = checked_us
    row.sent_completion_start_us = 0 if checked_us == sent_us else sent_us


def write_merge_state(merged: Merged, row: ObservationRow) -> None:
    """Set the other fields: merged metadata, and the state that later updates are merged into."""
    row.metadata = merged.metadata.text()
    sent_end_us = _latest_us(merged, "end_us")
    state = _MergeState(
        first_us=merged.first_us,
        logical_times={field: logical_ts for field, (logical_ts, _) in merged.latest.items()},
        whole_ts=merged.whole_ts,
        whole_rank=merged.whole_rank,
        start_ts=-1 if merged.start is None else merged.start[0],
        environment_ts=-1 if merged.environment is None else merged.environment[0],
        metadata=merged.metadata.logical_times(),
        end_us=sent_end_us if sent_end_us != row.end_us else 0,
    )
    row.merge_state = _encode(state).decode()
    merged.metadata.written = None  # not needed again until the metadata changes


def first_token_us(merged: Merged) -> int:
    """Return the time of the first token as sent, 0 if none was."""
    return _latest_us(merged, "completion_start_us")


def _latest_us(merged: Merged, field: str) -> int:
    return int(merged.latest[field][1]) if field in merged.latest else 0


def restore_merged(row: ObservationRow) -> Merged:
    """Restore the merged updates from a row with a ``merge_state``."""
    state = msgspec.json.decode(row.merge_state, type=_MergeState)
    latest = {
        field: (logical_ts, getattr(row, LATEST[field]))
        for field, logical_ts in state.logical_times.items()
    }
    if state.end_us:
        latest["end_us"] = (state.logical_times["end_us"], state.end_us)
    sent_us = row.sent_completion_start_us or state.completion_start_us
    if sent_us:
        latest["completion_start_us"] = (state.logical_times["completion_start_us"], sent_us)
    for field in ROOTS & latest.keys():
        latest[field] = (state.logical_times[field], True)
    if "usage_uncertain" in latest:
        logical_ts, uncertain = latest["usage_uncertain"]
        latest["usage_uncertain"] = logical_ts, without_tier_note(uncertain)
    return Merged(
        state.first_us,
        row.event_us,
        state.whole_ts,
        state.whole_rank,
        latest,
        None if state.start_ts < 0 else (state.start_ts, row.start_us),
        None if state.environment_ts < 0 else (state.environment_ts, row.environment),
        restore_metadata(row.metadata, state.metadata),
    )


def merged_of_whole_row(row: ObservationRow, rank: str, bounds: Bounds) -> Merged:
    """Return the merged updates of a whole event, from its row with texts."""
    logical_ts = whole_event_ts(row.event_us)
    latest = {field: (logical_ts, getattr(row, of_row)) for field, of_row in LATEST.items()}
    latest["usage_uncertain"] = logical_ts, without_tier_note(row.usage_uncertain)
    if row.sent_completion_start_us:
        latest["completion_start_us"] = logical_ts, row.sent_completion_start_us
    if row.provider_derived:
        del latest["provider"]
    values = {field: value for field, value in latest.items() if value[1]}
    for field in _TEXTS:
        if field in values:
            text = bounds.text(decoded_row_text(values.pop(field)[1]))
            if text:
                values[field] = (logical_ts, text)
    for field in ROOTS & values.keys():
        del values[field]
    if row.app_root:
        values["app_root" if row.app_root == ROOT_OF_TRACE else "app_entry"] = (logical_ts, True)
    metadata = Metadata()
    metadata.cover(logical_ts)
    metadata_text = decoded_row_text(row.metadata)
    if metadata_text:
        bounds.merge_metadata(metadata, metadata_text, logical_ts)
    return Merged(
        row.event_us,
        row.event_us,
        logical_ts,
        rank,
        values,
        (logical_ts, row.start_us),
        (logical_ts, row.environment),
        metadata,
    )
