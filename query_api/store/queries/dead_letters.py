"""Query dead letters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from query_api.store.rows import DEAD_LETTER_WHOLE
from query_api.store.sql import OF_PROJECT, Binder, StoreQuery


@dataclass(frozen=True, slots=True)
class FindDeadLetters(StoreQuery):
    """Select dead letters, newest first.

    With ``below``, a ``(created_us, id)``, only older ones are selected; of equal times, those with
    a lower id.
    """

    name: ClassVar[str] = "find_dead_letters"
    limit: int = 50
    below: tuple[int, str] | None = None
    stage: str = ""
    reason: str = ""

    def write(self, binder: Binder) -> str:
        conditions = ""
        if self.stage:
            conditions += f"\n  AND stage = {binder.text(self.stage)}"
        if self.reason:
            conditions += f"\n  AND reason = {binder.text(self.reason)}"
        if self.below is not None:
            created = binder.instant(self.below[0])
            conditions += (
                f"\n  AND created_time <= {created}"
                f"\n  AND (created_time, id) < ({created}, {binder.text(self.below[1])})"
            )
        return (
            f"SELECT {', '.join(DEAD_LETTER_WHOLE)}\nFROM dead_letters FINAL\nWHERE {OF_PROJECT}"
            f"{conditions}\n"
            f"ORDER BY created_time DESC, id DESC\nLIMIT {binder.bind(self.limit, 'UInt32')}"
        )


@dataclass(frozen=True, slots=True)
class FindDeadLettersById(StoreQuery):
    """Select dead letters by their ids."""

    name: ClassVar[str] = "find_dead_letters_by_id"
    ids: tuple[str, ...] = ()

    def write(self, binder: Binder) -> str:
        return (
            f"SELECT {', '.join(DEAD_LETTER_WHOLE)}\nFROM dead_letters FINAL\nWHERE {OF_PROJECT}\n"
            f"  AND id IN {binder.texts(self.ids)}\nORDER BY created_time DESC"
        )


@dataclass(frozen=True, slots=True)
class CountDeadLetters(StoreQuery):
    """Count dead letters by stage and reason, the most frequent first."""

    name: ClassVar[str] = "count_dead_letters"
    limit: int = 100

    def write(self, binder: Binder) -> str:
        return (
            "SELECT stage, reason, count() AS count,"
            " toUnixTimestamp64Micro(max(created_time)) AS last_us\n"
            f"FROM dead_letters FINAL\nWHERE {OF_PROJECT}\nGROUP BY stage, reason\n"
            f"ORDER BY count DESC, stage, reason\nLIMIT {binder.bind(self.limit, 'UInt32')}"
        )
