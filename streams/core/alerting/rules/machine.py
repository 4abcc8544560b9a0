"""Move a group of a rule between its states.

    inactive ──met──► pending ──met for ``for``──► firing ──clear──► recovering ──► resolved
                         │                            ▲                  │
                         └──clear──► inactive         └──────met─────────┘

A group without data is ``no_data`` if its rule defines this. A rule that cannot be evaluated is in
``error``.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from hashlib import sha256
from typing import Final, Literal

INACTIVE: Final = "inactive"
PENDING: Final = "pending"
FIRING: Final = "firing"
RECOVERING: Final = "recovering"
RESOLVED: Final = "resolved"
NO_DATA: Final = "no_data"
ERROR: Final = "error"
IDLE: Final = frozenset({INACTIVE, RESOLVED})
"""States in which only new data can matter."""
OPEN: Final = frozenset({FIRING, RECOVERING, NO_DATA})
"""States of an episode that was notified and is not resolved."""

Event = Literal["alert.firing", "alert.resolved", "alert.no_data"]


class Condition(Enum):
    """The outcome of an evaluation."""

    MET = "met"
    HELD = "held"
    """The threshold is not met, but a firing group has not recovered either."""
    CLEAR = "clear"
    NO_DATA = "no data"
    UNKNOWN = "unknown"
    """Data of the window are missing; the state remains."""


@dataclass(frozen=True, slots=True)
class Timing:
    """The durations of a rule in microseconds, and what it does without data."""

    for_us: int
    keep_us: int
    no_data: Literal["ok", "alert", "keep"]


@dataclass(slots=True)
class GroupState:
    """The state of a group of a rule.

    Attributes:
        since_us: event time of the last change of ``state``.
        evaluated_us: end of the pane of the last evaluation, in event time.
        started_us: ``evaluated_us`` when the episode began; it identifies the episode.
        decided_us: end of the window of the last change of ``state``; evaluations of earlier
            windows change nothing, so that reading deltas again repeats no change.
        condition: outcome of the last evaluation.
        is_announced: whether the episode was notified, so that its end is, too.
    """

    state: str = INACTIVE
    since_us: int = 0
    evaluated_us: int = 0
    started_us: int = 0
    decided_us: int = 0
    episode_id: str = ""
    sequence: int = 0
    condition: Condition = Condition.UNKNOWN
    value: Decimal | None = None
    window_us: tuple[int, int] = (0, 0)
    exemplars: tuple[str, ...] = ()
    is_incomplete: bool = False
    is_announced: bool = False
    notified_us: int = 0
    suppressed_by: str = ""
    acknowledged_by: str = ""
    reason: str = ""
    row_version: int = 0

    def enter(self, state: str, at_us: int) -> None:
        """Change the state, because of the evaluated window."""
        self.state = state
        self.since_us = at_us
        self.decided_us = max(self.decided_us, self.window_us[1])


def step(group: GroupState, condition: Condition, at_us: int, timing: Timing) -> Event | None:
    """Move a group after an evaluation; return the event, if any.

    ``group.window_us`` is the evaluated window; ``at_us`` is the event time.
    """
    group.condition = condition
    if condition is Condition.UNKNOWN or group.window_us[1] < group.decided_us:
        return None
    if condition is Condition.NO_DATA:
        if timing.no_data == "keep":
            return None
        if timing.no_data == "alert":
            return _lose_data(group, at_us)
        condition = Condition.CLEAR
    return _MOVES.get(group.state, _while_idle)(group, condition, at_us, timing)


def _lose_data(group: GroupState, at_us: int) -> Event | None:
    if group.state == NO_DATA:
        return None
    if group.state not in OPEN:
        group.started_us = group.evaluated_us
    group.enter(NO_DATA, at_us)
    return "alert.no_data"


def _while_idle(
    group: GroupState, condition: Condition, at_us: int, timing: Timing
) -> Event | None:
    if condition is Condition.MET:
        group.started_us = group.evaluated_us
        group.enter(PENDING, at_us)
        return _while_pending(group, condition, at_us, timing)
    if group.state == ERROR:
        group.enter(INACTIVE, at_us)
    return None


def _while_firing(
    group: GroupState, condition: Condition, at_us: int, timing: Timing
) -> Event | None:
    if condition is not Condition.CLEAR:
        return None
    group.enter(RECOVERING, at_us)
    return _while_recovering(group, condition, at_us, timing)


def _while_without_data(
    group: GroupState, condition: Condition, at_us: int, timing: Timing
) -> Event | None:
    if condition is Condition.MET and not timing.for_us:
        group.enter(FIRING, at_us)
        return "alert.firing"
    group.enter(RESOLVED, at_us)
    return "alert.resolved"


def _while_pending(
    group: GroupState, condition: Condition, at_us: int, timing: Timing
) -> Event | None:
    if condition is not Condition.MET:
        group.enter(INACTIVE, at_us)
    elif at_us - group.since_us >= timing.for_us:
        group.enter(FIRING, at_us)
        return "alert.firing"
    return None


def _while_recovering(
    group: GroupState, condition: Condition, at_us: int, timing: Timing
) -> Event | None:
    if condition is not Condition.CLEAR:
        group.enter(FIRING, at_us)
    elif at_us - group.since_us >= timing.keep_us:
        group.enter(RESOLVED, at_us)
        return "alert.resolved"
    return None


_MOVES: Final = {
    PENDING: _while_pending,
    FIRING: _while_firing,
    RECOVERING: _while_recovering,
    NO_DATA: _while_without_data,
}


def episode_id(project_id: str, rule_id: str, version: int, group: str, started_us: int) -> str:
    """Return the id of the episode that began at ``started_us``; ``group`` is its JSON object."""
    identity = "\n".join((project_id, rule_id, str(version), group, str(started_us)))
    return f"episode_{sha256(identity.encode(errors='replace')).hexdigest()[:32]}"


def alert_id(episode: str, event: str, sequence: int) -> str:
    """Return the id of an alert of an episode."""
    identity = f"{episode}\n{event}\n{sequence}"
    return f"alert_{sha256(identity.encode()).hexdigest()[:32]}"


def group_hash(group: str) -> str:
    """Return the hash of a group in the keys of states."""
    return sha256(group.encode(errors="replace")).hexdigest()[:32]
