"""Find and count documents, in their current state or as of a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from query_api.store.sql import OF_PROJECT, Binder, StoreQuery

_COLUMNS: Final = (
    "project_id, kind, id, revision, is_deleted, parent, name, status, subject,"
    " created_us, updated_us, body"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentConditions:
    """Conditions on the columns that documents of every kind have; empty texts: any value."""

    kind: str
    id: str = ""
    parent: str = ""
    name: str = ""
    status: str = ""
    subject: str = ""
    as_of_us: int | None = None
    """The time whose state is read, of versioned kinds; None: now."""
    parents: tuple[str, ...] = ()
    below: tuple[int, str] | None = None
    """Creation (µs) and id of the last document of the previous page."""
    since_us: int | None = None
    until_us: int | None = None
    """Range of the creation; the end is not part of it."""


def _source(conditions: DocumentConditions, binder: Binder, unless: tuple[str, ...]) -> str:
    """Return ``FROM`` and ``WHERE`` of the documents that meet the conditions.

    ``unless`` are ids to leave out. They are part of the text, because parameters are part of the
    URL, whose length is limited; as hexadecimal digits, they cannot be read as anything else.
    """
    fixed = [OF_PROJECT, f"kind = {binder.text(conditions.kind)}"]
    if conditions.parent:  # a document never changes its parent
        fixed.append(f"parent = {binder.text(conditions.parent)}")
    if conditions.parents:
        fixed.append(f"parent IN {binder.texts(conditions.parents)}")
    fixed += _of_creation(conditions, binder)
    if conditions.id:
        fixed.append(f"id = {binder.text(conditions.id)}")
    if unless:
        literals = ", ".join(f"unhex('{each.encode().hex()}')" for each in unless)
        fixed.append(f"id NOT IN ({literals})")
    of_state = ["is_deleted = 0"]
    for column in ("name", "status", "subject"):
        value = getattr(conditions, column)
        if value:
            of_state.append(f"{column} = {binder.text(value)}")
    if conditions.as_of_us is None:
        return f"FROM documents FINAL WHERE {' AND '.join([*fixed, 'version = 0', *of_state])}"
    until = f"updated_us <= {binder.bind(conditions.as_of_us, 'Int64')}"
    return (
        f"FROM (SELECT * FROM documents FINAL WHERE {' AND '.join([*fixed, 'version > 0', until])}"
        f" ORDER BY version DESC LIMIT 1 BY id) WHERE {' AND '.join(of_state)}"
    )


def _of_creation(conditions: DocumentConditions, binder: Binder) -> list[str]:
    """Return the conditions on the time of creation."""
    found = []
    if conditions.below is not None:
        created_us, id_ = conditions.below
        last = f"({binder.bind(created_us, 'Int64')}, {binder.text(id_)})"
        found.append(f"(created_us, id) < {last}")
    for sign, at_us in ((">=", conditions.since_us), ("<", conditions.until_us)):
        if at_us is not None:
            found.append(f"created_us {sign} {binder.bind(at_us, 'Int64')}")
    return found


@dataclass(frozen=True, slots=True)
class FindDocuments(StoreQuery):
    """A page of documents, the newest first."""

    name: ClassVar = "documents"
    where: DocumentConditions
    offset: int
    limit: int
    unless: tuple[str, ...] = ()

    def write(self, binder: Binder) -> str:
        source = _source(self.where, binder, self.unless)
        limit, offset = binder.bind(self.limit, "UInt64"), binder.bind(self.offset, "UInt64")
        return (
            f"SELECT {_COLUMNS} {source} ORDER BY created_us DESC, id DESC"
            f" LIMIT {limit} OFFSET {offset}"
        )


@dataclass(frozen=True, slots=True)
class CountDocuments(StoreQuery):
    """The number of documents."""

    name: ClassVar = "document_count"
    where: DocumentConditions
    unless: tuple[str, ...] = ()

    def write(self, binder: Binder) -> str:
        return f"SELECT count() AS count {_source(self.where, binder, self.unless)}"


@dataclass(frozen=True, slots=True)
class CountByParent(StoreQuery):
    """The number of documents of each parent, and the creation of the newest."""

    name: ClassVar = "documents_by_parent"
    where: DocumentConditions
    unless: tuple[str, ...] = ()

    def write(self, binder: Binder) -> str:
        source = _source(self.where, binder, self.unless)
        return (
            f"SELECT parent, count() AS count, max(created_us) AS last_us {source} GROUP BY parent"
        )


@dataclass(frozen=True, slots=True)
class FindDocumentsById(StoreQuery):
    """The current state of documents, also of deleted ones."""

    name: ClassVar = "documents_by_id"
    threads_max: ClassVar = 1
    kind: str
    ids: tuple[str, ...]

    def write(self, binder: Binder) -> str:
        return (
            f"SELECT {_COLUMNS} FROM documents FINAL WHERE {OF_PROJECT}"
            f" AND kind = {binder.text(self.kind)} AND id IN {binder.texts(self.ids)}"
            " AND version = 0"
        )
