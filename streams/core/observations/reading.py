"""Decode source records into events, and reject lines that are no valid events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from clickhouse.rows import DeadLetterRow
from streams.core.dead_letters.ids import InputIds
from streams.core.dead_letters.texts import (
    bounded_payload,
    describe_error,
    owner_of_event,
    printable,
)
from streams.core.observations.bounding import Bounds
from streams.core.observations.failures import PROCESSING_FAILED
from streams.core.observations.first_token import first_token_within
from streams.core.observations.limits import DEFAULT_ROW_LIMITS, RowLimits
from streams.core.observations.lines import (
    LINES,
    Line,
    LongIdentityError,
    ObservationLine,
    line_of,
    validate_texts,
)
from tracemill.contract import COST_MAX_PICO, Score, TraceDeletion, is_within_cost_max

PAST_MAX_US: Final = 10 * 366 * 86_400_000_000
"""Events that are older on receipt are rejected, because the client's unit or clock is wrong."""
FUTURE_MAX_US: Final = 86_400_000_000
"""Events that are further in the future on receipt are rejected for the same reason."""
_TIMES_ALLOWED: Final = (
    f"allowed are {PAST_MAX_US // FUTURE_MAX_US} days before receipt to one day after it"
)
PAYLOAD_BYTES_MAX: Final = 12 * 2**20
"""Maximum size of a dead letter's payload as JSON: above that of an event, below a record's."""
DETAIL_CHARS_MAX: Final = 2_000
"""Longest detail of a rejected line; it may quote the line."""

STAGE: Final = "observations"
UNREADABLE: Final = frozenset({"not_utf8", "not_json", "not_an_event"})
"""Reasons that mean that another program writes to the topic. Other reasons concern one event."""


FULL_TRACE: Final = "trace_full"


class SourceRecord(msgspec.Struct, frozen=True, gc=False):
    """A record of the events topic; ``append_us`` is the time when the broker received it."""

    offset: int
    append_us: int
    value: bytes


class Rejection(msgspec.Struct, frozen=True, gc=False):
    """A line, or an event, that becomes a dead letter."""

    line_number: int
    """Index among the record's lines; for failed events and full traces, among its events."""
    reason: str
    detail: str
    payload: bytes


class ReadRecord(msgspec.Struct, frozen=True):
    """The events of a source record, and its rejected lines."""

    offset: int
    append_us: int
    lines: list[Line]
    rejections: list[Rejection]
    reached: Mapping[str, int] = {}
    """Number of fields cut to each limit, by the limit's name."""
    dropped: Sequence[str] = ()
    """Names of the fields that others contradict, so statistics omit them; one per occurrence."""


def deletions_in(records: Iterable[ReadRecord]) -> int:
    """Return the number of deletions of traces."""
    return sum(isinstance(line, TraceDeletion) for each in records for line in each.lines)


def full_traces(record: ReadRecord, lines: Iterable[ObservationLine]) -> Iterator[Rejection]:
    """Yield rejections of those lines whose traces have reached a limit."""
    full = {id(line) for line in lines}
    for number, line in enumerate(record.lines):
        if id(line) in full and isinstance(line, ObservationLine):
            detail = "the trace has reached its limit of observations, usage types or spend cells"
            yield Rejection(number, FULL_TRACE, detail, msgspec.json.encode(line))


def failed_events(record: ReadRecord, failures: Mapping[int, str]) -> Iterator[Rejection]:
    """Yield rejections of events that raised, by their index among the events of their record."""
    for index, detail in failures.items():
        try:
            payload = msgspec.json.encode(record.lines[index])
        except (UnicodeEncodeError, OverflowError, RecursionError):
            payload = b""
        yield Rejection(index, PROCESSING_FAILED, detail, payload)


def read(record: SourceRecord, limits: RowLimits = DEFAULT_ROW_LIMITS) -> ReadRecord:
    """Decode the events of a record in order; reject only its invalid lines."""
    value = record.value
    if len(value) > limits.texts_bytes_max:
        return _read_line_by_line(record, limits)
    earliest_us, latest_us = record.append_us - PAST_MAX_US, record.append_us + FUTURE_MAX_US
    try:
        if not value.isascii():
            value.decode()
        lines = LINES.decode_lines(value)
        dropped: list[str] = []
        for line in lines:
            if _fault(line, earliest_us, latest_us, dropped) is not None:
                return _read_line_by_line(record, limits)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  # the next call finds the line that failed
        return _read_line_by_line(record, limits)
    return ReadRecord(record.offset, record.append_us, lines, [], dropped=dropped)


def _read_line_by_line(record: SourceRecord, limits: RowLimits) -> ReadRecord:
    bounds = Bounds(limits)
    earliest_us, latest_us = record.append_us - PAST_MAX_US, record.append_us + FUTURE_MAX_US
    lines: list[Line] = []
    rejections: list[Rejection] = []
    dropped: list[str] = []
    for number, payload in enumerate(record.value.split(b"\n")):
        if not payload.strip():
            continue
        fault: Fault | None
        try:
            payload.decode()
            line = line_of(payload, bounds)
            fault = _fault(line, earliest_us, latest_us, dropped)
        except UnicodeDecodeError as error:
            fault = ("not_utf8", str(error))
        except msgspec.ValidationError as error:
            fault = ("not_an_event", str(error))
        except (msgspec.DecodeError, RecursionError) as error:
            fault = ("not_json", str(error))
        except LongIdentityError as error:
            fault = ("long_identity", str(error))
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001  # a bug must reject only this line
            fault = (PROCESSING_FAILED, describe_error(error))
        if fault is None:
            lines.append(line)
        else:
            rejections.append(Rejection(number, *fault, payload))
    return ReadRecord(record.offset, record.append_us, lines, rejections, bounds.reached, dropped)


Fault = tuple[str, str]
"""Reason and detail."""


def _fault(  # noqa: C901, PLR0911, PLR0912  # one function, because calls cost time on this path
    line: Line, earliest_us: int, latest_us: int, dropped: list[str]
) -> Fault | None:
    """Return why a decoded event is invalid; None if it is valid.

    The name of a field that is contradicted by another one is added to ``dropped``.
    """
    if not line.project_id:
        return _empty("project_id")
    if not earliest_us <= line.ts_us <= latest_us:
        return _implausible_time("ts_us", line.ts_us)
    if isinstance(line, Score):
        return None if line.id else _empty("id")
    if not line.trace_id:
        return _empty("trace_id")
    if isinstance(line, TraceDeletion):
        return None
    attributes = line.trace
    if attributes is not None:
        start_us = attributes.start_us
        if start_us is not None and not earliest_us <= start_us <= latest_us:
            return _implausible_time("trace.start_us", start_us)
    if not isinstance(line, ObservationLine):
        return None
    if not line.id:
        return _empty("id")
    start_us, end_us, first_us = line.start_us, line.end_us, line.completion_start_us
    if start_us is not None and not earliest_us <= start_us <= latest_us:
        return _implausible_time("start_us", start_us)
    if end_us is not None and not earliest_us <= end_us <= latest_us:
        return _implausible_time("end_us", end_us)
    if first_us is not None:
        if not earliest_us <= first_us <= latest_us:
            return _implausible_time("completion_start_us", first_us)
        # That of a partial update is checked when it is merged.
        if not line.partial:
            if start_us is None:
                start_us = line.ts_us if end_us is None else end_us
            if not first_token_within(first_us, start_us, end_us or 0):
                dropped.append("completion_start_us")
    if line.cost is not None and not is_within_cost_max(line.cost):
        total_pico = sum(line.cost.values())
        return (
            "absurd_cost",
            f"cost adds up to {total_pico} picodollars; the maximum is {COST_MAX_PICO}",
        )
    try:
        validate_texts(line)
    except msgspec.ValidationError as error:
        return "not_an_event", str(error)
    return None


def _empty(field: str) -> Fault:
    return "no_identity", f"{field} is empty"


def _implausible_time(field: str, at_us: int) -> Fault:
    return "absurd_time", f"{field} is {at_us}: {_TIMES_ALLOWED}"


def dead_letter(
    rejection: Rejection,
    record: ReadRecord,
    ids: InputIds,
    topic: str,
    partition: int,
    payload_bytes_max: int = PAYLOAD_BYTES_MAX,
) -> DeadLetterRow:
    """Build the row of a rejected line; ``ids`` are those of the record."""
    payload, note = bounded_payload(rejection.payload, payload_bytes_max)
    return DeadLetterRow(
        project_id=owner_of_event(rejection.payload),
        id=ids.id_of(rejection.reason, rejection.payload),
        created_us=record.append_us,
        stage=STAGE,
        reason=rejection.reason,
        detail=printable(rejection.detail[:DETAIL_CHARS_MAX] + note),
        source_topic=topic,
        source_partition=partition,
        source_offset=record.offset,
        payload=payload,
    )
