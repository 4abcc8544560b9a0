"""The control plane as a pure fold of its log.

A log key is ``kind/id/nonce``: every writer that creates a record takes a nonce of its own, so that two creations of the same id are two keys, and compaction
never replaces the first by the second. Which of them holds the id (and the record's other unique keys) is settled by birth: the offset at which a log key was
first written, which later versions of that key carry along. The earliest birth wins; a key that lost stays without effect until its writer takes it back.
Hence a compacted log and the full one fold to the same state.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from pydantic import ValidationError

from producers.control.records import (
    RECORD_OF_KIND,
    ApiKey,
    Budget,
    Change,
    Price,
    Project,
    Record,
    Tombstone,
    Webhook,
)

FORMAT_VERSION: Final = 1


class Envelope(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The JSON value of a log record."""

    version: int = FORMAT_VERSION
    kind: str
    born: int | None = None
    """Offset of the key's first version; none in that first version itself."""
    record: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """What the log holds under one key."""

    log_key: str
    born: int
    record: Record
    claims: tuple[str, ...]


@dataclass(slots=True)
class ControlView:
    """What is true now, by id. Read it, never write it."""

    projects: dict[str, Project] = field(default_factory=dict)
    api_keys: dict[str, ApiKey] = field(default_factory=dict)
    prices: dict[str, Price] = field(default_factory=dict)
    budgets: dict[str, Budget] = field(default_factory=dict)
    webhooks: dict[str, Webhook] = field(default_factory=dict)
    api_key_of_public_key: dict[str, ApiKey] = field(default_factory=dict)

    def records(self) -> list[Record]:
        return [
            *self.projects.values(),
            *self.api_keys.values(),
            *self.prices.values(),
            *self.budgets.values(),
            *self.webhooks.values(),
        ]


class ControlState:
    """Folds log records into a view."""

    def __init__(self) -> None:
        self.view = ControlView()
        self._entries: dict[str, Entry] = {}
        self._claimants: dict[str, set[str]] = {}
        self._holder: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def holder(self, claim: str) -> Entry | None:
        """The entry that holds ``claim``, if any does."""
        log_key = self._holder.get(claim)
        return None if log_key is None else self._entries[log_key]

    def log_keys(self, claim: str) -> list[str]:
        """All keys that claim it, the holder's and those that lost."""
        return sorted(self._claimants.get(claim, ()))

    def apply(self, log_key: str, value: bytes | None, offset: int) -> list[Change]:
        """Take one log record; return what changed in the view.

        Raises:
            ValueError: the value is not a record that this version can read; the state is as before.
        """
        entry = None if value is None else _entry_of(log_key, value, offset)
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
        """The common case: nobody else claims what this key claims."""
        if old is not None:
            for claim in old.claims:
                self._holder.pop(claim, None)
            self._remove(old.record)
        if new is not None:
            for claim in new.claims:
                self._holder[claim] = new.log_key
            self._insert(new.record)
            return [new.record]
        return [] if old is None else [Tombstone(kind=old.record.kind, id=old.record.id)]

    def _settle(self) -> list[Change]:
        """Decide all claims anew, earliest birth first."""
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
                self._remove(record)
            if key not in after:
                changes.append(Tombstone(kind=record.kind, id=record.id))
        for key, record in after.items():
            if before.get(key) is not record:
                self._insert(record)
                changes.append(record)
        return changes

    def _insert(self, record: Record) -> None:
        self._dict_of(record)[record.id] = record
        if isinstance(record, ApiKey):
            self.view.api_key_of_public_key[record.public_key] = record

    def _remove(self, record: Record) -> None:
        self._dict_of(record).pop(record.id, None)
        if isinstance(record, ApiKey):
            self.view.api_key_of_public_key.pop(record.public_key, None)

    def _dict_of(self, record: Record) -> dict[str, Any]:
        view = self.view
        dicts: dict[str, dict[str, Any]] = {
            "project": view.projects,
            "api_key": view.api_keys,
            "price": view.prices,
            "budget": view.budgets,
            "webhook": view.webhooks,
        }
        return dicts[record.kind]


def identity(record: Record | Tombstone) -> str:
    """The claim that a record has by being itself."""
    return f"{record.kind}/{record.id}"


def claims_of(record: Record) -> tuple[str, ...]:
    """Everything no other record may hold; the identity first."""
    return (identity(record), *(f"{record.kind}:{key}" for key in record.unique_keys()))


def value_of(record: Record, born: int | None) -> bytes:
    """A record as its log value."""
    return msgspec.json.encode(
        Envelope(kind=record.kind, born=born, record=record.model_dump(mode="json"))
    )


def _entry_of(log_key: str, value: bytes, offset: int) -> Entry:
    try:
        envelope = msgspec.json.decode(value, type=Envelope)
        record = RECORD_OF_KIND[envelope.kind].model_validate(envelope.record, strict=False)
    except KeyError as error:
        message = f"{log_key}: kind {error} is unknown to this version"
        raise ValueError(message) from error
    except (msgspec.DecodeError, ValidationError) as error:
        message = f"{log_key}: {type(error).__name__}"
        raise ValueError(message) from error
    born = offset if envelope.born is None else envelope.born
    return Entry(log_key=log_key, born=born, record=record, claims=claims_of(record))
