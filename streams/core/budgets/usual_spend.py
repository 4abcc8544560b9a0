"""Keep the usual spend of budgets by hour of the week, which the store has, for forecasts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from producers.budgets.forecast import LINEAR, Forecaster, forecaster_of, history_bounds_s
from producers.control.kinds.budget import Budget

HOUR_OF_WEEK: Final = "hour_of_week"


class UsualQuery(NamedTuple):
    """A reading of a budget's spend by hour of the week in a range of time."""

    project_id: str
    budget_id: str
    scope: Mapping[str, str]
    from_s: int
    to_s: int
    asked_s: int


class _Usual(NamedTuple):
    scope: Mapping[str, str]
    to_s: int
    retry_s: float
    """Time from which a failed reading is repeated; 0 if it succeeded."""
    forecaster: Forecaster


@dataclass(slots=True)
class UsualSpend:
    """The forecasts of a partition's budgets that depend on usual spend.

    Attributes:
        budgets: returns the budgets.
        retry_s: pause after a failed reading; until then, forecasts are linear.
    """

    budgets: Callable[[], Iterable[Budget]]
    retry_s: float
    _known: dict[str, _Usual] = field(default_factory=dict)
    _new: set[str] = field(default_factory=set)
    """Budgets that are forecast in another way since the last call of ``take_new``."""

    def forecaster(self, budget: Budget) -> Forecaster | None:
        """Return the forecast of a budget; None until the first reading has ended."""
        if budget.forecast != HOUR_OF_WEEK:
            return LINEAR
        known = self._known.get(budget.id)
        return known.forecaster if known and known.scope == budget.scope else None

    def wanted(self, now_us: int) -> list[UsualQuery]:
        """Return the readings that are missing or older than a day."""
        now_s = now_us // 1_000_000
        from_s, to_s = history_bounds_s(now_s)
        found = []
        current: dict[str, _Usual] = {}
        for budget in {budget.id: budget for budget in self.budgets()}.values():
            if budget.forecast != HOUR_OF_WEEK:
                continue
            known = self._known.get(budget.id)
            if known is not None:
                current[budget.id] = known
                if known.scope == budget.scope and (
                    now_s < known.retry_s if known.retry_s else known.to_s >= to_s
                ):
                    continue
            found.append(
                UsualQuery(budget.project_id, budget.id, budget.scope, from_s, to_s, now_s)
            )
        self._known = current
        return found

    def found(self, query: UsualQuery, usual_pico: Mapping[int, int] | None) -> None:
        """Keep the result of a reading; None: it failed, so that earlier results remain."""
        known = self._known.get(query.budget_id)
        forecaster = forecaster_of(HOUR_OF_WEEK, usual_pico)
        if usual_pico is None and known is not None and known.scope == query.scope:
            forecaster = known.forecaster
        if (
            known is None
            or known.scope != query.scope
            or known.forecaster.method != forecaster.method
        ):
            self._new.add(query.budget_id)
        retry_s = query.asked_s + self.retry_s if usual_pico is None else 0
        self._known[query.budget_id] = _Usual(query.scope, query.to_s, retry_s, forecaster)

    def take_new(self) -> set[str]:
        """Return the ids of budgets that are forecast in another way since the last call."""
        new, self._new = self._new, set()
        return new
