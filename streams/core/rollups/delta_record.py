"""Decode a record of ``deltas`` into deltas and invalid lines."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

import msgspec

from clickhouse.rows import DeadLetterRow
from streams.core.dead_letters.set_aside import Source, dead_letter_of_error
from streams.core.dead_letters.texts import owner_of_delta
from streams.core.dimensions.keys import MORE_OF_SPEND
from streams.core.rollups.deltas import Delta, SpendDelta
from streams.core.rollups.fold import FailedDelta

STAGE: Final = "projects"

_decoder = msgspec.json.Decoder(Delta)
_UNPRICED: Final = SpendDelta.__struct_fields__.index("unpriced")


@dataclass(frozen=True, slots=True)
class FailedLine:
    """A line that cannot be decoded as a delta."""

    payload: bytes
    error: Exception


@dataclass(frozen=True, slots=True)
class DeltaRecord:
    """The deltas of a record, in order, and its invalid lines."""

    deltas: list[Delta]
    failed: list[FailedLine]


def decode_delta(line: bytes) -> Delta:
    """Decode a line, also of versions whose changes of spend have no ``unpriced``.

    With dimensions of the installation's own, ``more`` was in its place.

    Raises:
        msgspec.DecodeError: it is not a delta.
    """
    try:
        return _decoder.decode(line)
    except msgspec.ValidationError:
        fields = msgspec.json.decode(line)
        if not (MORE_OF_SPEND and _insert_unpriced(fields)):
            raise
    return _decoder.decode(msgspec.json.encode(fields))


def _insert_unpriced(fields: Any) -> bool:
    """Insert what the changes of spend of earlier versions lack; return whether any did."""
    changed = False
    match fields:
        case [_, _, _, _, [*changes], *_]:
            for change in changes:
                if len(change) == _UNPRICED + 1 and isinstance(change[_UNPRICED], dict):
                    change.insert(_UNPRICED, 0)
                    changed = True
    return changed


def read_deltas(value: bytes) -> DeltaRecord:
    """Decode a record; an invalid line does not affect the others."""
    try:
        return DeltaRecord(_decoder.decode_lines(value), [])
    except Exception:  # noqa: BLE001  # decoded line by line below
        record = DeltaRecord([], [])
    for line in value.split(b"\n"):
        if not line.strip():
            continue
        try:
            record.deltas.append(decode_delta(line))
        except Exception as error:  # noqa: BLE001  # the other lines are still decoded
            record.failed.append(FailedLine(line, error))
    return record


def dead_letter_of_line(failed: FailedLine, source: Source, row_bytes_max: int) -> DeadLetterRow:
    """Build the dead letter of an invalid line; it is the same for each replay of the line."""
    return dead_letter_of_error(
        stage=STAGE,
        identity=f"{source.topic}/{source.partition}/{sha256(failed.payload).hexdigest()}",
        error=failed.error,
        payload=failed.payload,
        project_id=owner_of_delta(failed.payload),
        source=source,
        row_bytes_max=row_bytes_max,
    )


def dead_letter_of_delta(failed: FailedDelta, source: Source, row_bytes_max: int) -> DeadLetterRow:
    """Build the dead letter of a failed delta; it is the same for each replay of the delta."""
    delta = failed.delta
    # Projects see the id. It must not reveal the position in a topic that all projects share.
    content = msgspec.json.encode(msgspec.structs.replace(delta, partition=0, offset=0))
    return dead_letter_of_error(
        stage=STAGE,
        identity=f"{source.topic}/delta/{sha256(content).hexdigest()}",
        error=failed.error,
        payload=msgspec.json.encode(delta),
        project_id=delta.project_id,
        source=source,
        row_bytes_max=row_bytes_max,
    )
