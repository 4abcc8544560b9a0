"""Finds out what new budget periods of a partition have spent, and alerts what that crosses."""

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
    """Adds what the store has of a budget period to what the fold has seen of it."""

    def __init__(
        self,
        partition: int,
        context: StageContext,
        fold: ProjectFold,
        output: ProjectOutput,
        failures: ProjectFailures,
        on_settled: Callable[[], None],
    ) -> None:
        """Begin with all periods of which the fold does not know what they have spent.

        Args:
            partition: the number of the partition.
            context: what the partitions of this process share.
            fold: has the budgets.
            output: takes the alerts.
            failures: takes alerts that cannot be written.
            on_settled: is called when the checkpoint has changed.
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
        """Settle what is not settled, as after a change of the budgets."""
        self._requested.set()

    async def room(self) -> None:
        """Wait while as many budget periods as may be held are still to be evaluated."""
        budgets = self._fold.budgets
        if not budgets.is_full:
            return
        metrics.LIMIT_REACHED.labels("budget_periods_max").inc()
        while budgets.is_full:
            self._settled.clear()
            self._requested.set()
            await self._settled.wait()

    async def run(self) -> None:
        """Settle what is requested until cancelled.

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
        """1. Ask the store. 2. Set aside budgets that it refuses. 3. Alert what is crossed."""
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
