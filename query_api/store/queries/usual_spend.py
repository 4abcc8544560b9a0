"""Query the usual spend of a budget by hour of the week."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from clickhouse.spend_conditions import usual_spend_sql
from query_api.store.sql import Binder, StoreQuery


@dataclass(frozen=True, slots=True)
class ReadUsualSpend(StoreQuery):
    """Select ``spent_pico`` by ``hour`` of the week in UTC.

    ``scope`` has pairs of a dimension of spend and its required value.
    """

    name: ClassVar[str] = "read_usual_spend"
    from_s: int
    to_s: int
    scope: tuple[tuple[str, str], ...] = ()

    def write(self, binder: Binder) -> str:
        return usual_spend_sql(
            {name: binder.text(value) for name, value in self.scope},
            "{project_id:String}",
            binder.bind(self.from_s, "UInt32"),
            binder.bind(self.to_s, "UInt32"),
        )
