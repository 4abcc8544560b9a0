"""Look up the observations of scores in the store, for rules about their model or prompt."""

from __future__ import annotations

import asyncio
from typing import Final

from streams.alerting.store_reader import StoreReader
from streams.core.alerting.rules.scored_calls import Call, CallKey, CallQuery

_SQL: Final = """
SELECT trace_id, id,
    argMax(model, row_version) AS call_model,
    argMax(name, row_version) AS call_name,
    argMax(prompt_name, row_version) AS call_prompt,
    argMax(prompt_version, row_version) AS call_prompt_version
FROM observations_slim
WHERE project_id = {project:String} AND trace_id IN {traces:Array(String)}
    AND id IN {ids:Array(String)}
GROUP BY trace_id, id
HAVING argMax(is_deleted, row_version) = 0
"""


class CallReader(StoreReader):
    """A task that looks up what a partition's rules need; meanwhile, other rules are evaluated."""

    async def run(self) -> None:
        """Look up the observations of new scores, until cancelled."""
        while True:
            for evaluator, query in self._evaluation.calls_wanted(self._settings.score_calls_max):
                evaluator.calls_found(query, await self._read(query), self._now_us())
            await asyncio.sleep(self._settings.score_call_interval_s)

    async def _read(self, query: CallQuery) -> dict[CallKey, Call] | None:
        params = {
            "project": query.project_id,
            "traces": sorted({trace_id for trace_id, _ in query.calls}),
            "ids": sorted({observation_id for _, observation_id in query.calls}),
        }
        rows = await self._rows(_SQL, params, "scored_calls_unknown", project=query.project_id)
        if rows is None:
            return None
        return {
            (row["trace_id"], row["id"]): Call(
                row["call_model"],
                row["call_name"],
                row["call_prompt"],
                str(row["call_prompt_version"] or ""),
            )
            for row in rows
        }
