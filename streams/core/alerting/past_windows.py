"""Find the earlier windows that a rule compares with in stored sums, for backtests."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import gcd
from typing import Any

from producers.control.kinds.alert_rule import AlertRule
from streams.core.alerting.rules.earlier import Earlier
from streams.core.alerting.rules.index import merger_of
from streams.core.alerting.rules.measures import Ratio
from streams.core.alerting.rules.panes import Group, Pane
from streams.core.alerting.rules.rule import Rule

Span = tuple[int, int]
"""Start and end in seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class EarlierSums:
    """The stored sums that the earlier windows of a rule consist of.

    Attributes:
        bucket_s: length of the buckets, which begin at its multiples.
        spans_s: the times of the buckets, without overlaps.
    """

    bucket_s: int
    spans_s: tuple[Span, ...]


def earlier_sums(record: AlertRule, from_s: int, to_s: int) -> EarlierSums | None:
    """Return what a rule needs for evaluations from ``from_s`` to ``to_s``; None if nothing."""
    earlier = Earlier.of(record)
    if earlier is None:
        return None
    refresh_s = earlier.refresh_s
    first_s = from_s // refresh_s * refresh_s - record.window_s
    last_s = to_s // refresh_s * refresh_s
    spans: list[Span] = []
    for shift_s in sorted(earlier.shifts_s, reverse=True):
        start_s, end_s = max(0, first_s - shift_s), max(0, last_s - shift_s)
        if spans and start_s <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(end_s, spans[-1][1]))
        elif start_s < end_s:
            spans.append((start_s, end_s))
    return EarlierSums(gcd(refresh_s, record.window_s, *earlier.shifts_s), tuple(spans))


@dataclass(slots=True)
class PastWindows:
    """The stored sums of a rule by bucket, and the values of windows that consist of them."""

    rule: Rule
    bucket_s: int
    _buckets: dict[int, dict[Group, Pane]] = field(default_factory=dict)
    _values: dict[Span, dict[Group, Ratio]] = field(default_factory=dict)

    def add(self, changes: Iterable[tuple[int, Any]]) -> None:
        """Add changes of windows with the starts of their buckets; they meet the rule's filter."""
        key = self.rule.key
        merger = merger_of("windows", [key])
        read = merger.reader(key.measures)
        bins_at = merger.mappings.index(key.bins) if key.bins else None
        group_at = [merger.dimensions.index(name) for name in key.group_by]
        for start_s, change in changes:
            merger.add(start_s, change, 0)
        for start_s, row in merger.take():
            group = tuple([row.key[at] for at in group_at])
            pane = self._buckets.setdefault(start_s, {}).setdefault(
                group, Pane([0] * len(key.measures), {})
            )
            pane.add(read(row), {} if bins_at is None else row.mappings[bins_at])

    def refresh(self, now_s: int) -> None:
        """Give the rule the earlier values of a time, as the stage does with those of the store."""
        rule, earlier = self.rule, self.rule.earlier
        assert earlier is not None
        query = earlier.wanted(rule.record.project_id, rule.record.id, rule.key, now_s)
        if query.end_s <= earlier.end_s:
            return
        values: dict[Group, list[Ratio]] = {}
        for span in query.spans_s:
            for group, value in self._values_of(span).items():
                values.setdefault(group, []).append(value)
        earlier.found(query.end_s, values)

    def _values_of(self, span: Span) -> dict[Group, Ratio]:
        """Return the values of a window, which several evaluations can compare with."""
        known = self._values.get(span)
        if known is None:
            known = self._values[span] = self._computed(span)
        return known

    def _computed(self, span: Span) -> dict[Group, Ratio]:
        start_s, end_s = span
        width = len(self.rule.key.measures)
        sums: dict[Group, Pane] = {}
        for at_s in range(start_s, end_s, self.bucket_s):
            for group, pane in self._buckets.get(at_s, {}).items():
                total = sums.get(group)
                if total is None:
                    total = sums[group] = Pane([0] * width, {})
                total.add(pane.sums, pane.bins)
        plan, found = self.rule.plan, {}
        for group, total in sums.items():
            value = plan.value(total.sums, total.bins, end_s - start_s)
            if total.sums[0] > 0 and value is not None:
                found[group] = value
        return found
