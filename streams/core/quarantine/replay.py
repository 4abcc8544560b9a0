"""Build the record that replays a quarantined one.

Lines of ``events`` are sent unchanged, because an event replaces earlier copies of itself. Deltas
are applied once per source record. A replayed delta gets the number of a source record that does
not exist otherwise. So it is applied once, however often it is sent.
"""

from __future__ import annotations

from typing import Final

import msgspec

from streams.core.quarantine.quarantined import Entry, only_lines
from streams.core.rollups.deltas import Delta

PARTITIONS_MAX: Final = 1_024
"""Upper bound of ``KafkaSettings.event_partitions``."""

REPLAYED: Final = 2**61
"""First source number of replayed deltas."""

_decoder: Final = msgspec.json.Decoder(Delta)
_encode: Final = msgspec.json.Encoder().encode


def replay_source(partition: int, offset: int) -> int:
    """Return the source number of replayed ``deltas``, above that of every real partition.

    It depends on the source record, not on the offset in ``deltas``: after crashes, the same delta
    may be there twice.
    """
    return REPLAYED + offset * PARTITIONS_MAX + partition


def replayed_value(entry: Entry, value: bytes) -> bytes:
    """Return the record to append for the quarantined part of the source record ``value``.

    Raises:
        msgspec.DecodeError: a line is no delta.
    """
    if entry.kind == "events":
        return only_lines(value, entry.lines)
    every = value.split(b"\n")
    replayed = []
    for number in entry.lines or range(len(every)):
        if number < len(every) and every[number].strip():
            delta = _decoder.decode(every[number])
            if delta.partition < REPLAYED:  # otherwise it is a replayed delta
                delta.partition, delta.offset = replay_source(delta.partition, delta.offset), 0
            replayed.append(_encode(delta))
    return b"\n".join(replayed)
