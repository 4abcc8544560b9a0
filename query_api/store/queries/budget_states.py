"""Query the states of a budget's groups, which the alerting stage writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

import msgspec

from query_api.store.sql import OF_PROJECT, Binder, StoreQuery


class GroupState(msgspec.Struct, kw_only=True):
    """The state of a group in one period."""

    group: str
    """JSON object."""
    tier: str
    spent: str
    """Decimal string of dollars."""
    limit_usd: str
    crossed: list[str]
    incomplete: int
    updated_us: int


class StateTotals(msgspec.Struct, kw_only=True):
    """All groups of a limit in one period."""

    groups: int
    spent: str
    incomplete: int
    updated_us: int


_COLUMNS: Final = (
    "`group`, tier, toString(spent) AS spent, toString(limit_usd) AS limit_usd, crossed,"
    " incomplete, toUnixTimestamp64Micro(updated_time) AS updated_us"
)


@dataclass(frozen=True, slots=True)
class FindGroups(StoreQuery):
    """Select ``GroupState`` rows, those with the largest share of their limit first.

    With ``group``, only its row.
    """

    name: ClassVar[str] = "find_budget_groups"
    budget_id: str
    limit_name: str
    period_start_us: int
    limit: int = 10
    group: str | None = None

    def write(self, binder: Binder) -> str:
        of_limit = _of_limit(self, binder)
        if self.group is not None:
            of_limit += f"\n  AND `group` = {binder.text(self.group)}"
        return (
            f"SELECT {_COLUMNS}\nFROM budget_states FINAL\nWHERE {of_limit}\n"
            "ORDER BY if(budget_states.limit_usd > 0, toFloat64(budget_states.spent)"
            " / toFloat64(budget_states.limit_usd), 0) DESC, budget_states.spent DESC, `group`\n"
            f"LIMIT {binder.bind(self.limit, 'UInt32')}"
        )


@dataclass(frozen=True, slots=True)
class CountGroups(StoreQuery):
    """Select the ``StateTotals`` of a limit."""

    name: ClassVar[str] = "count_budget_groups"
    budget_id: str
    limit_name: str
    period_start_us: int

    def write(self, binder: Binder) -> str:
        return (
            "SELECT count() AS groups, toString(sum(budget_states.spent)) AS spent,"
            " max(incomplete) AS incomplete,"
            " toUnixTimestamp64Micro(max(updated_time)) AS updated_us\n"
            f"FROM budget_states FINAL\nWHERE {_of_limit(self, binder)}"
        )


def _of_limit(query: FindGroups | CountGroups, binder: Binder) -> str:
    return (
        f"{OF_PROJECT}\n  AND budget_id = {binder.text(query.budget_id)}"
        f"\n  AND limit_name = {binder.text(query.limit_name)}"
        f"\n  AND period_start_time = {binder.instant(query.period_start_us)}"
        "\n  AND `group` != ''"
    )
