"""Decode and encode the lines of the topic of unplaced events."""

from __future__ import annotations

from typing import Final

import msgspec

from producers.unplaced_events import UnplacedEvent, observation_ids
from streams.core.placement.waiting import WaitingEvent
from tracemill.contract import TraceDeletion, TraceUpdate, decode_event, encode_event

_decode: Final = msgspec.json.Decoder(UnplacedEvent).decode
_encode: Final = msgspec.json.Encoder().encode
_LOOKUPS_OF_OLD: Final = 16
"""Number of lookups that is assumed for an event that was written again, so that pauses stay
long."""


def events_of(value: bytes, offset: int, append_us: int) -> tuple[list[WaitingEvent], list[bytes]]:
    """Return the events of a record, and its invalid lines."""
    events: list[WaitingEvent] = []
    unreadable: list[bytes] = []
    for line in value.split(b"\n"):
        if not line.strip():
            continue
        try:
            events.append(_event_of(line, offset, append_us))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            unreadable.append(line)
    return events, unreadable


def _event_of(line: bytes, offset: int, append_us: int) -> WaitingEvent:
    unplaced = _decode(line)
    text = bytes(unplaced.event)
    event = decode_event(text)
    if isinstance(event, TraceUpdate | TraceDeletion):
        raise msgspec.ValidationError("updates and deletions of a trace name the trace")
    return WaitingEvent(
        event.project_id,
        observation_ids(event),
        event.trace_id or "",
        text,
        offset,
        unplaced.since_us or append_us,
        append_us,
        lookups=_LOOKUPS_OF_OLD if unplaced.since_us else 0,
    )


def placed_line(event: WaitingEvent, trace_id: str) -> bytes:
    """Return the line of an event on the events topic."""
    if trace_id == event.own_trace_id:
        return event.line
    decoded = decode_event(event.line)
    assert not isinstance(decoded, TraceUpdate | TraceDeletion)
    decoded.trace_id = trace_id
    return encode_event(decoded)


def waiting_line(event: WaitingEvent) -> bytes:
    """Return the line of an event that still waits, for a later record of its topic."""
    return _encode(UnplacedEvent(msgspec.Raw(event.line), event.since_us))
