"""Query the log of deliveries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from query_api.store.sql import OF_PROJECT, Binder, StoreQuery

_COLUMNS: Final = (
    "project_id, delivery_id, attempt, alert_ids, target_kind, target_id, event, status,"
    " status_code, latency_ms, answer, detail,"
    " toUnixTimestamp64Micro(created_time) AS created_us,"
    " toUnixTimestamp64Micro(attempted_time) AS attempted_us,"
    " toUnixTimestamp64Micro(next_attempt_time) AS next_attempt_us, row_version"
)


@dataclass(frozen=True, slots=True)
class FindDeliveries(StoreQuery):
    """Select the last attempt of each delivery, newest deliveries first.

    With ``below``, a ``(created_us, delivery_id)``, only older ones are selected.
    """

    name: ClassVar[str] = "find_deliveries"
    limit: int = 50
    below: tuple[int, str] | None = None
    target_id: str = ""
    alert_id: str = ""
    status: str = ""

    def write(self, binder: Binder) -> str:
        conditions = ""
        if self.target_id:
            conditions += f"\n  AND target_id = {binder.text(self.target_id)}"
        if self.alert_id:
            conditions += f"\n  AND has(alert_ids, {binder.text(self.alert_id)})"
        if self.below is not None:
            created = binder.instant(self.below[0])
            conditions += (
                f"\n  AND created_time <= {created}"
                f"\n  AND (created_time, delivery_id) < ({created}, {binder.text(self.below[1])})"
            )
        status = f"\nWHERE status = {binder.text(self.status)}" if self.status else ""
        return (
            f"SELECT {_COLUMNS}\nFROM (\n"
            f"SELECT * FROM delivery_log FINAL\nWHERE {OF_PROJECT}{conditions}\n"
            "ORDER BY delivery_id, attempt DESC LIMIT 1 BY delivery_id\n"
            f"){status}\n"
            "ORDER BY created_time DESC, delivery_id DESC\n"
            f"LIMIT {binder.bind(self.limit, 'UInt32')}"
        )


@dataclass(frozen=True, slots=True)
class FindAttempts(StoreQuery):
    """Select the attempts of one delivery, oldest first."""

    name: ClassVar[str] = "find_delivery_attempts"
    delivery_id: str = ""
    limit: int = 100

    def write(self, binder: Binder) -> str:
        return (
            f"SELECT {_COLUMNS}\nFROM delivery_log FINAL\nWHERE {OF_PROJECT}\n"
            f"  AND delivery_id = {binder.text(self.delivery_id)}\n"
            f"ORDER BY attempt\nLIMIT {binder.bind(self.limit, 'UInt32')}"
        )
