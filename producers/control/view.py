"""The current records of the control plane, indexed by id, project and unique key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, TypeVar, cast

from producers.control.record import ControlRecord

RecordT = TypeVar("RecordT", bound=ControlRecord)

_NONE: Final[Mapping[str, ControlRecord]] = MappingProxyType({})


def unique_claim(kind: str, key: str) -> str:
    """Return the index key for a unique key of a record."""
    return f"{kind}:{key}"


class ControlView:
    """The current records. Only ``ControlState`` adds and removes them."""

    def __init__(self) -> None:
        self._of_kind: dict[str, dict[str, ControlRecord]] = {}
        self._of_project: dict[tuple[str, str | None], dict[str, ControlRecord]] = {}
        self._of_unique_key: dict[str, ControlRecord] = {}

    def __getitem__(self, record: type[RecordT]) -> Mapping[str, RecordT]:
        """Return the records of a kind by id."""
        return cast("Mapping[str, RecordT]", self._of_kind.get(record.kind, _NONE))

    def in_project(self, record: type[RecordT], project_id: str | None) -> Mapping[str, RecordT]:
        """Return the records of a kind in a project (None: in the installation) by id."""
        found = self._of_project.get((record.kind, project_id), _NONE)
        return cast("Mapping[str, RecordT]", found)

    def by_unique_key(self, record: type[RecordT], key: str) -> RecordT | None:
        """Return the record of a kind with a unique key; None if there is none."""
        return cast("RecordT | None", self._of_unique_key.get(unique_claim(record.kind, key)))

    def records(self) -> list[ControlRecord]:
        """Return all records."""
        return list(self._all())

    def _all(self) -> Iterator[ControlRecord]:
        for records in self._of_kind.values():
            yield from records.values()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ControlView):
            return NotImplemented
        return (
            self._of_kind == other._of_kind
            and self._of_project == other._of_project
            and self._of_unique_key == other._of_unique_key
        )

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"ControlView({self.records()!r})"

    def add(self, record: ControlRecord) -> None:
        """Add a record, or replace the one with the same id."""
        self.remove(record.kind, record.id)
        self._of_kind.setdefault(record.kind, {})[record.id] = record
        self._of_project.setdefault((record.kind, record.owner), {})[record.id] = record
        for key in record.unique_keys():
            self._of_unique_key[unique_claim(record.kind, key)] = record

    def remove(self, kind: str, record_id: str) -> bool:
        """Remove a record; return whether there was one."""
        records = self._of_kind.get(kind, {})
        record = records.pop(record_id, None)
        if record is None:
            return False
        if not records:
            del self._of_kind[kind]
        key_of_project = (kind, record.owner)
        in_project = self._of_project[key_of_project]
        del in_project[record_id]
        if not in_project:
            del self._of_project[key_of_project]
        for key in record.unique_keys():
            claim = unique_claim(kind, key)
            if self._of_unique_key.get(claim) is record:
                del self._of_unique_key[claim]
        return True
