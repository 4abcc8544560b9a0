"""What was said about a trace, by any of its observations or by itself; joined so that order and number do not matter.

The latest statement about a field wins, tags unite, metadata merges key by key, the environment is what was said first, the start is the least that was stated.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec.structs import astuple

from clickhouse.rows import TraceRow
from streams.core import metadata
from tracemill.contract import TraceAttributes

_FIELDS: Final = TraceAttributes.__struct_fields__
_LATEST: Final = frozenset(_FIELDS) - {"tags", "metadata", "start_us"}
"""Fields of which the latest statement holds."""

_encode = msgspec.json.Encoder(order="deterministic").encode

Statement = tuple[int, Any]


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
    metadata: metadata.Branch = msgspec.field(default_factory=metadata.nothing)
    environment: Statement | None = None
    start_us: int = 0
    """Least start that was stated; 0: none was."""
    first_us: int = 0
    """When anything was said of the trace itself for the first time; 0: never."""
    user_id: str = ""
    """Of ``latest``: asked for with every observation."""

    def hear(self, attributes: TraceAttributes, ts_us: int) -> bool:
        """Take in what an event says; true if that changed anything."""
        changed = False
        latest = self.latest
        for field, value in zip(_FIELDS, astuple(attributes), strict=True):
            if value is None or value == "" or field not in _LATEST:
                continue
            held = latest.get(field)
            if held is None or ts_us > held[0] or (ts_us == held[0] and value > held[1]):
                latest[field] = (ts_us, value)
                changed = True
        if changed:
            self.user_id = latest["user_id"][1] if "user_id" in latest else ""
        if attributes.tags and not self.tags.issuperset(attributes.tags):
            self.tags = self.tags.union(attributes.tags)
            changed = True
        if attributes.metadata:
            changed |= self._hear_metadata(attributes.metadata, ts_us)
        start_us = attributes.start_us
        if start_us is not None and not 0 < self.start_us <= start_us:
            self.start_us = start_us
            changed = True
        return changed

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

    def _hear_metadata(self, text: str, ts_us: int) -> bool:
        after = metadata.merge(self.metadata, metadata.statement(text, ts_us))
        changed = after != self.metadata
        self.metadata = after
        return changed

    def said(self, field: str) -> Any:
        held = self.latest.get(field)
        return None if held is None else held[1]

    @property
    def text_bytes(self) -> int:
        """Roughly what the texts take in memory."""
        held = sum(
            len(self.latest[field][1]) for field in ("input", "output") if field in self.latest
        )
        return held + 64 * len(self.metadata.children)

    def write(self, row: TraceRow) -> None:
        """Set the fields of ``row`` that were stated, and its ``merge_state``."""
        for field, (_, value) in self.latest.items():
            setattr(row, field, value)
        row.public = int(bool(self.said("public")))
        row.tags = tuple(sorted(self.tags))
        row.metadata = metadata.text_of(self.metadata)
        state = _State(
            marks={field: mark for field, (mark, _) in self.latest.items()},
            first_us=self.first_us,
            start_us=self.start_us,
            environment=self.environment,
            metadata=metadata.marks_of(self.metadata) if self.metadata.children else [],
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
        metadata.restored(row.metadata, state.metadata) if state.metadata else metadata.nothing(),
        state.environment,
        state.start_us,
        state.first_us,
        row.user_id if "user_id" in latest else "",
    )
