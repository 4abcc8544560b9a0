"""Evaluate budgets on the past, with the code of the stream processors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from producers.budgets.forecast import Forecaster
from producers.control.kinds.budget import Budget
from query_api.alerting.backtests import PastRange
from query_api.budgets.backtests import EarlierRange, PastBudget, SpendPane, SpendSeries
from query_api.money import pico_of
from streams.core.budgets.backtest import PastSpend, backtest, earlier_spend
from streams.core.budgets.limits import rules_of


class StreamBudgetBacktester:
    """Backtests by ``streams.core.budgets``."""

    def earlier_of_budget(self, budget: Budget, from_s: int) -> list[EarlierRange]:
        return [EarlierRange(*each) for each in earlier_spend(budget, from_s)]

    def evaluate_budget(
        self,
        budget: Budget,
        earlier: Mapping[str, Sequence[SpendPane]],
        panes: Sequence[SpendPane],
        within: PastRange,
        tier_of: Callable[[str, str], str],
        forecaster: Forecaster,
        is_cancelled: Callable[[], bool],
    ) -> PastBudget:
        found = backtest(
            budget,
            {name: list(_spend(rows)) for name, rows in earlier.items()},
            _spend(panes),
            within.from_s,
            within.to_s,
            tier_of=tier_of,
            forecaster=forecaster,
            step_s=within.step_s,
            is_cancelled=is_cancelled,
        )
        named = {rule.limit.name: rule.named for rule in rules_of(budget)}
        largest = sorted(found.series.items(), key=lambda each: (-each[1][-1][1], each[0]))
        return PastBudget(
            alerts=found.alerts,
            series=[
                SpendSeries(name, named[name](group), found.amounts[name, group], points)
                for (name, group), points in largest[: within.series_max]
            ],
            is_truncated=len(largest) > within.series_max,
        )


def _spend(rows: Sequence[SpendPane]) -> Iterator[PastSpend]:
    for row in rows:
        yield PastSpend(row.start_s, row.values, pico_of(row.cost_usd), row.tier)
