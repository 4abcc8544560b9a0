"""Defer the events of traces that must be read from the store, while it does not answer.

Deferred events are written to the topic ``deferred``, and appended to ``events`` again when the
store answers, as if they had arrived later. Which events of a record are deferred must not change
when the record is folded again after a crash, because its deltas count once, whatever they contain.
So the decision is written before the deltas:

* A decision names a source record and traces; it is written together with their events.
* A worker begins with a *fence*. A decision counts if it refers to the latest fence before it, so
  that a suspended worker cannot change what its successor has folded.
* Only records that no earlier worker can have folded are deferred: those that arrived after the
  worker was restored.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from streams.core.observations.bounding import Bounds
from streams.core.observations.isolation import trace_key_of
from streams.core.observations.limits import RowLimits
from streams.core.observations.lines import line_of
from streams.core.observations.traces import TraceKey

FENCE: Final = "fence"
DECISION: Final = "decision"
PASSED: Final = "passed"

Headers = Sequence[tuple[str, bytes]]


class Decision(msgspec.Struct, frozen=True):
    """The traces of a source record whose events are deferred.

    Attributes:
        fence: offset of the fence of the worker that decided.
        offset: the source record.
        traces: project and id of each trace.
    """

    fence: int
    offset: int
    traces: list[TraceKey]


@dataclass(frozen=True, slots=True)
class DeferredRecord:
    """A record of the topic ``deferred``; its value is the deferred events of a source record."""

    offset: int
    value: bytes
    headers: Headers


class DeferralState:
    """What the records of a partition of ``deferred`` state, added in order.

    Attributes:
        decisions: the traces that are deferred, by source offset.
        waiting: offsets of the records whose events were not appended to ``events`` again.
    """

    def __init__(self) -> None:
        self.decisions: dict[int, set[TraceKey]] = {}
        self.waiting: list[int] = []
        self._fence: int | None = None
        self._first: int | None = None

    def add(self, record: DeferredRecord) -> None:
        """Add the next record."""
        if self._first is None:
            self._first = record.offset
        headers = dict(record.headers)
        if FENCE in headers:
            self._fence = record.offset
        elif PASSED in headers:
            passed = int(headers[PASSED])
            self.waiting = [offset for offset in self.waiting if offset > passed]
        elif DECISION in headers:
            decision = msgspec.json.decode(headers[DECISION], type=Decision)
            if self._is_valid(decision):
                self.decisions.setdefault(decision.offset, set()).update(decision.traces)
            self.waiting.append(record.offset)

    def _is_valid(self, decision: Decision) -> bool:
        """Return whether a decision refers to the latest fence; retention may have removed it."""
        if self._fence is not None:
            return decision.fence == self._fence
        return decision.fence < (self._first or 0)


@dataclass(slots=True)
class DeferredEnds:
    """Whether deferred events of a partition wait, by the last records of ``deferred``."""

    decided: int = -1
    """Offset of the last deferred events."""
    passed: int = -1
    """Offset up to which events were appended again."""

    @property
    def is_waiting(self) -> bool:
        return self.decided > self.passed

    def add(self, offset: int, headers: Headers) -> None:
        """Add the next record."""
        for name, value in headers:
            if name == DECISION:
                self.decided = offset
            elif name == PASSED:
                self.passed = max(self.passed, int(value))


def fence_headers() -> Headers:
    """Return the headers of a fence."""
    return [(FENCE, b"1")]


def decision_headers(decision: Decision) -> Headers:
    """Return the headers of a decision."""
    return [(DECISION, msgspec.json.encode(decision))]


def passed_headers(offset: int) -> Headers:
    """Return the headers of a record that states that events up to ``offset`` were appended."""
    return [(PASSED, str(offset).encode())]


def split_lines(
    value: bytes, traces: Collection[TraceKey], limits: RowLimits
) -> tuple[bytes, bytes]:
    """Return the lines of a source record that are not about these traces, and those that are."""
    kept: list[bytes] = []
    deferred: list[bytes] = []
    for line in value.split(b"\n"):
        (deferred if _trace_of(line, limits) in traces else kept).append(line)
    return b"\n".join(kept), b"\n".join(deferred)


def _trace_of(line: bytes, limits: RowLimits) -> TraceKey | None:
    """Return the trace of a line; None for scores and for lines that are no events."""
    try:
        return trace_key_of(line_of(line, Bounds(limits)))
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  # such a line is rejected when the record is read
        return None


def is_decision(record: DeferredRecord) -> bool:
    """Return whether a record contains deferred events."""
    return any(name == DECISION for name, _ in record.headers)
