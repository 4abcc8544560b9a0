"""Encode and decode the checkpoint of a partition: a record on its partition of ``alert-states``.

The record has the key ``checkpoint`` and no value, so that the sink ignores it; its headers are the
content.
"""

from __future__ import annotations

from typing import Final

import msgspec
from aiokafka.structs import ConsumerRecord

from streams.core.alerting.source_order import Applied

KEY: Final = b"checkpoint"
INPUT_OFFSET: Final = "input_offset"
APPLIED: Final = "applied"
ROWS_US: Final = "rows_us"


class Checkpoint(msgspec.Struct, frozen=True):
    """The part of ``deltas`` that the written states contain."""

    input_offset: int = -1
    """Offset of the last record that the states contain."""
    applied: Applied = {}
    rows_us: int = 0
    """Append time up to which rows were evaluated; 0 if none were."""


def headers_of(checkpoint: Checkpoint) -> list[tuple[str, bytes]]:
    """Return the headers of a checkpoint's record."""
    return [
        (INPUT_OFFSET, str(checkpoint.input_offset).encode()),
        (APPLIED, msgspec.json.encode(checkpoint.applied)),
        (ROWS_US, str(checkpoint.rows_us).encode()),
    ]


def checkpoint_of(record: ConsumerRecord) -> Checkpoint:
    """Return the checkpoint of a record.

    Raises:
        msgspec.DecodeError, ValueError, KeyError: a header is missing or invalid.
    """
    headers = dict(record.headers)
    return Checkpoint(
        int(headers[INPUT_OFFSET]),
        msgspec.json.decode(headers[APPLIED], type=Applied),
        int(headers.get(ROWS_US, 0)),
    )
