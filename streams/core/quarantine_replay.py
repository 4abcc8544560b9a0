"""What is sent in again of a record that was set aside.

Lines of ``events`` go in as they are: what they say replaces itself, so repeats change nothing.
Deltas are changes, not values, and those of a source record apply once only: each is given a
source of its own, which no partition has, so that it applies once however often it is sent.
"""

from __future__ import annotations

from typing import Final

import msgspec

from streams.core.deltas import Delta
from streams.core.quarantined import Entry, only_lines

PARTITIONS_MAX: Final = 1_024
"""More than ``KafkaSettings.event_partitions`` may be."""

REPLAYED: Final = 2**61
"""Where the numbers of replayed sources begin."""

_decoder: Final = msgspec.json.Decoder(Delta)
_encode: Final = msgspec.json.Encoder().encode


def replay_source(partition: int, offset: int) -> int:
    """The number, above that of every real partition, that stands for one source record of ``deltas``.

    It follows from the source and not from the place in ``deltas``, where crashes leave copies.
    """
    return REPLAYED + offset * PARTITIONS_MAX + partition


def replayed_value(entry: Entry, value: bytes) -> bytes:
    """The record to append for what ``entry`` set aside of the source record ``value``.

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
            if delta.partition < REPLAYED:  # otherwise it is a replay itself
                delta.partition, delta.offset = replay_source(delta.partition, delta.offset), 0
            replayed.append(_encode(delta))
    return b"\n".join(replayed)
