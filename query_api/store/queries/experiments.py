"""Query the scores of the traces of experiments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from query_api.store.sql import OF_PROJECT, Binder, StoreQuery


@dataclass(frozen=True, slots=True)
class MeanScores(StoreQuery):
    """Select the mean of the numeric and boolean scores of traces, by trace and name."""

    name: ClassVar[str] = "mean_scores"
    trace_ids: tuple[str, ...] = ()

    def write(self, binder: Binder) -> str:
        return (
            "SELECT trace_id, name AS score_name, avg(assumeNotNull(value)) AS value\n"
            f"FROM scores FINAL\nWHERE {OF_PROJECT}"
            f"\n  AND trace_id IN {binder.texts(self.trace_ids)}"
            "\n  AND data_type IN ('NUMERIC', 'BOOLEAN') AND isNotNull(scores.value)\n"
            "GROUP BY trace_id, score_name"
        )
