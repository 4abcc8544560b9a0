"""Compare the value of a window with those of the same window at earlier times.

The earlier values come from the store. They are queried rarely, for windows whose ends are rounded
down, and kept. While they are missing, the rule is incomplete.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from statistics import median
from typing import Final

from producers.alerting.registry import METRICS
from producers.control.kinds.alert_rule import AlertRule
from producers.notifications.wording import amount_text
from streams.core.alerting.rules.measures import Ratio
from streams.core.alerting.rules.panes import Group
from streams.core.alerting.rules.series import SeriesKey

HOUR_S: Final = 3_600
DAY_S: Final = 86_400
WEEK_S: Final = 7 * DAY_S
REFRESH_MIN_S: Final = 60
_SHIFTS: Final = {"hour": HOUR_S, "day": DAY_S, "week": WEEK_S}
_NORMAL: Final = Fraction(14_826, 10_000)
"""Factor that makes the median absolute deviation comparable with a standard deviation."""
_SPREAD_MIN: Final = Fraction(1, 100)
"""Smallest deviation, as a share of the median. Without it, any change of a constant value would be
an unlimited number of deviations."""


@dataclass(frozen=True, slots=True)
class EarlierQuery:
    """A query of the sums of earlier windows, by group."""

    project_id: str
    rule_id: str
    key: SeriesKey
    spans_s: tuple[tuple[int, int], ...]
    """Start and end of each window."""
    end_s: int


@dataclass(slots=True)
class Earlier:
    """The earlier values of a rule.

    Attributes:
        shifts_s: how much earlier the windows are.
        samples_min: number of earlier values without which a group has no data.
        end_s: end of the window to which they belong; -1 while they are unknown.
    """

    shifts_s: tuple[int, ...]
    window_s: int
    samples_min: int
    direction: str
    """``above``, ``below`` or ``both`` for deviations; empty for a factor."""
    unit: str = ""
    """Unit of the metric."""
    end_s: int = -1
    _values: dict[Group, list[Fraction]] = field(default_factory=dict)

    @classmethod
    def of(cls, record: AlertRule) -> Earlier | None:
        """Return what a rule compares with; None if it compares with a fixed threshold."""
        unit, anomaly = METRICS[record.metric].unit, record.anomaly
        if anomaly is not None:
            step_s = WEEK_S if anomaly.season == "week" else DAY_S
            count = anomaly.weeks * (WEEK_S // step_s)
            shifts_s = tuple(step_s * number for number in range(1, count + 1))
            return cls(shifts_s, record.window_s, anomaly.samples_min, anomaly.direction, unit)
        if record.compare_with:
            return cls((_SHIFTS[record.compare_with],), record.window_s, 1, "", unit)
        return None

    @property
    def refresh_s(self) -> int:
        """Return the interval in which the windows move."""
        return max(REFRESH_MIN_S, self.window_s // 10 // 10 * 10)

    def wanted(self, project_id: str, rule_id: str, key: SeriesKey, at_s: int) -> EarlierQuery:
        """Return the query for a window that ends at ``at_s`` or a little earlier."""
        end_s = at_s // self.refresh_s * self.refresh_s
        spans_s = tuple(
            (end_s - self.window_s - shift_s, end_s - shift_s) for shift_s in self.shifts_s
        )
        return EarlierQuery(project_id, rule_id, key, spans_s, end_s)

    def found(self, end_s: int, values: Mapping[Group, Sequence[Ratio]]) -> None:
        """Keep the values of a query."""
        self.end_s = end_s
        self._values = {
            group: [Fraction(*each) for each in found] for group, found in values.items()
        }

    def is_known(self, end_s: int) -> bool:
        """Return whether the values are recent enough for a window that ends at ``end_s``."""
        return self.end_s >= 0 and end_s - self.end_s <= 3 * self.refresh_s

    def relative(self, group: Group, value: Ratio) -> Ratio | None:
        """Return the factor or the deviation of a value; None without enough earlier values."""
        earlier = self._values.get(group, [])
        if len(earlier) < self.samples_min:
            return None
        usual = median(earlier)
        if not self.direction:
            return (Fraction(*value) / usual).as_integer_ratio() if usual > 0 else None
        spread = max(
            _NORMAL * median(abs(each - usual) for each in earlier), _SPREAD_MIN * abs(usual)
        )
        difference = Fraction(*value) - usual
        if self.direction == "below":
            difference = -difference
        elif self.direction == "both":
            difference = abs(difference)
        if not spread:
            return (0, 1) if not difference else None
        return (difference / spread).as_integer_ratio()

    def described(self, group: Group) -> str:
        """Return in plain words what the value is compared with."""
        earlier = self._values.get(group, [])
        if not earlier:
            return "there are no earlier values"
        usual = amount_text(Decimal(str(float(f"{float(median(earlier)):.6g}"))), self.unit)
        if not self.direction:
            return f"as a factor of {usual}, the value of the earlier window"
        return (
            f"in deviations from {usual}, the median of the same hours at {len(earlier)}"
            " earlier times"
        )
