"""Read the usual spend of budgets by hour of the week from the store, for their forecasts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import structlog

from clickhouse.errors import StoreError
from clickhouse.spend_conditions import usual_spend_sql
from clickhouse.store import Store
from streams.alerting import metrics
from streams.alerting.evaluation import Evaluation
from streams.alerting.settings import AlertingSettings
from streams.core.budgets.usual_spend import UsualQuery

log: Final = structlog.get_logger(__name__)


class UsualReader:
    """A task that reads what a partition's budgets need; without a store, forecasts are linear."""

    def __init__(
        self,
        store: Store | None,
        settings: AlertingSettings,
        evaluation: Evaluation,
        now_us: Callable[[], int],
    ) -> None:
        self._store = store
        self._settings = settings
        self._evaluation = evaluation
        self._now_us = now_us

    async def run(self) -> None:
        """Read what is missing or older than a day, until cancelled."""
        while True:
            for usual, query in self._evaluation.usual_wanted(self._now_us()):
                usual.found(query, await self._read(query))
            await asyncio.sleep(self._settings.earlier_interval_s)

    async def _read(self, query: UsualQuery) -> dict[int, int] | None:
        if self._store is None:
            return None
        params: dict[str, Any] = {
            "project": query.project_id,
            "start": query.from_s,
            "end": query.to_s,
        }
        names = {}
        for number, (name, value) in enumerate(query.scope.items()):
            params[f"scope_{number}"] = value
            names[name] = f"{{scope_{number}:String}}"
        sql = usual_spend_sql(names, "{project:String}", "{start:UInt32}", "{end:UInt32}")
        try:
            rows = await self._store.query(sql, params)
        except (StoreError, OSError, TimeoutError) as error:
            metrics.EARLIER_FAILURES.inc()
            log.warning("usual_spend_unknown", budget=query.budget_id, reason=repr(error))
            return None
        return {int(row["hour"]): int(row["spent_pico"]) for row in rows}
