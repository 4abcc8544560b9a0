"""Query the spend of a budget's scope in a period, as a sum and by steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from clickhouse.spend_conditions import has_value_sql
from query_api.store.sql import OF_PROJECT, Binder, StoreQuery


@dataclass(frozen=True, slots=True)
class SumSpend(StoreQuery):
    """Select ``spent``, the exact sum of spend as a decimal string, and the calls without a price.

    ``scope`` has pairs of a dimension of spend and its required value; an array must contain it.
    ``group`` has pairs of a dimension and its whole value.
    """

    name: ClassVar[str] = "sum_spend"
    from_s: int
    to_s: int
    scope: tuple[tuple[str, str], ...] = ()
    group: tuple[tuple[str, str], ...] = ()

    def write(self, binder: Binder) -> str:
        conditions = [has_value_sql(name, binder.text(value)) for name, value in self.scope]
        conditions += [f"{name} = {binder.text(value)}" for name, value in self.group]
        return (
            "SELECT toString(sum(total_cost)) AS spent,\n"
            "  toInt64(sum(unpriced_count)) AS unpriced\n"
            f"FROM spend FINAL\nWHERE {OF_PROJECT}"
            f"\n  AND bucket_start >= toDateTime({binder.bind(self.from_s, 'Int64')}, 'UTC')"
            f"\n  AND bucket_start < toDateTime({binder.bind(self.to_s, 'Int64')}, 'UTC')"
            f"{''.join(f'{chr(10)}  AND {each}' for each in conditions)}"
        )


@dataclass(frozen=True, slots=True)
class UnpricedByGroup(StoreQuery):
    """Select ``group``, the values of ``dimensions``, and ``unpriced``, its calls without a price.

    ``scope`` is that of ``SumSpend``. Groups without such calls are left out; the ``limit`` groups
    with most of them are selected.
    """

    name: ClassVar[str] = "unpriced_by_group"
    from_s: int
    to_s: int
    dimensions: tuple[str, ...] = ("user_id",)
    scope: tuple[tuple[str, str], ...] = ()
    limit: int = 1_000

    def write(self, binder: Binder) -> str:
        conditions = [has_value_sql(name, binder.text(value)) for name, value in self.scope]
        dimensions = ", ".join(self.dimensions)
        return (
            f"SELECT [{dimensions}] AS group, toInt64(sum(unpriced_count)) AS unpriced\n"
            f"FROM spend FINAL\nWHERE {OF_PROJECT}"
            f"\n  AND bucket_start >= toDateTime({binder.bind(self.from_s, 'Int64')}, 'UTC')"
            f"\n  AND bucket_start < toDateTime({binder.bind(self.to_s, 'Int64')}, 'UTC')"
            f"{''.join(f'{chr(10)}  AND {each}' for each in conditions)}\n"
            f"GROUP BY {dimensions}\nHAVING unpriced > 0\nORDER BY unpriced DESC, {dimensions}\n"
            f"LIMIT {binder.bind(self.limit, 'UInt32')}"
        )


@dataclass(frozen=True, slots=True)
class SpendOverPeriod(StoreQuery):
    """Select ``step``, its number from 0, and ``spent``, its exact sum as a decimal string.

    Steps begin at ``from_s`` and are ``step_s`` seconds long. ``scope`` has pairs of a dimension of
    spend and a value that it has; ``group`` has pairs of a dimension and its whole value.
    """

    name: ClassVar[str] = "spend_over_period"
    from_s: int
    to_s: int
    step_s: int
    scope: tuple[tuple[str, str], ...] = ()
    group: tuple[tuple[str, str], ...] = ()

    def write(self, binder: Binder) -> str:
        from_s = binder.bind(self.from_s, "Int64")
        step_s = binder.bind(self.step_s, "Int64")
        conditions = [has_value_sql(name, binder.text(value)) for name, value in self.scope]
        conditions += [f"{name} = {binder.text(value)}" for name, value in self.group]
        return (
            f"SELECT intDiv(toInt64(toUnixTimestamp(bucket_start)) - {from_s}, {step_s}) AS step,\n"
            "  toString(sum(total_cost)) AS spent\n"
            f"FROM spend FINAL\nWHERE {OF_PROJECT}"
            f"\n  AND bucket_start >= toDateTime({from_s}, 'UTC')"
            f"\n  AND bucket_start < toDateTime({binder.bind(self.to_s, 'Int64')}, 'UTC')"
            f"{''.join(f'{chr(10)}  AND {each}' for each in conditions)}\n"
            "GROUP BY step\nORDER BY step"
        )
