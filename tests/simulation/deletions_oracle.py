"""Compute which events count when traces are deleted, from the source records in their order."""

from __future__ import annotations

from tracemill.contract import Event, Score, TraceDeletion, decode_event

TraceKey = tuple[str, str]


class Counted:
    """The events that count, and the traces that are or were deleted."""

    def __init__(self, source: list[tuple[int, bytes]], memory_us: int) -> None:
        self.events: list[Event] = []
        self.records: list[tuple[int, bytes]] = []
        """The source records without the events that do not count."""
        self.deleted: dict[TraceKey, int] = {}
        self.dropped = 0
        lines: list[list[tuple[bytes, Event]]] = []
        for append_us, value in source:
            lines.append([])
            for line in value.split(b"\n"):
                event = decode_event(line)
                key = (event.project_id, event.trace_id)
                at_us = self.deleted.get(key)
                if at_us is not None and append_us - at_us <= memory_us:
                    self.dropped += 1
                elif isinstance(event, TraceDeletion):
                    self.deleted[key] = append_us
                    for of_record in lines:
                        of_record[:] = [each for each in of_record if not _is_of(each[1], key)]
                else:
                    lines[-1].append((line, event))
        self.events = [event for of_record in lines for _, event in of_record]
        self.records = [
            (append_us, b"\n".join(line for line, _ in of_record))
            for (append_us, _), of_record in zip(source, lines, strict=True)
            if of_record
        ]


def _is_of(event: Event, key: TraceKey) -> bool:
    return not isinstance(event, Score) and (event.project_id, event.trace_id) == key
