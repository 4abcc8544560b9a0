"""Build the record that replays a quarantined one.

Lines of ``events`` are sent unchanged, because an event replaces earlier copies of itself. Deltas
are applied once per source record (partition and offset). A replayed delta gets a source partition
that no other delta has, so it is applied once, however often it is sent.
"""

from __future__ import annotations

from typing import Final

import msgspec

from streams.core.quarantine.quarantined import Entry, only_lines
from streams.core.rollups.delta_record import decode_delta

PARTITIONS_MAX: Final = 1_024
"""Upper bound of ``KafkaSettings.event_partitions``."""

REPLAYED: Final = 2**61
"""Lowest source partition of replayed deltas."""

_encode: Final = msgspec.json.Encoder().encode


def replay_source(partition: int, offset: int) -> int:
    """Return the source partition of a replayed delta, which is above those of the topic.

    It depends on the source record, not on the offset in ``deltas``, because after a crash the
    topic may contain the same delta twice.
    """
    return REPLAYED + offset * PARTITIONS_MAX + partition


def replayed_value(entry: Entry, value: bytes) -> bytes:
    """Return the record to append for the quarantined part of the source record ``value``.

    Raises:
        msgspec.DecodeError: a line is not a delta.
    """
    if entry.kind == "events":
        return only_lines(value, entry.lines)
    every = value.split(b"\n")
    replayed = []
    for number in entry.lines or range(len(every)):
        if number < len(every) and every[number].strip():
            delta = decode_delta(every[number])
            if delta.partition < REPLAYED:  # otherwise it is a replayed delta
                delta.partition, delta.offset = replay_source(delta.partition, delta.offset), 0
            replayed.append(_encode(delta))
    return b"\n".join(replayed)
