"""Converts control records to rows of the table ``control_log``, with their secrets encrypted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from aiokafka.structs import ConsumerRecord

from clickhouse.rows import ControlLogRow
from producers.control.records import RECORD_OF_KIND
from producers.control.secret_box import SecretBox
from producers.control.state import Envelope

REDACTED: Final = "redacted"
REDACTED_FIELDS: Final[Mapping[str, frozenset[str]]] = {"webhook": frozenset({"secret"})}
"""Fields by kind that hold a secret in clear. An API key's salted hash is none."""


def control_row(record: ConsumerRecord, secrets: SecretBox | None) -> bytes:
    """Convert one log record (its key is ``kind/id/nonce``) to a row, as a line.

    ``secrets`` encrypts secret fields, so that the log can be restored from the table; without it
    they are left out. Only fields that this version knows are kept, as others may be secret. Of a
    record that it cannot read, the key and the time are kept.
    """
    log_key = (record.key or b"").decode("utf-8", "replace")
    kind, _, rest = log_key.partition("/")
    return msgspec.json.encode(
        ControlLogRow(
            log_offset=record.offset,
            log_key=log_key,
            kind=kind,
            id=rest.rpartition("/")[0] or rest,
            is_tombstone=int(record.value is None),
            record=_without_secrets(record.value or b"", secrets),
            appended_us=record.timestamp * 1000,
        )
    )


def _without_secrets(value: bytes, secrets: SecretBox | None) -> str:
    try:
        envelope = msgspec.json.decode(value, type=Envelope)
        known = RECORD_OF_KIND[envelope.kind].model_fields
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError):
        return ""
    redacted = REDACTED_FIELDS.get(envelope.kind, frozenset())
    kept: dict[str, Any] = {
        name: _hidden(content, secrets) if name in redacted else content
        for name, content in envelope.record.items()
        if name in known
    }
    return msgspec.json.encode(msgspec.structs.replace(envelope, record=kept)).decode()


def _hidden(content: Any, secrets: SecretBox | None) -> str:
    return REDACTED if secrets is None else secrets.encrypt(str(content))
