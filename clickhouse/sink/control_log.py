"""Convert control records to rows of the table ``control_log``, with their secrets encrypted."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from aiokafka.structs import ConsumerRecord

from clickhouse.rows import ControlLogRow
from producers.control.fields import secret_fields
from producers.control.registry import KINDS, ControlKinds
from producers.control.secret_box import SecretBox
from producers.control.state import Envelope

REDACTED: Final = "redacted"


def control_row(
    record: ConsumerRecord, secrets: SecretBox | None, kinds: ControlKinds = KINDS
) -> bytes:
    """Convert a log record, whose key is ``kind/id/nonce``, to a row as a line of JSON.

    ``secrets`` encrypts secret fields (``producers.control.fields``), so that the log can be
    restored from the table. Without it, they are redacted. Fields that this version does not define
    are dropped, because they may be secret. Of a record that is of an unknown kind or cannot be
    decoded, only the key and the time are kept.
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
            record=_without_secrets(record.value or b"", secrets, kinds),
            appended_us=record.timestamp * 1000,
        )
    )


def project_of_control_row(line: bytes) -> bytes:
    """Return the project of the record in a row; empty if it belongs to the installation."""
    try:
        row = msgspec.json.decode(line, type=ControlLogRow)
        project_id = msgspec.json.decode(row.record, type=Envelope).record.get("project_id")
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return b""
    return project_id.encode() if isinstance(project_id, str) else b""


def _without_secrets(value: bytes, secrets: SecretBox | None, kinds: ControlKinds) -> str:
    try:
        envelope = msgspec.json.decode(value, type=Envelope)
        kind = kinds[envelope.kind]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError):
        return ""
    secret = secret_fields(kind)
    kept: dict[str, Any] = {
        name: _encrypted_or_redacted(content, secrets) if name in secret else content
        for name, content in envelope.record.items()
        if name in kind.model_fields
    }
    return msgspec.json.encode(msgspec.structs.replace(envelope, record=kept)).decode()


def _encrypted_or_redacted(content: Any, secrets: SecretBox | None) -> str:
    return REDACTED if secrets is None else secrets.encrypt_value(content)
