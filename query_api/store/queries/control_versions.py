"""Query the versions of a control record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from query_api.store.sql import OF_PROJECT, Binder, StoreQuery


@dataclass(frozen=True, slots=True)
class FindVersions(StoreQuery):
    """Select the versions of a record as JSON with the time of their storage, newest first."""

    name: ClassVar[str] = "find_versions"
    kind: str
    record_id: str
    limit: int = 100

    def write(self, binder: Binder) -> str:
        return (
            "SELECT record, toUnixTimestamp64Micro(appended_time) AS appended_us\n"
            "FROM (\n"
            "  SELECT *, JSONExtractString(record, 'record', 'project_id') AS project_id\n"
            "  FROM control_log FINAL\n"
            f"  WHERE kind = {binder.text(self.kind)} AND id = {binder.text(self.record_id)}\n"
            "    AND is_tombstone = 0\n"
            f")\nWHERE {OF_PROJECT}\n"
            "ORDER BY appended_time DESC, log_offset DESC\n"
            f"LIMIT {binder.bind(self.limit, 'UInt32')}"
        )
