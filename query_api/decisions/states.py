"""Keep what the groups of budgets have spent, from the records of the topic ``budget-states``."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from sys import intern
from typing import Final

import msgspec

from producers.budgets.groups import group_text
from producers.control.periods import FOREVER_US, period_bounds, rolling_us
from query_api import metrics

SWEPT_AT_ONCE: Final = 5_000
"""States that are checked before other tasks run, about a millisecond."""
NO_GROUP: Final = group_text({})
"""The group of budgets without ``group_by``."""
NEW_BUDGET_READ_WITHIN_US: Final = 60_000_000
"""Time for which the states of an unknown budget are kept, because it may be a new one."""


class StateRecord(msgspec.Struct, gc=False):
    """The fields of ``clickhouse.state_rows.BudgetStateRow`` that decisions need."""

    budget_id: str
    period: str
    period_start_us: int
    period_end_us: int
    group: str
    updated_us: int
    limit_name: str = ""
    spent_pico: int = 0
    incomplete: int = 0
    evaluation: str = ""
    crossed: tuple[str, ...] = ()


class _Evaluation(msgspec.Struct, gc=False):
    """The part of ``StateRecord.evaluation`` that decisions need."""

    trace_tier: str = ""
    """Tier in the metadata of the user's latest trace."""
    complete_from_us: int = FOREVER_US
    complete: list[int] = []


class LimitState(msgspec.Struct, gc=False):
    """Which periods of a limit contain all spend, also of groups without a state.

    Attributes:
        period: name of the kind of period.
        complete_from_us: periods that begin at this time or later are complete; for a rolling
            period, the spend from this time on.
        complete: starts of further complete periods.
        is_partial: whether events wait to be processed, so that all groups may lack spend.
    """

    period: str
    complete_from_us: int
    complete: frozenset[int]
    is_partial: bool = False


class State(msgspec.Struct, gc=False):
    """The spend of a group in one period."""

    period: str
    start_us: int
    end_us: int
    spent_pico: int
    incomplete: bool
    updated_us: int
    trace_tier: str = ""
    crossed: tuple[str, ...] = ()
    """Thresholds that are reached, if the budget has no groups."""


RuleId = tuple[str, str]
"""Id of a budget, and the name of its limit."""

_decode: Final = msgspec.json.Decoder(StateRecord).decode
_decode_group: Final = msgspec.json.Decoder(dict[str, str]).decode
_decode_evaluation: Final = msgspec.json.Decoder(_Evaluation).decode
_TRACE_TIER: Final = '"trace_tier"'


class SpentStates:
    """The state of each group's current period.

    A period that has not begun yet, because clocks differ, does not replace the current one.
    """

    def __init__(self, states_max: int) -> None:
        self._states_max = states_max
        self._of_rule: dict[RuleId, dict[str, State]] = {}
        self._limits: dict[RuleId, LimitState] = {}
        self._upcoming: dict[tuple[RuleId, str], State] = {}
        self._overflowed_until_us: dict[RuleId, int] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def apply(self, value: bytes, now_us: int) -> None:
        """Apply a record.

        Raises:
            ValueError: it is not a state of a budget.
        """
        record = _decode(value)
        rule_id = (record.budget_id, record.limit_name)
        if not record.group:
            evaluation = _decode_evaluation(record.evaluation or "{}")
            self._limits[rule_id] = LimitState(
                record.period,
                evaluation.complete_from_us,
                frozenset(evaluation.complete),
                bool(record.incomplete),
            )
            return
        group = group_text(_decode_group(record.group))
        state = State(
            record.period,
            record.period_start_us,
            record.period_end_us,
            record.spent_pico,
            bool(record.incomplete),
            record.updated_us,
        )
        if _TRACE_TIER in record.evaluation:
            state.trace_tier = intern(_decode_evaluation(record.evaluation).trace_tier)
        if group == NO_GROUP:
            state.crossed = record.crossed
        held = self._begun(rule_id, group, now_us)
        is_upcoming = state.start_us > now_us
        if is_upcoming:
            held = self._upcoming.get((rule_id, group))
        if held is None and self._count >= self._states_max:
            metrics.LIMITS_REACHED.labels("budget_states_max").inc()
            until_us = max(state.end_us, self._overflowed_until_us.get(rule_id, 0))
            self._overflowed_until_us[rule_id] = until_us
            return
        if held is not None and not _replaces(state, held):
            return
        self._count += held is None
        if is_upcoming:
            self._upcoming[rule_id, group] = state
        else:
            self._of_rule.setdefault(rule_id, {})[group] = state

    def of_rule(self, rule_id: RuleId, period: str, group: str, now_us: int) -> State | None:
        """Return the newest state of a group; None if it has none of this kind of period."""
        state = self._begun(rule_id, group, now_us)
        return state if state is not None and state.period == period else None

    def groups_of(
        self, rule_id: RuleId, period: str, start_us: int, groups_max: int
    ) -> dict[str, State] | None:
        """Return the states of all groups in a period; None if there are more than the maximum."""
        states = self._of_rule.get(rule_id, {})
        if len(states) > groups_max:
            return None
        return {
            group: state
            for group, state in states.items()
            if state.period == period and state.start_us == start_us
        }

    def _begun(self, rule_id: RuleId, group: str, now_us: int) -> State | None:
        """Return the newest state of a group whose period has begun."""
        upcoming = self._upcoming.get((rule_id, group)) if self._upcoming else None
        if upcoming is not None and upcoming.start_us <= now_us:
            del self._upcoming[rule_id, group]
            states = self._of_rule.setdefault(rule_id, {})
            self._count -= group in states
            states[group] = upcoming
            return upcoming
        return self._of_rule.get(rule_id, {}).get(group)

    def is_complete(self, rule_id: RuleId, period: str, time_zone: str, now_us: int) -> bool:
        """Return whether the current period of a limit contains all spend of all groups.

        Spend may be missing while a new limit is not evaluated yet, or if states were dropped
        because there are too many.
        """
        limit = self._limits.get(rule_id)
        if limit is None or limit.period != period:
            return False
        if now_us < self._overflowed_until_us.get(rule_id, 0):
            return False
        length_us = rolling_us(period)
        if length_us:
            return now_us - length_us >= limit.complete_from_us or 0 in limit.complete
        start_us = period_bounds(period, time_zone, now_us)[0]
        return start_us >= limit.complete_from_us or start_us in limit.complete

    def is_partial(self, rule_id: RuleId) -> bool:
        """Return whether events wait to be processed, so that all groups may lack spend."""
        limit = self._limits.get(rule_id)
        return limit is not None and limit.is_partial

    def remove_budget(self, budget_id: str) -> None:
        """Remove the states of a deleted budget."""
        for of_rule in (self._of_rule, self._limits, self._overflowed_until_us):
            for rule_id in [each for each in of_rule if each[0] == budget_id]:
                del of_rule[rule_id]
        for key in [each for each in self._upcoming if each[0][0] == budget_id]:
            del self._upcoming[key]
        self._count = self._counted()

    async def sweep(self, budgets: Collection[str], now_us: int) -> None:
        """Remove the states of ended periods, and those of budgets that are not in ``budgets``.

        Recent ones are kept, because a new budget may not have been read yet.
        """
        for rule_id, group in list(self._upcoming):
            self._begun(rule_id, group, now_us)
        known = {budget_id for budget_id, _ in (*self._of_rule, *self._limits)}
        for budget_id in known - set(budgets):
            if not self._has_recent(budget_id, now_us - NEW_BUDGET_READ_WITHIN_US):
                self.remove_budget(budget_id)
        for rule_id in list(self._of_rule):
            states = self._of_rule.get(rule_id, {})
            groups = list(states)
            for first in range(0, len(groups), SWEPT_AT_ONCE):
                for group in groups[first : first + SWEPT_AT_ONCE]:
                    state = states.get(group)
                    if state is not None and state.end_us <= now_us:
                        del states[group]
                await asyncio.sleep(0)
        self._count = self._counted()

    def _counted(self) -> int:
        return len(self._upcoming) + sum(map(len, self._of_rule.values()))

    def _has_recent(self, budget_id: str, since_us: int) -> bool:
        return any(
            state.updated_us >= since_us
            for rule_id, states in self._of_rule.items()
            if rule_id[0] == budget_id
            for state in states.values()
        )


def _replaces(new: State, held: State) -> bool:
    """Return whether a later record replaces the held state.

    A correction of an earlier period does not.
    """
    if new.period != held.period:
        return new.updated_us >= held.updated_us
    return new.start_us >= held.start_us
