"""Failures that depend on content: which event, trace or row of a chunk raised, and how that is described in its dead letter.

A stage must survive any content, also one that meets a defect of ours. Whatever the pure core raises while it folds a chunk is attributed to the smallest part that
is known, so that the part can be set aside and the rest folded again.
"""

from __future__ import annotations

from pathlib import PurePath
from traceback import extract_tb
from typing import Final

PROCESSING_FAILED: Final = "processing_failed"
"""The reason of a dead letter whose event raised."""
DETAIL_CHARS_MAX: Final = 2_000

_PACKAGES: Final = frozenset({"streams", "clickhouse", "producers", "tracemill"})

EventPlace = tuple[int, int]
"""Source offset of a record, index of the event among its readable ones."""


class FoldFailedError(Exception):
    """Folding a chunk raised; ``__cause__`` is what. The state of the chunk's traces is not to be trusted any more."""


class EventFailedError(FoldFailedError):
    """One event raised while it changed state."""

    def __init__(self, place: EventPlace) -> None:
        super().__init__(f"event {place[1]} of the record at offset {place[0]}")
        self.place = place


class TraceFailedError(FoldFailedError):
    """What the store has of a trace cannot be taken in."""

    def __init__(self, key: tuple[str, str]) -> None:
        super().__init__(f"trace {key[1]} of project {key[0]}")
        self.key = key


def describe(error: BaseException) -> str:
    """Type and message of an error, and the line of our code that raised it; at most ``DETAIL_CHARS_MAX`` characters."""
    text = f"{type(error).__name__}: {error}"
    for frame in reversed(extract_tb(error.__traceback__)):
        parts = PurePath(frame.filename).parts
        found = [index for index, part in enumerate(parts) if part in _PACKAGES]
        if found:
            place = f" ({'/'.join(parts[found[-1] :])}:{frame.lineno})"
            return printable(text)[: DETAIL_CHARS_MAX - len(place)] + place
    return printable(text)[:DETAIL_CHARS_MAX]


def printable(text: str) -> str:
    """A text that encodes: half surrogate pairs become question marks."""
    return text if text.isascii() else text.encode(errors="replace").decode()


def root_of(error: BaseException) -> BaseException:
    """What was raised first, below the attribution to a part of the chunk."""
    while isinstance(error, FoldFailedError) and error.__cause__ is not None:
        error = error.__cause__
    return error
