"""Query usage that has no price."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from query_api.store.sql import OF_PROJECT, Binder, StoreQuery

TRACE_MAX_US: Final = 7 * 86_400_000_000
"""Maximum time between the start of a trace and the range; older traces are not searched for
summaries."""


@dataclass(frozen=True, slots=True)
class FindUnpriced(StoreQuery):
    """Select models with usage without a price, those with the most observations first.

    An observation counts if it starts from ``from_us`` to ``to_us`` (exclusive), and all or a part
    of its usage has no price. Summaries do not count, because they only repeat the usage of their
    descendants. ``unpriced`` is the usage without a price by type, and ``units`` is its sum. The
    type ``total`` is included only if an observation has no other. ``below`` is the number of
    observations and the model at the end of the previous page.
    """

    name: ClassVar[str] = "find_unpriced"
    from_us: int = 0
    to_us: int = 0
    limit: int = 50
    below: tuple[int, str] | None = None

    def write(self, binder: Binder) -> str:
        page = ""
        if self.below is not None:
            count = binder.bind(self.below[0], "UInt64")
            page = (
                f"HAVING observations < {count}"
                f" OR (observations = {count} AND model > {binder.text(self.below[1])})\n"
            )
        return (
            "WITH mapFilter((k, v) -> v > 0 AND (k != 'total' OR length(usage) = 1)"
            " AND (cost_source = 'unpriced' OR has(unpriced_usage, k)), usage) AS missing\n"
            "SELECT model,\n"
            "  count() AS observations,\n"
            "  countIf(cost_source = 'unpriced') AS unpriced_observations,\n"
            "  sum(toInt128(arraySum(mapValues(missing)))) AS units,\n"
            "  sumMap(mapApply((k, v) -> (k, toInt128(v)), missing)) AS unpriced,\n"
            "  toUnixTimestamp64Micro(min(start_time)) AS first_us,\n"
            "  toUnixTimestamp64Micro(max(start_time)) AS last_us\n"
            f"FROM observations_slim FINAL\nWHERE {OF_PROJECT}\n"
            f"  AND start_time >= {binder.instant(self.from_us)}\n"
            f"  AND start_time < {binder.instant(self.to_us)}\n"
            "  AND (cost_source = 'unpriced' OR notEmpty(unpriced_usage))\n"
            f"  AND (trace_id, id) NOT IN (\n{self._summaries(binder)})\n"
            "GROUP BY model\n"
            f"{page}"
            "ORDER BY observations DESC, model\n"
            f"LIMIT {binder.bind(self.limit, 'UInt32')}"
        )

    def _summaries(self, binder: Binder) -> str:
        from_us = max(self.from_us - TRACE_MAX_US, 0)
        return (
            "    SELECT id, arrayJoin(mapKeys(mapFilter("
            "(k, v) -> arraySum(mapValues(v)) = 0, summaries)))\n"
            f"    FROM traces FINAL WHERE {OF_PROJECT}\n"
            f"      AND start_time >= {binder.instant(from_us)}"
            f" AND start_time < {binder.instant(self.to_us)} AND notEmpty(summaries)\n  "
        )
