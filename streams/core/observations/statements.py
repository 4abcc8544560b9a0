"""What was said about a trace, by any of its observations or by itself; joined so that order and number do not matter.

The latest statement about a field wins, tags unite, metadata merges key by key, the environment is what was said first, the start is the least that was stated.
What is too long, or too much, is cut as its statement comes in (``streams.core.observations.bounding``).
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from clickhouse.rows import TraceRow
from streams.core.observations.bounding import Bounds, cut_tags
from streams.core.observations.metadata import Metadata, restored
from tracemill.contract import TraceAttributes

_encode = msgspec.json.Encoder(order="deterministic").encode

Statement = tuple[int, Any]
NEVER: Final[tuple[Any, ...]] = ()
"""Before every statement."""


class _State(msgspec.Struct, omit_defaults=True):
    """What a row does not say by itself."""

    marks: dict[str, int] = {}
    first_us: int = 0
    start_us: int = 0
    environment: tuple[int, str] | None = None
    metadata: list[Any] = []


class TraceStatements(msgspec.Struct):
    latest: dict[str, Statement] = {}
    tags: frozenset[str] = frozenset()
    metadata: Metadata | None = None
    """``None``: none was stated, as of most traces."""
    environment: Statement | None = None
    start_us: int = 0
    """Least start that was stated; 0: none was."""
    first_us: int = 0
    """When anything was said of the trace itself for the first time; 0: never."""
    user_id: str = ""
    """Of ``latest``: asked for with every observation."""

    def hear(self, attributes: TraceAttributes, ts_us: int, bounds: Bounds) -> bool:  # noqa: C901, PLR0912  # a line per field: a loop over them costs twice as much
        """Take in what an event says; true if that changed anything."""
        changed, latest = False, self.latest
        # Written out for what nearly every event says: calls would cost as much again.
        if attributes.user_id:
            statement = (ts_us, attributes.user_id)
            if statement > latest.get("user_id", NEVER):
                latest["user_id"], self.user_id = statement, attributes.user_id
                changed = True
        if attributes.session_id:
            statement = (ts_us, attributes.session_id)
            if statement > latest.get("session_id", NEVER):
                latest["session_id"] = statement
                changed = True
        if attributes.name:
            statement = (ts_us, attributes.name)
            if statement > latest.get("name", NEVER):
                latest["name"] = statement
                changed = True
        if attributes.release:
            statement = (ts_us, attributes.release)
            if statement > latest.get("release", NEVER):
                latest["release"] = statement
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
            changed |= bounds.metadata(self.metadata, attributes.metadata, ts_us)
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

    def hear_itself(self, environment: str | None, ts_us: int) -> bool:
        """An event about nothing but the trace was said at ``ts_us``; true if that changed anything."""
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
        """Roughly what the texts take in memory."""
        latest = self.latest
        size = 0 if self.metadata is None else self.metadata.bytes
        if "input" in latest:
            size += len(latest["input"][1])
        if "output" in latest:
            size += len(latest["output"][1])
        return size

    def write(self, row: TraceRow) -> None:
        """Set the fields of ``row`` that were stated, and its ``merge_state``."""
        for field, (_, value) in self.latest.items():
            setattr(row, field, value)
        row.public = int(row.public)
        if self.tags:
            row.tags = tuple(sorted(self.tags))
        marks: list[Any] = []
        if self.metadata:
            row.metadata, marks = self.metadata.text(), self.metadata.marks()
        state = _State(
            marks={field: mark for field, (mark, _) in self.latest.items()},
            first_us=self.first_us,
            start_us=self.start_us,
            environment=self.environment,
            metadata=marks,
        )
        row.merge_state = _encode(state).decode()


def statements_of(row: TraceRow) -> TraceStatements:
    """The inverse of ``TraceStatements.write``."""
    if not row.merge_state:
        return TraceStatements()
    state = msgspec.json.decode(row.merge_state, type=_State)
    latest = {field: (mark, getattr(row, field)) for field, mark in state.marks.items()}
    if "public" in latest:
        latest["public"] = (state.marks["public"], bool(row.public))
    return TraceStatements(
        latest,
        frozenset(row.tags),
        restored(row.metadata, state.metadata) if state.metadata else None,
        state.environment,
        state.start_us,
        state.first_us,
        row.user_id if "user_id" in latest else "",
    )
