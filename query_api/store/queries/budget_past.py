"""Query the stored spend of a budget by quarter of an hour, for its groups with the most spend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from clickhouse.spend_conditions import has_value_sql
from query_api.store.sql import OF_PROJECT, Binder, StoreQuery

Scope = tuple[tuple[str, str], ...]
"""Pairs of a dimension and its required value."""


def _of_scope(scope: Scope, from_s: int, to_s: int, binder: Binder) -> str:
    of_scope = "".join(
        f"\n  AND {has_value_sql(name, binder.text(value))}" for name, value in scope
    )
    return (
        f"FROM spend FINAL\nWHERE {OF_PROJECT}"
        f"\n  AND bucket_start >= toDateTime({binder.bind(from_s, 'UInt32')}, 'UTC')"
        f"\n  AND bucket_start < toDateTime({binder.bind(to_s, 'UInt32')}, 'UTC'){of_scope}"
    )


@dataclass(frozen=True, slots=True)
class CountSpendGroups(StoreQuery):
    """Select ``groups``, the number of groups with spend."""

    name: ClassVar[str] = "count_spend_groups"
    from_s: int
    to_s: int
    scope: Scope = ()
    group_by: tuple[str, ...] = ()

    def write(self, binder: Binder) -> str:
        selected = _of_scope(self.scope, self.from_s, self.to_s, binder)
        counted = f"uniqExact({', '.join(self.group_by)})" if self.group_by else "least(count(), 1)"
        return f"SELECT {counted} AS groups\n{selected}\n  AND total_cost != 0"


@dataclass(frozen=True, slots=True)
class ReadBudgetSpend(StoreQuery):
    """Select spend by ``start_s`` and group, sorted by start.

    ``values`` has the values of ``group_by``. Only the ``groups_max`` groups with the most spend
    from ``ranked_from_s`` to ``ranked_to_s`` are selected. ``tier`` is the one of the traces if
    ``has_tier`` is set. If ``is_whole`` is set, spend is not divided by time, and starts at
    ``from_s``.
    """

    name: ClassVar[str] = "read_budget_spend"
    from_s: int
    to_s: int
    scope: Scope = ()
    group_by: tuple[str, ...] = ()
    ranked_from_s: int = 0
    ranked_to_s: int = 0
    groups_max: int = 1
    has_tier: bool = False
    is_whole: bool = False
    limit: int = 10_000

    def write(self, binder: Binder) -> str:
        names = ", ".join(self.group_by)
        start = str(int(self.from_s)) if self.is_whole else "toUnixTimestamp(bucket_start)"
        tier = "anyIf(user_tier, user_tier != '')" if self.has_tier else "''"
        by = ", ".join(filter(None, ("" if self.is_whole else "bucket_start", names)))
        return (
            f"SELECT {start} AS start_s,\n"
            f"  {f'[{names}]' if names else 'emptyArrayString()'} AS values,\n"
            "  toString(sum(total_cost)) AS cost_usd,\n"
            f"  {tier} AS tier\n"
            f"{_of_scope(self.scope, self.from_s, self.to_s, binder)}"
            f"{self._largest(names, binder)}"
            f"{f'{chr(10)}GROUP BY {by}' if by else ''}"
            "\nHAVING sum(total_cost) != 0"
            f"{f'{chr(10)}ORDER BY {by}' if by else ''}"
            f"\nLIMIT {binder.bind(self.limit, 'UInt32')}"
        )

    def _largest(self, names: str, binder: Binder) -> str:
        """Return the condition that a row belongs to a group with much spend."""
        if not names:
            return ""
        ranked = _of_scope(self.scope, self.ranked_from_s, self.ranked_to_s, binder)
        return (
            f"\n  AND ({names}) IN (\nSELECT {names}\n{ranked}\nGROUP BY {names}"
            f"\nORDER BY sum(total_cost) DESC, {names}"
            f"\nLIMIT {binder.bind(self.groups_max, 'UInt32')})"
        )
