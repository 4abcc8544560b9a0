"""Exceptions that attribute a failure to the event, trace or row of a chunk that caused it.

A stage must survive any content, including content that triggers a bug. Each exception of the pure
core is attributed to the smallest part of the chunk that can be determined. That part is set aside
and the rest is folded again.
"""

from __future__ import annotations

from typing import Final

PROCESSING_FAILED: Final = "processing_failed"
"""Reason of a dead letter whose input raised."""

EventPlace = tuple[int, int]
"""Source offset of the record, and index of the event among its readable ones."""


class FoldFailedError(Exception):
    """Folding a chunk raised ``__cause__``; the state of the chunk's traces is invalid."""


class EventFailedError(FoldFailedError):
    """One event raised while it changed state."""

    def __init__(self, place: EventPlace) -> None:
        super().__init__(f"event {place[1]} of the record at offset {place[0]}")
        self.place = place


class StoreAwayError(Exception):
    """The store did not answer in time; ``traces`` must be read from it."""

    def __init__(self, traces: set[tuple[str, str]]) -> None:
        super().__init__(f"{len(traces)} traces must be read from the store")
        self.traces = traces


class TraceFailedError(FoldFailedError):
    """The rows of a trace that were read from the store cannot be decoded."""

    def __init__(self, key: tuple[str, str]) -> None:
        super().__init__(f"trace {key[1]} of project {key[0]}")
        self.key = key


def root_of(error: BaseException) -> BaseException:
    """Return the original exception, below its attribution to a part of the chunk."""
    while isinstance(error, FoldFailedError) and error.__cause__ is not None:
        error = error.__cause__
    return error
