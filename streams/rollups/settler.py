"""Query the stored spend of new budget periods, and send alerts for crossed thresholds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from streams.core.rollups.fold import ProjectFold
from streams.rollups import metrics
from streams.rollups.context import StageContext
from streams.rollups.failures import ProjectFailures
from streams.rollups.output import ProjectOutput

BASELINE_RETRY_S = 0.05


class BudgetSettler:
    """A task that adds the stored spend of budget periods to the spend that the fold counts.

    A period is *settled* once its stored spend is added (``streams.core.budgets.evaluation``).
    """

    def __init__(
        self,
        partition: int,
        context: StageContext,
        fold: ProjectFold,
        output: ProjectOutput,
        failures: ProjectFailures,
        on_settled: Callable[[], None],
    ) -> None:
        """Create a settler; ``run`` begins with all unsettled periods of the fold.

        Args:
            partition: the number of the partition.
            context: dependencies that the partitions of this process share.
            fold: contains the budgets.
            output: sends the alerts.
            failures: writes dead letters for alerts that cannot be written.
            on_settled: called when the checkpoint has changed.
        """
        self._partition = partition
        self._context = context
        self._fold = fold
        self._output = output
        self._failures = failures
        self._on_settled = on_settled
        self._requested = asyncio.Event()
        self._requested.set()
        self._settled = asyncio.Event()

    def request(self) -> None:
        """Settle unsettled periods soon, for example after a budget has changed."""
        self._requested.set()

    async def wait_below_limit(self) -> None:
        """Wait while the number of unsettled periods is at its limit."""
        budgets = self._fold.budgets
        if not budgets.is_full:
            return
        metrics.LIMIT_REACHED.labels("budget_periods_max").inc()
        while budgets.is_full:
            self._settled.clear()
            self._requested.set()
            await self._settled.wait()

    async def run(self) -> None:
        """Settle periods on request, until cancelled.

        Raises:
            QueryRejected: the store refuses every query.
        """
        budgets = self._fold.budgets
        while True:
            await self._requested.wait()
            self._requested.clear()
            while not budgets.is_settled:
                await self._settle_some()
                self._on_settled()
                metrics.UNSETTLED.labels(self._partition).set(len(budgets.unsettled))
                self._settled.set()
                await asyncio.sleep(0 if budgets.is_settled else BASELINE_RETRY_S)
            self._settled.set()

    async def _settle_some(self) -> None:
        """Query the stored spend of some periods and send the resulting alerts.

        Budgets whose query the store refuses become dead letters.
        """
        budgets, spend = self._fold.budgets, self._fold.spend
        baselines = budgets.begin(spend, self._context.settings.baselines_max)
        stored = await self._context.reader.spent_pico(baselines)
        for baseline, stored_pico in zip(baselines, stored, strict=True):
            if isinstance(stored_pico, Exception):
                budgets.set_aside(baseline.budget, stored_pico)
                continue
            crossings = budgets.settle(baseline, stored_pico, spend.arrivals)
            if crossings is None:
                metrics.BASELINE_RETRIES.inc()
            self._failures.alerts(self._output.alert(crossings or ()))
