"""Fold the control-plane log to its current records, without I/O.

A log key is ``kind/id/nonce``. Each creation has its own nonce, so two creations of the same id
have different keys, and compaction keeps both. Later versions of a key repeat the offset of its
first version (``born``). If several keys claim the same id or unique key, the one with the lowest
``born`` holds it. The others have no effect, and their writers delete them. Therefore a compacted
log folds to the same state as the full log.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from pydantic import ValidationError

from producers.control.record import Change, ControlRecord, Tombstone
from producers.control.registry import KINDS, ControlKinds
from producers.control.view import ControlView, unique_claim

FORMAT_VERSION: Final = 1


class Envelope(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The JSON value of a log record."""

    version: int = FORMAT_VERSION
    kind: str
    born: int | None = None
    """Offset of the first version of the log key; None in this first version."""
    record: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """The latest version of a log key."""

    log_key: str
    born: int
    version: int
    """Offset of this version."""
    record: ControlRecord
    claims: tuple[str, ...]


class ControlState:
    """Fold log records into a view."""

    def __init__(
        self,
        kinds: ControlKinds = KINDS,
        only: Collection[type[ControlRecord]] | None = None,
        *,
        outlines: bool = False,
    ) -> None:
        """Fold records of ``kinds``, and keep those of the kinds ``only``; None: all.

        With ``outlines``, only ``ControlRecord.outline`` of each record is kept.
        """
        self.view = ControlView()
        self._outlines = outlines
        self._kinds = kinds
        kept = None if only is None else {record.kind for record in only}
        self._ignored = frozenset() if kept is None else frozenset(kinds.keys() - kept)
        self._entries: dict[str, Entry] = {}
        self._claimants: dict[str, set[str]] = {}
        self._holder: dict[str, str] = {}

    def keeps(self, kind: str) -> bool:
        """Return whether records of a kind are kept, with all their fields."""
        if kind not in self._kinds or kind in self._ignored:
            return False
        return not self._outlines or self._kinds[kind].outline is ControlRecord.outline

    def __len__(self) -> int:
        return len(self._entries)

    def holder(self, claim: str) -> Entry | None:
        """Return the entry that holds ``claim``; None if there is none."""
        log_key = self._holder.get(claim)
        return None if log_key is None else self._entries[log_key]

    def log_keys(self, claim: str) -> list[str]:
        """Return all log keys that claim ``claim``, including those that do not hold it."""
        return sorted(self._claimants.get(claim, ()))

    def apply(self, log_key: str, value: bytes | None, offset: int) -> list[Change]:
        """Apply a log record, and return the changes of the view.

        Raises:
            ValueError: this version cannot read the record; the state is unchanged.
        """
        kind = log_key.partition("/")[0]
        if kind in self._ignored:
            return []
        entry = None if value is None else self._entry_of(log_key, value, offset)
        old = self._entries.pop(log_key, None)
        touched = set(old.claims if old else ()) | set(entry.claims if entry else ())
        contested = any(len(self._claimants.get(claim, ())) > 1 for claim in touched)
        if old is not None:
            for claim in old.claims:
                self._claimants[claim].discard(log_key)
                if not self._claimants[claim]:
                    del self._claimants[claim]
        if entry is not None:
            self._entries[log_key] = entry
            for claim in entry.claims:
                claimants = self._claimants.setdefault(claim, set())
                claimants.add(log_key)
                contested = contested or len(claimants) > 1
        if contested:
            return self._settle()
        return self._replace(old, entry)

    def _replace(self, old: Entry | None, new: Entry | None) -> list[Change]:
        """Replace an entry in the common case that no other key has its claims."""
        if old is not None:
            for claim in old.claims:
                self._holder.pop(claim, None)
            self.view.remove(old.record.kind, old.record.id)
        if new is not None:
            for claim in new.claims:
                self._holder[claim] = new.log_key
            self.view.add(new.record)
            return [new.record]
        return [] if old is None else [Tombstone(kind=old.record.kind, id=old.record.id)]

    def _settle(self) -> list[Change]:
        """Reassign all claims, lowest ``born`` first."""
        before = {identity(record): record for record in self.view.records()}
        self._holder.clear()
        for entry in sorted(self._entries.values(), key=lambda entry: (entry.born, entry.log_key)):
            if not any(claim in self._holder for claim in entry.claims):
                self._holder.update(dict.fromkeys(entry.claims, entry.log_key))
        after = {
            identity(entry.record): entry.record
            for entry in self._entries.values()
            if self._holder.get(entry.claims[0]) == entry.log_key
        }
        changes: list[Change] = []
        for key, record in before.items():
            if after.get(key) is not record:
                self.view.remove(record.kind, record.id)
            if key not in after:
                changes.append(Tombstone(kind=record.kind, id=record.id))
        for key, record in after.items():
            if before.get(key) is not record:
                self.view.add(record)
                changes.append(record)
        return changes

    def _entry_of(self, log_key: str, value: bytes, offset: int) -> Entry:
        try:
            envelope = msgspec.json.decode(value, type=Envelope)
            record = self._kinds[envelope.kind].model_validate(envelope.record, strict=False)
        except KeyError as error:
            message = f"{log_key}: this version does not support records of kind {error}"
            raise ValueError(message) from error
        except (msgspec.DecodeError, ValidationError) as error:
            message = f"{log_key}: {type(error).__name__}"
            raise ValueError(message) from error
        if self._outlines:
            record = record.outline()
        born = offset if envelope.born is None else envelope.born
        return Entry(
            log_key=log_key, born=born, version=offset, record=record, claims=claims_of(record)
        )


def identity(record: ControlRecord | Tombstone) -> str:
    """Return the claim to a record's id."""
    return f"{record.kind}/{record.id}"


def claims_of(record: ControlRecord) -> tuple[str, ...]:
    """Return the claims of a record: to its id first, then to its unique keys."""
    return (
        identity(record),
        *(unique_claim(record.kind, key) for key in record.unique_keys()),
    )


def value_of(record: ControlRecord, born: int | None) -> bytes:
    """Encode a record as a log value."""
    return msgspec.json.encode(
        Envelope(kind=record.kind, born=born, record=record.model_dump(mode="json"))
    )
