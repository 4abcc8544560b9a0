"""Order-independent, per-field last-write-wins merge of the attributes of a trace.

Attributes come with observations and with updates of the trace itself. The latest value of a field
wins, tags are united, metadata is merged key by key; of environments the first wins, and of start
times the least. What exceeds a limit is cut on arrival (``streams.core.observations.bounding``).
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from clickhouse.rows import TraceRow
from streams.core.observations.bounding import Bounds, cut_tags
from streams.core.observations.metadata import Metadata, restore_metadata
from tracemill.contract import TraceAttributes

_encode = msgspec.json.Encoder(order="deterministic").encode

VersionedValue = tuple[int, Any]
"""A value and the time of the update that set it, time first."""
NEVER: Final[tuple[Any, ...]] = ()
"""Sorts before every value."""


class _MergeState(msgspec.Struct, omit_defaults=True):
    """The JSON of the column ``merge_state``: what later merges need besides the row's fields."""

    logical_times: dict[str, int] = msgspec.field(default_factory=dict, name="marks")
    first_us: int = 0
    start_us: int = 0
    environment: tuple[int, str] | None = None
    metadata: list[Any] = []


class TraceFields(msgspec.Struct):
    """The merged attributes of one trace."""

    latest: dict[str, VersionedValue] = {}
    tags: frozenset[str] = frozenset()
    metadata: Metadata | None = None
    """None if no update had metadata, as in most traces."""
    environment: VersionedValue | None = None
    start_us: int = 0
    """Least start time of any update; 0: none."""
    first_us: int = 0
    """Time of the first update of the trace itself; 0: none."""
    user_id: str = ""
    """Copy of the user id in ``latest``, which is read for every observation."""

    def merge(self, attributes: TraceAttributes, ts_us: int, bounds: Bounds) -> bool:  # noqa: C901, PLR0912  # a line per field: a loop over them costs twice as much
        """Merge the attributes of an event; return whether anything changed."""
        changed, latest = False, self.latest
        # Unrolled for the fields that nearly every event has: calls would double the time.
        if attributes.user_id:
            update = (ts_us, attributes.user_id)
            if update > latest.get("user_id", NEVER):
                latest["user_id"], self.user_id = update, attributes.user_id
                changed = True
        if attributes.session_id:
            update = (ts_us, attributes.session_id)
            if update > latest.get("session_id", NEVER):
                latest["session_id"] = update
                changed = True
        if attributes.name:
            update = (ts_us, attributes.name)
            if update > latest.get("name", NEVER):
                latest["name"] = update
                changed = True
        if attributes.release:
            update = (ts_us, attributes.release)
            if update > latest.get("release", NEVER):
                latest["release"] = update
                changed = True
        if attributes.version:
            changed |= self._keep("version", attributes.version, ts_us)
        if attributes.public is not None:
            changed |= self._keep("public", attributes.public, ts_us)
        if attributes.external_id:
            changed |= self._keep("external_id", attributes.external_id, ts_us)
        if attributes.input:
            changed |= self._keep("input", bounds.text(attributes.input), ts_us)
        if attributes.output:
            changed |= self._keep("output", bounds.text(attributes.output), ts_us)
        if attributes.tags and not self.tags.issuperset(attributes.tags):
            changed |= self._unite(attributes.tags, bounds)
        if attributes.metadata:
            if self.metadata is None:
                self.metadata = Metadata()
            changed |= bounds.merge_metadata(self.metadata, attributes.metadata, ts_us)
        start_us = attributes.start_us
        if start_us is not None and not 0 < self.start_us <= start_us:
            self.start_us = start_us
            changed = True
        return changed

    def _unite(self, tags: tuple[str, ...], bounds: Bounds) -> bool:
        before, united = self.tags, {*self.tags, *tags}
        if cut_tags(united):
            bounds.reached["trace_tags_max"] += 1
        self.tags = frozenset(united)
        return self.tags != before

    def _keep(self, field: str, value: str | bool, ts_us: int) -> bool:
        if (ts_us, value) > self.latest.get(field, NEVER):
            self.latest[field] = (ts_us, value)
            return True
        return False

    def merge_trace_update(self, environment: str | None, ts_us: int) -> bool:
        """Merge an update of the trace itself; return whether anything changed."""
        changed = False
        if not 0 < self.first_us <= ts_us:
            self.first_us = ts_us
            changed = True
        if environment and (self.environment is None or (ts_us, environment) < self.environment):
            self.environment = (ts_us, environment)
            changed = True
        return changed

    @property
    def text_bytes(self) -> int:
        """Return the approximate size of the texts in memory."""
        latest = self.latest
        size = 0 if self.metadata is None else self.metadata.bytes
        if "input" in latest:
            size += len(latest["input"][1])
        if "output" in latest:
            size += len(latest["output"][1])
        return size

    def write(self, row: TraceRow) -> None:
        """Set the fields of ``row`` that any update has set, and its ``merge_state``."""
        for field, (_, value) in self.latest.items():
            setattr(row, field, value)
        row.public = int(row.public)
        if self.tags:
            row.tags = tuple(sorted(self.tags))
        logical_times: list[Any] = []
        if self.metadata:
            row.metadata, logical_times = self.metadata.text(), self.metadata.logical_times()
        state = _MergeState(
            logical_times={field: logical_ts for field, (logical_ts, _) in self.latest.items()},
            first_us=self.first_us,
            start_us=self.start_us,
            environment=self.environment,
            metadata=logical_times,
        )
        row.merge_state = _encode(state).decode()


def trace_fields_of(row: TraceRow) -> TraceFields:
    """Restore the attributes that ``TraceFields.write`` wrote to ``row``."""
    if not row.merge_state:
        return TraceFields()
    state = msgspec.json.decode(row.merge_state, type=_MergeState)
    latest = {
        field: (logical_ts, getattr(row, field))
        for field, logical_ts in state.logical_times.items()
    }
    if "public" in latest:
        latest["public"] = (state.logical_times["public"], bool(row.public))
    return TraceFields(
        latest,
        frozenset(row.tags),
        restore_metadata(row.metadata, state.metadata) if state.metadata else None,
        state.environment,
        state.start_us,
        state.first_us,
        row.user_id if "user_id" in latest else "",
    )
