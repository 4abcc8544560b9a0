"""Serve ``POST /api/public/ingestion``: event batches of older SDKs, and scores of newer ones.

The response is always 207, with a status for each event. SDKs send the whole batch again if any
status is an error. Therefore an invalid event becomes a dead letter, and SDKs receive the status
201 for it. Other clients receive the error.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import msgspec

from producers import metrics
from producers.control.auth import DENIED
from producers.dead_letters import DeadLetter, dead_letter
from producers.errors import (
    BatchTooLargeError,
    BodyError,
    DecodeInThreadError,
    ForbiddenError,
    RequestError,
    TooLargeError,
    UnauthorizedError,
)
from producers.gateway.event_batch import EventBatch
from producers.gateway.failures import PROCESSING_FAILED, describe_failure, refusing_body
from producers.gateway.http.context import GatewayContext
from producers.gateway.http.endpoint import INLINE_ITEMS_MAX, Endpoint
from producers.gateway.http.request import Call
from producers.gateway.http.response import Response
from producers.gateway.langfuse.batch_traces import BatchTraces
from producers.gateway.langfuse.bodies import IngestionBatch
from producers.gateway.langfuse.contract_events import Times
from producers.gateway.langfuse.ingestion_events import (
    ReadEvent,
    ScopeError,
    ServerEventError,
    event_id_of,
    event_of,
    lacks_trace,
    read_event,
)
from producers.gateway.values.json_size import DEPTH_MAX, check_inline, check_json_values, cut_deep
from producers.gateway.values.json_text import (
    check_utf8,
    is_truthy_member,
    is_utf8,
    without_lone_surrogates,
)
from producers.langfuse_sdk import scope_of_ingestion, sdk_of
from producers.settings import GatewaySettings
from tracemill.contract import Observation

INVALID: Final = "Invalid request data"
_ENVELOPE_DEPTH: Final = 4
"""Maximum number of arrays and objects around an event."""
SDK_HEADERS: Final = (b"x-langfuse-sdk-name", b"x_langfuse_sdk_name")

_decode_batch = msgspec.json.Decoder(IngestionBatch).decode
_encode = msgspec.json.Encoder().encode


class Ingestion(Endpoint):
    name = "ingestion"
    body_limit = "ingestion_body_max_bytes"
    scopes = ("ingest", "scores")

    def refusal(self, error: RequestError) -> Any:
        if isinstance(error, UnauthorizedError | ForbiddenError):
            return {"error": type(error).__name__, "message": str(error)}
        if isinstance(error, BodyError):
            return {"message": INVALID, "errors": [str(error)]}
        return super().refusal(error)

    async def serve(self, call: Call) -> Response:
        published, outcome, kinds = await self.context.admission.run(
            call.principal.quota_key, len(call.body), partial(self._read, call)
        )
        await self.publish(call, published)
        for kind, count in kinds.items():
            metrics.EVENTS_IN.labels(kind).inc(count)
        return Response(207, _encode({"successes": outcome.successes, "errors": outcome.errors}))

    def _read(
        self, call: Call, inline_values_max: int | None
    ) -> tuple[EventBatch, _Outcome, Counter[str]]:
        check_inline(call.body, inline_values_max)
        batch = refusing_body(_batch_of, call.body, self.context.settings)
        if inline_values_max is not None and len(batch.batch) > INLINE_ITEMS_MAX:
            raise DecodeInThreadError
        outcome = _Outcome(
            call,
            reports_errors=not _is_from_sdk(call.headers, batch.metadata),
            dead_letter_max_bytes=self.context.settings.dead_letter_max_bytes,
        )
        published = self.context.publisher.batch(
            call.principal.quota_key, call.principal.public_key
        )
        kinds = _add_events(batch.batch, call, published, outcome, self.context)
        for rejected in outcome.dead_letters:
            published.add_dead_letter(rejected)
        return published, outcome, kinds


class _Outcome:
    """Collect the results of the events of a batch, and its dead letters."""

    def __init__(self, call: Call, *, reports_errors: bool, dead_letter_max_bytes: int) -> None:
        self._call = call
        self._dead_letter_max_bytes = dead_letter_max_bytes
        self._reports_errors = reports_errors
        self.successes: list[dict[str, Any]] = []
        self.errors: list[dict[str, Any]] = []
        self.dead_letters: list[DeadLetter] = []

    def accept(self, event_id: str) -> None:
        """Report an event as accepted."""
        self.successes.append({"id": event_id, "status": 201})

    def refuse(self, raw: msgspec.Raw, error: Exception) -> None:
        """Report an event as rejected; it becomes a dead letter if the client may send its type."""
        event_id = event_id_of(raw)
        if isinstance(error, ScopeError):
            metrics.EVENTS_REFUSED.labels("denied").inc()
            self._fail(event_id, 401, DENIED, str(error))
        elif isinstance(error, ServerEventError):
            metrics.EVENTS_REFUSED.labels("server_event").inc()
            self._fail(event_id, 400, INVALID, str(error))
        else:
            self._add_dead_letter(raw, event_id, error)

    def _add_dead_letter(self, raw: msgspec.Raw, event_id: str, error: Exception) -> None:
        reason, fault = _reason_and_fault(error)
        metrics.EVENTS_REFUSED.labels(reason).inc()
        rejected = dead_letter(
            self._call.principal.project_id,
            reason=reason,
            detail=fault,
            payload=bytes(raw),
            created_us=self._call.received_us,
            max_bytes=self._dead_letter_max_bytes,
        )
        self.dead_letters.append(rejected)
        if self._reports_errors:
            self._fail(event_id, 400, INVALID, fault)
        else:
            self.accept(event_id)

    def _fail(self, event_id: str, status: int, message: str, error: str) -> None:
        self.errors.append({"id": event_id, "status": status, "message": message, "error": error})


def _add_events(
    raws: list[msgspec.Raw],
    call: Call,
    published: EventBatch,
    outcome: _Outcome,
    context: GatewayContext,
) -> Counter[str]:
    """Add valid events to ``published``; return the number of events of each kind."""
    times, recent = Times(call.received_us), context.recent_traces
    scores_only = "ingest" not in call.principal.scopes
    read: list[tuple[msgspec.Raw, ReadEvent]] = []
    for raw in raws:
        try:
            read.append((raw, read_event(raw, times, scores_only=scores_only)))
        except Exception as error:  # noqa: BLE001  a bug must reject only this event
            outcome.refuse(raw, error)
    kinds: Counter[str] = Counter()
    project_id = call.principal.project_id
    traces = BatchTraces((event for _, event in read), project_id, recent)
    scope = scope_of_ingestion(sdk_of(call.headers))
    for raw, event in read:
        try:
            is_unplaced, trace_id = False, None
            if lacks_trace(event):
                trace_id = traces.trace_of(event)
                is_unplaced = trace_id is None
            entry = event_of(event, times, context.score_configs, project_id, trace_id)
            if scope is not None and isinstance(entry, Observation):
                entry.scope_name, entry.scope_version = scope
            if entry is not None:
                published.add(entry, is_unplaced=is_unplaced)
                kinds[type(entry).__name__.lower()] += 1
        except BatchTooLargeError:
            raise
        except Exception as error:  # noqa: BLE001  as above
            outcome.refuse(raw, error)
        else:
            outcome.accept(event.id)
    recent.remember(project_id, traces.found)
    return kinds


def _batch_of(body: bytes, settings: GatewaySettings) -> IngestionBatch:
    events_max = settings.batch_events_max
    check_json_values(body, settings.json_values_max)
    body = without_lone_surrogates(body)
    try:
        try:
            batch = _decode_batch(body)
        except RecursionError:
            # Only events that are nested too deeply are cut. They still exceed the limit and are
            # rejected; the others are decoded.
            batch = _decode_batch(cut_deep(body, DEPTH_MAX + _ENVELOPE_DEPTH))
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BodyError(str(error)) from error
    if not any(is_utf8(bytes(raw)) for raw in batch.batch):
        check_utf8(body, "the body")
    if len(batch.batch) > events_max:
        metrics.LIMIT_REACHED.labels("batch_events_max").inc()
        message = f"the batch has {len(batch.batch)} events; the maximum is {events_max}"
        raise TooLargeError(message)
    return batch


def _is_from_sdk(headers: Mapping[bytes, bytes], metadata: msgspec.Raw) -> bool:
    if any(headers.get(name) for name in SDK_HEADERS):
        return True
    return is_truthy_member(metadata, ("sdk_name", "sdk_integration"))


def _reason_and_fault(error: Exception) -> tuple[str, str]:
    if isinstance(error, TooLargeError):
        return "event_too_large", str(error)
    if isinstance(error, RequestError | msgspec.MsgspecError):
        return "invalid_event", str(error)
    return PROCESSING_FAILED, describe_failure("event", error)
