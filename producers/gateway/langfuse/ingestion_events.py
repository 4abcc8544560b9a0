"""Decode one event of an ingestion batch and convert it to an event of the contract."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import msgspec
import structlog

from producers.errors import BodyError
from producers.gateway.langfuse.bodies import (
    EventHead,
    IngestionEvent,
    LogBody,
    ObservationBody,
    ScoreBody,
    TraceBody,
    fault_text,
)
from producers.gateway.langfuse.contract_events import (
    LEGACY_TYPES,
    TYPE_OF_EVENT,
    Times,
    observation_of,
    trace_update_of,
)
from producers.gateway.langfuse.score_events import score_of
from producers.gateway.score_configs import ScoreConfigs
from producers.gateway.values.json_text import check_raw
from tracemill.contract import Event, ObservationType

UNKNOWN_ID: Final = "unknown"
SCORE_EVENT: Final = "score-create"
SERVER_EVENTS: Final = frozenset({"dataset-run-item-create"})
LOGGED_CHARS_MAX: Final = 500
QUOTED_CHARS_MAX: Final = 64

_decode_event = msgspec.json.Decoder(IngestionEvent).decode
_decode_head = msgspec.json.Decoder(EventHead).decode
_decode_trace = msgspec.json.Decoder(TraceBody).decode
_decode_observation = msgspec.json.Decoder(ObservationBody).decode
_decode_score = msgspec.json.Decoder(ScoreBody).decode
_decode_log = msgspec.json.Decoder(LogBody).decode

B = TypeVar("B")
Body = TraceBody | ObservationBody | ScoreBody | LogBody

log = structlog.get_logger(__name__)


class ServerEventError(BodyError):
    """The event has a type that clients must not send."""


class ScopeError(BodyError):
    """The caller's credential does not permit the event."""


@dataclass(frozen=True, slots=True)
class ReadEvent:
    """A decoded event."""

    id: str
    ts_us: int
    body: Body
    observation_type: ObservationType = "SPAN"
    is_update: bool = False


def event_id_of(raw: msgspec.Raw) -> str:
    """Return the id of an event for the response; ``unknown`` if it has none."""
    try:
        return _decode_head(raw).id
    except Exception:  # noqa: BLE001  the event is already rejected for another reason
        return UNKNOWN_ID


def read_event(raw: msgspec.Raw, times: Times, *, scores_only: bool) -> ReadEvent:
    """Decode and check one event.

    Raises:
        ScopeError: the event is not a score, and only scores are permitted.
        ServerEventError: clients must not send events of this type.
        BodyError, msgspec.MsgspecError: the event is invalid.
    """
    check_raw(raw)
    event = _decode_event(raw)
    if scores_only and event.type != SCORE_EVENT:
        raise ScopeError("Access Scope Denied: the credential lacks the scope 'ingest'")
    ts_us = times.read(event.timestamp, "timestamp")
    if event.type == "trace-create":
        return ReadEvent(event.id, ts_us, _read_body(_decode_trace, event.body))
    if event.type == SCORE_EVENT:
        return ReadEvent(event.id, ts_us, _read_body(_decode_score, event.body))
    if event.type == "sdk-log":
        return ReadEvent(event.id, ts_us, _read_body(_decode_log, event.body))
    if event.type in SERVER_EVENTS:
        message = f"type: clients must not send {event.type}"
        raise ServerEventError(message)
    return _read_observation(event, ts_us)


def _read_body(decode: Callable[[msgspec.Raw], B], body: msgspec.Raw) -> B:
    """Decode the body of an event; errors name the path within the event."""
    try:
        return decode(body)
    except msgspec.MsgspecError as error:
        described, _, place = fault_text(error).partition(" - at `$")
        message = f"{described} - at `$.body{place or '`'}"
        raise BodyError(message) from error


def _read_observation(event: IngestionEvent, ts_us: int) -> ReadEvent:
    kind, _, verb = event.type.rpartition("-")
    if verb not in ("create", "update") or not (kind in TYPE_OF_EVENT or kind == "observation"):
        message = f"type: unknown type {event.type[:QUOTED_CHARS_MAX]!r}"
        raise BodyError(message)
    body = _read_body(_decode_observation, event.body)
    body.trace_id = body.trace_id or None
    observation_type = TYPE_OF_EVENT.get(kind) or LEGACY_TYPES.get(body.type or "")
    if observation_type is None:
        message = f"body.type: must be one of {', '.join(LEGACY_TYPES)}"
        raise BodyError(message)
    return ReadEvent(event.id, ts_us, body, observation_type, is_update=verb == "update")


def lacks_trace(event: ReadEvent) -> bool:
    """Return whether an event belongs to a trace that it does not name."""
    body = event.body
    if isinstance(body, ObservationBody):
        return body.trace_id is None
    return (
        isinstance(body, ScoreBody)
        and body.observation_id is not None
        and body.trace_id is None
        and body.session_id is None
        and body.dataset_run_id is None
    )


def event_of(
    event: ReadEvent,
    times: Times,
    configs: ScoreConfigs,
    project_id: str,
    trace_id: str | None,
) -> Event | None:
    """Convert an event to the contract; return None for an event that is only logged.

    ``trace_id`` is the trace of an event that does not name it. If that is not known, the event is
    of a trace whose id is that of the observation.

    Raises:
        BodyError: fields contradict each other, or a time is invalid.
    """
    body = event.body
    if isinstance(body, ObservationBody):
        return observation_of(
            body,
            times,
            project_id=project_id,
            event_id=event.id,
            ts_us=event.ts_us,
            observation_type=event.observation_type,
            is_update=event.is_update,
            trace_id=trace_id,
        )
    if isinstance(body, TraceBody):
        return trace_update_of(
            body, times, project_id=project_id, event_id=event.id, ts_us=event.ts_us
        )
    if isinstance(body, ScoreBody):
        if lacks_trace(event):
            body.trace_id = trace_id or body.observation_id
        return score_of(
            body, times, configs, project_id=project_id, score_id=event.id, ts_us=event.ts_us
        )
    entry = bytes(body.log)[:LOGGED_CHARS_MAX].decode(errors="replace")
    log.info("sdk-log received", project=project_id, entry=entry)
    return None
