"""Requests to replay dead letters, which a job carries out."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from producers.control.record import Microseconds, ProjectRecord

LETTERS_MAX: Final = 100
"""Maximum number of dead letters of one request."""


class DeadLetterReplay(ProjectRecord):
    """A request to send the events of dead letters again; the API removes old ones."""

    kind = "dead_letter_replay"
    per_project_max = 200

    dead_letter_ids: tuple[str, ...] = Field(min_length=1, max_length=LETTERS_MAX)
    state: Literal["queued", "done"] = "queued"
    sent: int = Field(0, ge=0)
    """Number of events that were sent; the others were no longer stored."""
    author: str = Field("", max_length=255)
    created_us: Microseconds
    ended_us: Microseconds = 0


REPLAY_MEMORY_H: Final = 24 * 14
"""Time for which requests are kept."""
