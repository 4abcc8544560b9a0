"""Keep the scores whose observation is looked up, for rules about its model or prompt."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from streams.core.alerting.rules.score_changes import ScoreChange

CallKey = tuple[str, str]
"""Trace and observation."""


class Call(NamedTuple):
    """The fields of an observation that rules about scores can select."""

    model: str = ""
    name: str = ""
    prompt_name: str = ""
    prompt_version: str = ""


NO_CALL = Call()
"""The fields of scores of whole traces and sessions, all empty."""


class CallQuery(NamedTuple):
    """A look-up of observations of a project."""

    project_id: str
    calls: tuple[CallKey, ...]


class _Waiting(NamedTuple):
    call: CallKey
    since_us: int


def change_with(change: ScoreChange, call: Call) -> ScoreChange:
    """Return a change with the fields of the scored observation."""
    return msgspec.structs.replace(change, **call._asdict())


@dataclass(slots=True)
class WaitingScores:
    """The scores of a project that wait for their observations.

    Attributes:
        older: ids of those that were read when the rules began; the rules are incomplete until
            their observations are known.
    """

    older: set[str] = field(default_factory=set)
    _waiting: OrderedDict[str, _Waiting] = field(default_factory=OrderedDict)

    def add(self, score_id: str, call: CallKey, since_us: int) -> None:
        """Add a score that arrived at ``since_us``."""
        self._waiting[score_id] = _Waiting(call, since_us)

    def remove(self, score_id: str) -> None:
        """Remove a score, if it waits."""
        self._waiting.pop(score_id, None)
        self.older.discard(score_id)

    def clear(self) -> None:
        """Remove all."""
        self._waiting.clear()
        self.older.clear()

    def note_older(self) -> None:
        """Note that all scores that wait now are needed until the rules are complete."""
        self.older = {*self._waiting}

    def wanted(self, count_max: int) -> tuple[CallKey, ...]:
        """Return up to ``count_max`` observations, those first that were not looked up yet."""
        found: dict[CallKey, None] = {}
        for each in self._waiting.values():
            found[each.call] = None
            if len(found) >= count_max:
                break
        return tuple(found)

    def of_calls(self, calls: Collection[CallKey]) -> list[tuple[str, CallKey, int]]:
        """Return the scores of observations, with the times since which they wait.

        They are looked up last the next time.
        """
        found = [
            (score_id, each.call, each.since_us)
            for score_id, each in self._waiting.items()
            if each.call in calls
        ]
        for score_id, _, _ in found:
            self._waiting.move_to_end(score_id)
        return found
