"""Restore control records from the store's table ``control_log``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import msgspec
from pydantic import ValidationError

from clickhouse.store import Store
from producers.control.fields import secret_fields
from producers.control.record import ControlRecord
from producers.control.registry import KINDS, ControlKinds
from producers.control.secret_box import SecretBox
from producers.control.state import ControlState, Envelope, value_of

# Sorted by time first, because the offsets start at 0 again when the broker is replaced.
_SQL: Final = """
SELECT log_key, is_tombstone, record
FROM control_log FINAL
ORDER BY appended_time, log_offset
"""


class ControlLogEntry(msgspec.Struct, frozen=True):
    """A version of a record, or its deletion."""

    log_key: str
    is_tombstone: int
    record: str


@dataclass(slots=True)
class RestoredControl:
    """The restored records, and those that changed or could not be restored."""

    records: list[ControlRecord] = field(default_factory=list)
    """Records in order of creation: of several with the same unique key, the first is valid."""
    new_secrets: list[str] = field(default_factory=list)
    """Identities of records with a new secret, because the old one could not be decrypted."""
    unreadable: list[str] = field(default_factory=list)
    """Log keys of records that cannot be decoded, or whose secret can be neither decrypted nor
    replaced."""


_entries: Final = msgspec.json.Decoder(ControlLogEntry, strict=False)


async def read_control_log(store: Store) -> list[ControlLogEntry]:
    """Return all versions of all records.

    Raises:
        StoreUnavailable, QueryRejected: the table could not be read.
    """
    return list(_entries.decode_lines(await store.query_bytes(_SQL)))


def restore_control(
    entries: Iterable[ControlLogEntry], box: SecretBox | None, kinds: ControlKinds = KINDS
) -> RestoredControl:
    """Return the current records, with their secrets decrypted."""
    restored = RestoredControl()
    latest: dict[str, str] = {}
    for entry in entries:
        if entry.is_tombstone:
            latest.pop(entry.log_key, None)
        else:  # a later version keeps the position of the first one, for the order of creation
            latest[entry.log_key] = entry.record
    state = ControlState(kinds)
    for offset, (log_key, text) in enumerate(latest.items()):
        record, is_new_secret = _restored_record(text, box, kinds)
        if record is None:
            restored.unreadable.append(log_key)
            continue
        state.apply(log_key, value_of(record, None), offset)
        if is_new_secret:
            restored.new_secrets.append(f"{record.kind} {record.id}")
    holders = [state.holder(f"{record.kind}/{record.id}") for record in state.view.records()]
    present = [entry for entry in holders if entry is not None]
    restored.records = [entry.record for entry in sorted(present, key=lambda entry: entry.born)]
    return restored


def _restored_record(
    text: str, box: SecretBox | None, kinds: ControlKinds
) -> tuple[ControlRecord | None, bool]:
    """Return the record, and whether it has a new secret.

    The record is None if it is to be listed in ``RestoredControl.unreadable``.
    """
    is_new_secret = False
    try:
        envelope = msgspec.json.decode(text, type=Envelope)
        fields = dict(envelope.record)
        kind = kinds[envelope.kind]
        for name, marker in secret_fields(kind).items():
            if name not in fields:
                continue
            secret = box.decrypt_value(str(fields[name])) if box is not None else None
            if secret is None:
                if marker.new is None:
                    return None, False
                secret, is_new_secret = marker.new(), True
            fields[name] = secret
        return kind.model_validate(fields, strict=False), is_new_secret
    except (msgspec.DecodeError, ValidationError, KeyError):
        return None, False
