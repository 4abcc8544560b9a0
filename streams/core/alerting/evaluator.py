"""Define the interface of evaluators, which compute alerts and states from deltas.

The alerting stage (``streams.alerting``) creates one instance of each kind of evaluator for each
partition of ``deltas``, and calls it from one task, in this order:

1. ``control_changed`` with each control record that exists.
2. ``restore`` with each state that was written, ``restore_alert`` with each alert that was written,
   and ``restored``.
3. ``apply`` with each delta, in the order of the log; ``control_changed`` with each change;
   ``tier_changed``, if it has this method, with each change of a user's tier; ``tick`` at least
   once per second, also without deltas. ``take_alerts`` follows soon after each of them, and
   ``take_states`` with each flush.

A flush writes 1. the alerts, 2. the states, 3. the checkpoint: the position in ``deltas`` up to
which the states are complete. A crash can occur between any two of them. After it, the stage
continues from the checkpoint, so an evaluator gets deltas again that its newest states already
contain, and alerts that its states do not contain yet. Therefore

* a state must contain the offset of the last delta that changed it, if applying a delta twice would
  change it;
* an alert's id must not depend on when it is computed again, or ``restore_alert`` must prevent its
  repetition.

The stage drops deltas that the log contains several times.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

import msgspec

from producers.control.record import Change
from producers.kafka.topics import Topic
from producers.notifications.alert import Alert
from producers.tiers.book import TierBook
from producers.tiers.record import Tier
from streams.core.alerting.rules.earlier import EarlierQuery
from streams.core.alerting.rules.panes import Group, Pane
from streams.core.alerting.rules.scored_calls import Call, CallKey, CallQuery
from streams.core.budgets.sums import SpendQuery, SpendResult
from streams.core.budgets.usual_spend import UsualSpend
from streams.core.rollups.deltas import Delta


class State(NamedTuple):
    """The new value of a record on an evaluator's compacted topic."""

    key: str
    row: msgspec.Struct
    """Row of the feed of this topic."""
    is_deleted: bool = False
    """Whether the record is removed from the topic after ``row`` was written, which must then
    mark it as deleted in the store."""


class Evaluator(Protocol):
    """The state of one kind of rules of the projects of one partition.

    A rule that cannot be evaluated must not raise here: it is set aside, and its state names the
    error. If a method raises nevertheless, the stage counts it and continues with the next call.
    """

    def control_changed(self, change: Change, now_us: int) -> None:
        """Add, replace or remove a rule; called with all records and tombstones of all kinds."""

    def restore(self, key: str, value: bytes) -> None:
        """Restore a state, the newest value of ``key`` on the topic of states."""

    def restore_alert(self, alert: Alert) -> None:
        """Read an alert of any rule of the partition's projects that was written earlier."""

    def restored(self, now_us: int) -> None:
        """Begin to evaluate, after the last call of ``restore`` and ``restore_alert``."""

    def apply(self, delta: Delta, offset: int, now_us: int) -> None:
        """Apply a delta.

        Args:
            delta: changes of windows and spend of one project; they must not be modified.
            offset: offset of its record in ``deltas``.
            now_us: time when the broker appended the record.
        """

    def tick(self, now_us: int) -> None:
        """Evaluate what depends on time; it never runs backwards.

        While the stage is behind, ``now_us`` is the append time of the last applied record.
        """

    def take_alerts(self) -> list[Alert]:
        """Return the alerts since the last call; they are sent at once."""

    def take_states(self) -> list[State]:
        """Return the newest version of the states that changed since the last call."""


@runtime_checkable
class FollowsTiers(Protocol):
    """An evaluator that depends on the tiers of users."""

    def tier_changed(self, tier: Tier, now_us: int) -> None:
        """Note that ``EvaluatorContext.tiers`` has changed; it may be called before ``restored``.

        A worker that starts finds only the current tiers there.
        """


class History(NamedTuple):
    """Older deltas that an evaluator needs: those appended since ``from_us``."""

    from_us: int
    to_offset: int
    """Offset after the last of them; the evaluator has seen the later ones."""


@runtime_checkable
class DefersStates(Protocol):
    """An evaluator with many states, which writes the less important ones later."""

    def take_states(self, count_max: int | None = None) -> list[State]:
        """Return changed states, of which at most ``count_max`` can wait; None: all states."""

    @property
    def written_to(self) -> int | None:
        """Return the offset up to which the taken states contain all changes; None: all."""


@runtime_checkable
class BeginsAfter(Protocol):
    """An evaluator that needs the position of the checkpoint."""

    def begins_after(self, offset: int) -> None:
        """Note before ``restored`` that ``apply`` begins after this offset."""


@runtime_checkable
class ReadsHistory(BeginsAfter, Protocol):
    """An evaluator that needs deltas again that the stage applied before, such as for new rules.

    They are read in the background, the latest ones first: several ranges, each in the order of the
    log. ``apply_history`` and ``apply`` together see each delta once.
    """

    def begin_history(self, now_us: int) -> History | None:
        """Return what is needed and not being read; None if nothing is."""

    def apply_history(self, delta: Delta, offset: int, append_us: int) -> None:
        """Add a delta that was appended earlier."""

    def history_read(self, from_us: int, *, is_last: bool) -> None:
        """Note that all deltas appended since ``from_us`` were passed.

        If ``is_last`` is set, no older ones follow.
        """


@runtime_checkable
class ReadsSpend(Protocol):
    """An evaluator that needs stored spend, which the stage reads while evaluation continues."""

    def spend_queries(self, count_max: int, input_offset: int) -> list[SpendQuery]:
        """Return up to ``count_max`` readings to begin, after the record at ``input_offset``."""

    def spend_read(self, query: SpendQuery, result: SpendResult | None) -> None:
        """Apply the result of a reading; None: it failed."""


@runtime_checkable
class ReadsRows(Protocol):
    """An evaluator of rules about single rows, such as the cost of one trace.

    Rows are absolute and may be passed several times, also after a restart.
    """

    def row_sources(self) -> Mapping[str, int]:
        """Return the tables whose rows are needed: ``traces``, ``observations``.

        The values are the times in µs from which they are needed.
        """

    def apply_rows(self, source: str, value: bytes, append_us: int) -> None:
        """Evaluate the rows of a record, as NDJSON."""

    def older_rows(self) -> Mapping[str, int]:
        """Return the tables whose earlier rows are needed, although they may have been passed.

        The values are the append times in µs from which they are needed.
        """

    def rows_read(self, older: Mapping[str, int]) -> None:
        """Note that all rows were passed; of the tables in ``older``, those since these times."""


@runtime_checkable
class ComparesEarlier(Protocol):
    """An evaluator of rules that compare with earlier windows, which only the store has."""

    def earlier_wanted(self, now_us: int) -> list[EarlierQuery]:
        """Return the queries whose results are missing or outdated."""

    def earlier_found(self, query: EarlierQuery, found: Mapping[Group, Sequence[Pane]]) -> None:
        """Keep the earlier windows that a query has found, by group."""


@runtime_checkable
class MarksPartial(Protocol):
    """An evaluator that marks its results as incomplete while events are missing."""

    def events_deferred(self, *, is_partial: bool) -> None:
        """Note whether accepted events are not processed yet, so that the deltas lack them.

        That is so while they wait for the store, and while stage 1 is behind.
        """


@runtime_checkable
class FindsCalls(Protocol):
    """An evaluator of rules about scores that depend on the scored observation."""

    def calls_wanted(self, count_max: int) -> list[CallQuery]:
        """Return look-ups of observations, each of at most ``count_max``."""

    def calls_found(
        self, query: CallQuery, found: Mapping[CallKey, Call] | None, now_us: int
    ) -> None:
        """Apply the result of a look-up; None: it failed."""


@runtime_checkable
class ForecastsSpend(Protocol):
    """An evaluator of budgets whose forecasts depend on usual spend, which only the store has."""

    usual: UsualSpend


@dataclass(frozen=True, slots=True)
class EvaluatorContext:
    """What an evaluator may depend on.

    Attributes:
        partition: number of the partition of ``deltas``.
        owns: whether a project belongs to this partition.
        settings: ``streams.alerting.settings.AlertingSettings``.
        limit_reached: counts that the limit with this name in the settings was reached.
        tiers: the current tiers of users.
    """

    partition: int
    owns: Callable[[str], bool]
    settings: Any
    limit_reached: Callable[[str, int], None]
    tiers: TierBook = field(default_factory=TierBook)


@dataclass(frozen=True, slots=True)
class EvaluatorKind:
    """The definition of a kind of evaluator.

    Attributes:
        name: name in logs and metrics.
        states: compacted topic of its states, which is partitioned like ``deltas``.
        new: creates the evaluator of a partition.
    """

    name: str
    states: Topic
    new: Callable[[EvaluatorContext], Evaluator]
