"""Define the state of a durable job, and how the outcome of an attempt changes it.

A job without a state is due immediately. A job is ``pending``, with the time of its next attempt,
until it ends: ``done``, ``exhausted`` (all retries failed: a dead letter) or ``dropped`` (its
target or input was deleted).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

DETAIL_MAX_CHARS: Final = 500
_SECOND_US: Final = 1_000_000

Status = Literal["pending", "done", "exhausted", "dropped"]


class JobState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """State of one job; the value of its records on the topic ``jobs``."""

    status: Status = "pending"
    attempts: int = 0
    next_attempt_us: int = 0
    updated_us: int = 0
    refused_until_us: int = 0
    """Time until which the target requested a pause, which no early attempt shortens."""
    detail: str = ""
    """Result of the last attempt."""
    project_id: str = ""
    """Project of the job, for those who read the state without the job."""
    created_us: int = 0


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The job is done."""

    detail: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """The attempt failed; the job is retried while its schedule has pauses left."""

    detail: str
    retry_after_s: float = 0.0
    """Pause requested by the target; it can lengthen the scheduled pause, but not shorten it."""
    by_target: bool = True
    """Whether the target caused the failure, so that it counts for its circuit breaker."""


@dataclass(frozen=True, slots=True)
class Postponed:
    """The job waits, without a failed attempt."""

    detail: str
    until_us: int
    again: bool = False
    """Whether the attempt succeeded, and the job begins anew: its failed attempts are forgotten."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """The job is no longer needed; it ends without a dead letter."""

    detail: str


Outcome = Succeeded | Failed | Postponed | Dropped


def ended(state: JobState, status: Status, now_us: int, detail: str = "") -> JobState:
    """Return the state of a job that ended; dropping does not count as an attempt."""
    return msgspec.structs.replace(
        state,
        status=status,
        attempts=state.attempts + (status != "dropped"),
        updated_us=now_us,
        detail=detail[:DETAIL_MAX_CHARS],
    )


def failed(
    state: JobState,
    now_us: int,
    detail: str,
    *,
    schedule_s: Sequence[float],
    jitter: float,
    retry_after_s: float = 0.0,
) -> JobState:
    """Return the state after a failed attempt.

    Args:
        state: state before the attempt.
        now_us: time when the attempt ended.
        detail: result of the attempt.
        schedule_s: pauses between attempts; after the last one the job is exhausted.
        jitter: share by which the pause is lengthened, so that jobs that failed at the same time
            are not retried at the same time.
        retry_after_s: pause requested by the target; it never shortens the scheduled one.
    """
    if state.attempts >= len(schedule_s):
        return ended(state, "exhausted", now_us, detail)
    pause_s = max(schedule_s[state.attempts] * (1 + jitter), retry_after_s)
    after = probed(state, now_us, detail, retry_after_s=retry_after_s)
    return msgspec.structs.replace(
        after,
        attempts=state.attempts + 1,
        next_attempt_us=now_us + int(pause_s * _SECOND_US),
    )


def probed(state: JobState, now_us: int, detail: str, *, retry_after_s: float = 0.0) -> JobState:
    """Return the state after a failed attempt that was made early; it does not count."""
    refused_until_us = now_us + int(retry_after_s * _SECOND_US) if retry_after_s else 0
    return msgspec.structs.replace(
        state,
        updated_us=now_us,
        refused_until_us=refused_until_us,
        next_attempt_us=max(state.next_attempt_us, refused_until_us),
        detail=detail[:DETAIL_MAX_CHARS],
    )


def after_attempt(
    state: JobState,
    outcome: Outcome,
    now_us: int,
    *,
    schedule_s: Sequence[float],
    jitter: float,
) -> JobState:
    """Return the state after an attempt with any outcome; arguments as those of ``failed``."""
    if isinstance(outcome, Succeeded):
        return ended(state, "done", now_us, outcome.detail)
    if isinstance(outcome, Dropped):
        return ended(state, "dropped", now_us, outcome.detail)
    if isinstance(outcome, Postponed):
        postponed = probed(state, now_us, outcome.detail)
        return msgspec.structs.replace(
            postponed,
            attempts=0 if outcome.again else state.attempts,
            next_attempt_us=outcome.until_us,
        )
    return failed(
        state,
        now_us,
        outcome.detail,
        schedule_s=schedule_s,
        jitter=jitter,
        retry_after_s=outcome.retry_after_s,
    )
