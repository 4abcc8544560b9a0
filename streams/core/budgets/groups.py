"""Evaluate groups: compare their spend with the thresholds of a limit, and create alerts."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, NamedTuple

from producers.budgets.forecast import LINEAR, Forecaster
from producers.control.kinds.budget import Budget, has_end
from producers.control.periods import FOREVER_US
from producers.notifications.alert import Alert
from streams.core.budgets import notices
from streams.core.budgets.burning import RecentSpend, rates_of
from streams.core.budgets.limits import Group, LimitRule
from streams.core.budgets.meters import SECOND_US, Meter
from streams.core.budgets.notices import Subject
from streams.core.budgets.states import GroupFlags
from streams.core.budgets.sums import UNBOUNDED_PICO, PeriodSums

REARM_TENTHS: Final = 9
"""A threshold of a rolling period can be crossed again after the spend was below this many tenths
of it: otherwise, spend close to it would create an alert every quarter of an hour."""
CLOSE_PARTS: Final = 2
"""The spend is close to a limit from this part (1/2) of it on, until it reaches the limit. Then its
state is written without delay, because decisions are about to change."""
FORECAST_AFTER: Final = 20
"""The forecast begins after this fraction (1/20) of a period."""


@dataclass(slots=True)
class Below:
    """A crossed threshold that the spend is below since a correction.

    Attributes:
        since_us: time of the correction.
        before_pico: the spend before it.
        is_lowered: whether a change was negative.
    """

    since_us: int
    before_pico: int
    is_lowered: bool


class SpendRange(NamedTuple):
    """The spend in which a limit is not evaluated, from ``low_pico`` to below ``high_pico``.

    Attributes:
        is_close: whether it approaches the limit (``CLOSE_PARTS``).
        is_reached: whether it is at or above the limit.
    """

    low_pico: int
    high_pico: int
    is_close: bool = False
    is_reached: bool = False


@dataclass(slots=True, eq=False)
class LimitGroups:
    """The groups of one limit: their flags by period, and which have changed.

    Attributes:
        excluded: starts of periods of the meter that the limit does not include, because they were
            there before it and have not changed since.
    """

    rule: LimitRule
    meter: Meter
    tier_of: Callable[[str, str], str]
    """Returns the tier that a project's user is mapped to."""
    send: Callable[[Alert], None]
    forecaster: Callable[[Budget], Forecaster | None] = lambda _: LINEAR
    """Returns how a budget is forecast; None: that is not known yet."""
    flags: dict[int, dict[Group, GroupFlags]] = field(default_factory=dict)
    dirty: dict[int, set[Group]] = field(default_factory=dict)
    below: dict[tuple[int, Group, str], Below] = field(default_factory=dict)
    """Thresholds that are taken back soon, by period and group: spans that arrive in another order
    than they ended can lower the spend for a moment."""
    trace_tiers: dict[Group, str] = field(default_factory=dict)
    """Tiers in the metadata of traces."""
    recent: dict[Group, RecentSpend] = field(default_factory=dict)
    excluded: set[int] = field(default_factory=set)

    def periods(self) -> Iterator[PeriodSums]:
        """Yield the periods that the limit includes."""
        for sums in self.meter.periods.values():
            if sums.start_us not in self.excluded:
                yield sums

    def forget(self, start_us: int) -> None:
        """Forget a period."""
        self.flags.pop(start_us, None)
        self.dirty.pop(start_us, None)
        self.excluded.discard(start_us)
        for at in [at for at in self.below if at[0] == start_us]:
            del self.below[at]

    def groups_of_user(self, sums: PeriodSums, user_id: str) -> list[Group]:
        """Return the groups of a user in a period."""
        if len(self.rule.meter.group_by) == 1:
            return [(user_id,)] if (user_id,) in sums.groups else []
        return [group for group in sums.groups if self.rule.user_of(group) == user_id]

    def limit_of(self, group: Group) -> tuple[str, int]:
        """Return the tier and the limit of a group in picodollars."""
        rule = self.rule
        if not rule.limit.tiers:
            return rule.amount(group, "", "")
        mapped = self.tier_of(rule.budget.project_id, rule.user_of(group))
        return rule.amount(group, mapped, self.trace_tiers.get(group, ""))

    def flags_of(self, start_us: int, group: Group) -> GroupFlags:
        """Return the flags of a group; they are kept if they are changed."""
        return self.flags.setdefault(start_us, {}).setdefault(group, GroupFlags())

    def mark(self, sums: PeriodSums, group: Group) -> None:
        """Note that the state of a group has changed."""
        self.dirty.setdefault(sums.start_us, set()).add(group)

    def range_of(self, sums: PeriodSums, group: Group) -> SpendRange | None:
        """Return the range of a group's spend in which nothing changes but the spend.

        None if the next evaluation may have another result although the spend is the same.
        """
        limit_pico = self.limit_of(group)[1]
        steps = self.rule.steps(limit_pico)
        flags = self.flags.get(sums.start_us, {}).get(group)
        spent_pico = sums.groups[group].spent_pico
        level = bisect_right(steps.pico, spent_pico)
        if steps.thresholds[:level] != (flags.crossed if flags else ()):
            return None
        low_pico = steps.pico[level - 1] if level else -UNBOUNDED_PICO
        high_pico = steps.pico[level] if level < len(steps.pico) else UNBOUNDED_PICO
        if not limit_pico:
            return SpendRange(low_pico, high_pico)
        close_pico = limit_pico // CLOSE_PARTS
        if spent_pico >= limit_pico:
            return SpendRange(max(low_pico, limit_pico), high_pico, is_reached=True)
        if spent_pico >= close_pico:
            low_pico, high_pico = max(low_pico, close_pico), min(high_pico, limit_pico)
            return SpendRange(low_pico, high_pico, is_close=True)
        return SpendRange(low_pico, min(high_pico, close_pico))

    def evaluate(
        self,
        sums: PeriodSums,
        group: Group,
        before_pico: int,
        now_us: int,
        *,
        added_pico: int = 0,
        is_lowered: bool = False,
        correction_delay_us: int = 0,
        is_partial: bool = False,
    ) -> bool:
        """Evaluate a group; return whether a threshold was crossed or taken back.

        Args:
            sums: the period.
            group: the group.
            before_pico: its spend before the change.
            now_us: the current time.
            added_pico: new spend, for the burn rate.
            is_lowered: whether a correction has lowered the spend.
            correction_delay_us: how long the spend must be below a crossed threshold until it is
                taken back.
            is_partial: whether events wait, which the spend may lack.
        """
        tier, limit_pico = self.limit_of(group)
        steps = self.rule.steps(limit_pico)
        total = sums.groups.get(group)
        spent_pico = 0 if total is None else total.spent_pico
        level = bisect_right(steps.pico, spent_pico)
        flags = self.flags.get(sums.start_us, {}).get(group)
        crossed = steps.thresholds[:level]
        budget = self.rule.budget
        if flags is None and not (level or budget.forecast or budget.burn_rate):
            return False
        subject = Subject(
            self.rule, sums.start_us, sums.end_us, group, tier, limit_pico, spent_pico,
            "" if total is None else total.trace_id, now_us,
            is_partial or not self.meter.is_complete(sums, now_us),
        )  # fmt: skip
        is_changed = False
        if crossed != (flags.crossed if flags else ()):
            flags = self.flags_of(sums.start_us, group)
            change = Below(now_us, before_pico, is_lowered)
            is_changed = self._change(subject, flags, sums, crossed, change, correction_delay_us)
        elif self.below:
            self._forget_below(sums.start_us, group, crossed)
        if budget.forecast and limit_pico:
            self._forecast(subject)
        if budget.burn_rate is not None and limit_pico and added_pico:
            self._burn(subject, added_pico)
        return is_changed

    def _change(
        self,
        subject: Subject,
        flags: GroupFlags,
        sums: PeriodSums,
        crossed: tuple[str, ...],
        change: Below,
        correction_delay_us: int,
    ) -> bool:
        """Apply the new set of crossed thresholds, with alerts for the differences."""
        steps = self.rule.steps(subject.limit_pico)
        self._forget_below(subject.start_us, subject.group, crossed)
        changes = {
            share: self._change_below(subject, share, change)
            for share in flags.crossed
            if share not in crossed
        }
        gone = {
            share: each
            for share, each in changes.items()
            if share not in steps.thresholds
            or (
                subject.now_us >= each.since_us + correction_delay_us
                and not self._stays(subject, sums, share, each.is_lowered)
            )
        }
        staying = changes.keys() - gone.keys()
        crossed = tuple(share for share in steps.thresholds if share in crossed or share in staying)
        for share in crossed:
            if share not in flags.crossed:
                sequence = flags.counts.get(share, 0)
                flags.counts[share] = sequence + 1
                self.send(notices.crossed(subject, share, sequence))
        for share, each in gone.items():
            del self.below[subject.start_us, subject.group, share]
            is_defined = share in self.rule.budget.thresholds
            if is_defined and (each.is_lowered or not self.meter.rolling_us):
                sequence = flags.counts.get(share, 1) - 1
                self.send(notices.corrected(subject, share, sequence, each.before_pico))
        is_changed = crossed != flags.crossed
        flags.crossed = crossed
        return is_changed

    def _change_below(self, subject: Subject, share: str, change: Below) -> Below:
        """Return the change since which the spend is below a threshold; ``change`` is the last."""
        first = self.below.setdefault((subject.start_us, subject.group, share), change)
        first.is_lowered = first.is_lowered or change.is_lowered
        return first

    def _forget_below(self, start_us: int, group: Group, crossed: tuple[str, ...]) -> None:
        """Forget thresholds that the spend has reached again."""
        for share in crossed:
            self.below.pop((start_us, group, share), None)

    def due_below(self, before_us: int) -> set[tuple[int, Group]]:
        """Return periods and groups whose spend is below a threshold since before a time."""
        return {
            (start_us, group)
            for (start_us, group, _), below in self.below.items()
            if below.since_us <= before_us
        }

    def _stays(self, subject: Subject, sums: PeriodSums, share: str, is_lowered: bool) -> bool:
        """Return whether a threshold stays crossed although the spend is below it.

        That is so while spend may be missing, and close to a threshold of a rolling period.
        """
        steps = self.rule.steps(subject.limit_pico)
        if not self.meter.is_complete(sums, subject.now_us):
            return True
        if not self.meter.rolling_us or is_lowered:
            return False
        pico = steps.pico[steps.thresholds.index(share)]
        return subject.spent_pico * 10 >= pico * REARM_TENTHS

    def _forecast(self, subject: Subject) -> None:
        start_us, end_us, now_us = subject.start_us, subject.end_us, subject.now_us
        is_early = (now_us - start_us) * FORECAST_AFTER < end_us - start_us
        is_over = subject.spent_pico >= subject.limit_pico or now_us >= end_us
        if is_early or is_over or not has_end(self.rule.limit.period):
            return
        forecaster = self.forecaster(self.rule.budget)
        if forecaster is None:
            return
        expected_pico = forecaster.expected_pico(subject.spent_pico, start_us, end_us, now_us)
        if expected_pico <= subject.limit_pico:
            return
        flags = self.flags_of(start_us, subject.group)
        if not flags.has_forecast:
            flags.has_forecast = True
            at_us = forecaster.reached_at_us(
                subject.spent_pico, subject.limit_pico, start_us, end_us, now_us
            )
            self.send(notices.forecast(subject, expected_pico, at_us or end_us, forecaster.method))

    def _burn(self, subject: Subject, added_pico: int) -> None:
        burn = self.rule.budget.burn_rate
        assert burn is not None
        period_us = self.meter.rolling_us or subject.end_us - subject.start_us
        if subject.end_us == FOREVER_US and not self.meter.rolling_us:
            return  # without an end, there is no allowed rate
        if subject.now_us >= subject.end_us:
            return  # late events are no spend of now
        now_s = subject.now_us // SECOND_US
        recent = self.recent.setdefault(subject.group, RecentSpend())
        recent.add(added_pico, now_s, burn.slow_s)
        fast, slow = rates_of(recent, burn, subject.limit_pico, period_us // SECOND_US, now_s)
        factor = float(Decimal(burn.factor))
        flags = self.flags_of(subject.start_us, subject.group)
        if fast >= factor and slow >= factor and not flags.is_burning:
            flags.is_burning = True
            flags.burns += 1
            self.send(notices.burn_rate(subject, fast, slow, flags.burns - 1))
        elif fast < factor:
            flags.is_burning = False


def set_range(sums: PeriodSums, group: Group) -> None:
    """Set the range of spend in which no limit needs to be evaluated, if there is one."""
    low_pico, high_pico = -UNBOUNDED_PICO, UNBOUNDED_PICO
    is_close, reached = False, 0
    for limit in sums.limits:
        try:
            found = limit.range_of(sums, group)
        except Exception:  # noqa: BLE001  # the evaluation counts it
            return
        if found is None:
            return
        low_pico, high_pico = max(low_pico, found.low_pico), min(high_pico, found.high_pico)
        is_close |= found.is_close
        reached += found.is_reached
    total = sums.groups[group]
    total.low_pico, total.high_pico = low_pico, high_pico
    total.is_close, total.reached = is_close, reached
