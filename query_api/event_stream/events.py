"""Define the events of the stream, and convert rows of topics to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, get_args

import msgspec

from clickhouse.alert_rows import alert_of_row
from clickhouse.rows import AlertRow
from producers.notifications.event_type import shown_alert
from producers.notifications.registry import EVENT_TYPES
from query_api.money import usd_text
from query_api.times import SECOND_US, iso, iso_or_none

Kind = Literal["window", "trace", "alert"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
WINDOW_S: Final = 10
FIELDS_OF_WINDOWS: Final = ("environment", "model", "name", "type", "prompt_name")
FIELDS: Final = (*FIELDS_OF_WINDOWS, "user_id", "session_id", "trace_name")
"""Fields by which windows and traces are filtered."""


class WindowEvent(msgspec.Struct, kw_only=True, gc=False):
    """Totals of ten seconds of event time for one combination of dimensions.

    They are absolute: a later event of the same window and dimensions replaces an earlier one.
    """

    window_start: str
    window_end: str
    environment: str
    model: str
    name: str
    type: str
    level: str
    prompt_name: str
    count: int
    errors: int
    tokens: dict[str, int]
    cost_usd: str
    unpriced: int
    """Number of calls without a known price; the cost does not include them."""


class TraceEvent(msgspec.Struct, kw_only=True, gc=False):
    """A trace with its totals so far; a later event of the same trace replaces an earlier one."""

    id: str
    name: str
    user_id: str
    session_id: str
    environment: str
    start: str
    end: str | None
    level: str
    observations: int
    errors: int
    tokens: dict[str, int]
    cost_usd: str
    unpriced: int
    """Number of calls without a known price; the cost does not include them."""
    deleted: bool


@dataclass(frozen=True, slots=True)
class Event:
    """An event of a project. ``fields`` are those by which it is filtered; alerts have none."""

    kind: Kind
    project_id: str
    fields: Mapping[str, str]
    data: bytes


class _Window(msgspec.Struct, gc=False):
    project_id: str
    window_s: int
    environment: str = ""
    model: str = ""
    name: str = ""
    type: str = ""
    level: str = ""
    prompt_name: str = ""
    observation_count: int = 0
    error_count: int = 0
    usage: dict[str, int] = {}
    total_cost_pico: int = 0
    unpriced_count: int = 0


class _Trace(msgspec.Struct, gc=False):
    project_id: str
    id: str
    start_us: int
    end_us: int = 0
    is_deleted: int = 0
    name: str = ""
    user_id: str = ""
    session_id: str = ""
    environment: str = "default"
    level: str = "DEFAULT"
    observation_count: int = 0
    error_count: int = 0
    usage: dict[str, int] = {}
    total_cost_pico: int = 0
    unpriced_count: int = 0


_encode: Final = msgspec.json.Encoder().encode
_decode_window: Final = msgspec.json.Decoder(_Window).decode
_decode_trace: Final = msgspec.json.Decoder(_Trace).decode
_decode_alert: Final = msgspec.json.Decoder(AlertRow).decode


def window_event(line: bytes) -> Event:
    """Convert a row of ``windows``. Raises: msgspec.DecodeError: it is invalid."""
    row = _decode_window(line)
    shown = WindowEvent(
        window_start=iso(row.window_s * SECOND_US),
        window_end=iso((row.window_s + WINDOW_S) * SECOND_US),
        environment=row.environment,
        model=row.model,
        name=row.name,
        type=row.type,
        level=row.level,
        prompt_name=row.prompt_name,
        count=row.observation_count,
        errors=row.error_count,
        tokens=row.usage,
        cost_usd=usd_text(row.total_cost_pico),
        unpriced=row.unpriced_count,
    )
    fields = {name: getattr(row, name) for name in FIELDS_OF_WINDOWS}
    return Event("window", row.project_id, fields, _encode(shown))


def trace_event(line: bytes) -> Event:
    """Convert a row of ``traces``. Raises: msgspec.DecodeError: it is invalid."""
    row = _decode_trace(line)
    shown = TraceEvent(
        id=row.id,
        name=row.name,
        user_id=row.user_id,
        session_id=row.session_id,
        environment=row.environment,
        start=iso(row.start_us),
        end=iso_or_none(row.end_us),
        level=row.level,
        observations=row.observation_count,
        errors=row.error_count,
        tokens=row.usage,
        cost_usd=usd_text(row.total_cost_pico),
        unpriced=row.unpriced_count,
        deleted=bool(row.is_deleted),
    )
    fields = {
        "environment": row.environment,
        "trace_name": row.name,
        "user_id": row.user_id,
        "session_id": row.session_id,
    }
    return Event("trace", row.project_id, fields, _encode(shown))


def alert_event(line: bytes) -> Event:
    """Convert a row of ``alerts``. Raises: msgspec.DecodeError: it is invalid."""
    row = _decode_alert(line)
    alert = alert_of_row(row)
    event_type = EVENT_TYPES.get(alert.event)
    shown = shown_alert(alert) if event_type is None else event_type.shown(alert)
    return Event("alert", row.project_id, MappingProxyType({}), _encode(shown))


def has_fields(event: Event, filters: Mapping[str, Sequence[str]]) -> bool:
    """Return whether an event has one of the values of each filter; alerts are not filtered.

    An event without a field does not have any value of it.
    """
    if event.kind == "alert":
        return True
    return all(event.fields.get(name) in values for name, values in filters.items())
