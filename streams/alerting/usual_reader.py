"""Read the usual spend of budgets by hour of the week from the store, for their forecasts."""

from __future__ import annotations

import asyncio
from typing import Any

from clickhouse.spend_conditions import usual_spend_sql
from streams.alerting.store_reader import StoreReader
from streams.core.budgets.usual_spend import UsualQuery


class UsualReader(StoreReader):
    """A task that reads what a partition's budgets need; without a store, forecasts are linear."""

    async def run(self) -> None:
        """Read what is missing or older than a day, until cancelled."""
        while True:
            for usual, query in self._evaluation.usual_wanted(self._now_us()):
                usual.found(query, await self._read(query))
            await asyncio.sleep(self._settings.earlier_interval_s)

    async def _read(self, query: UsualQuery) -> dict[int, int] | None:
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
        rows = await self._rows(sql, params, "usual_spend_unknown", budget=query.budget_id)
        if rows is None:
            return None
        return {int(row["hour"]): int(row["spent_pico"]) for row in rows}
