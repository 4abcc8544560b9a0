"""``POST /api/public/ingestion``: batches of events of the older SDKs, and scores of the newer ones.

The answer is always 207 and speaks of each event. SDKs send a whole batch again, events already taken included, when one entry says it failed. So an event that
will never be valid goes to the dead letters, and an SDK is told that it was taken; whoever is not an SDK is told what is wrong with it as well.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, TypeVar

import msgspec

from producers import metrics
from producers.dead_letters import DeadLetter, dead_letter
from producers.errors import BodyError, RequestError, TooLargeError, UnauthorizedError
from producers.gateway.bodies import IngestionBatch
from producers.gateway.context import Answer, Call, Endpoint
from producers.gateway.ingestion_events import (
    ReadEvent,
    ScopeError,
    ServerEventError,
    event_id_of,
    read_event,
    said_by,
    traces_of_observations,
)
from producers.gateway.json_size import check_json_values
from producers.gateway.json_text import any_of, sound_json
from producers.gateway.publisher import EventBatch
from producers.gateway.statements import Times
from producers.settings import GatewaySettings

T = TypeVar("T")

INVALID: Final = "Invalid request data"
SLICE_EVENTS: Final = 500
"""After so many events other requests have their turn."""
SDK_HEADERS: Final = (b"x-langfuse-sdk-name", b"x_langfuse_sdk_name")

_decode_batch = msgspec.json.Decoder(IngestionBatch).decode
_encode = msgspec.json.Encoder().encode


class Ingestion(Endpoint):
    name = "ingestion"
    body_limit = "ingestion_body_max_bytes"

    def refusal(self, error: RequestError) -> Any:
        if isinstance(error, UnauthorizedError):
            return {"error": "UnauthorizedError", "message": str(error)}
        if isinstance(error, BodyError):
            return {"message": INVALID, "errors": [str(error)]}
        return super().refusal(error)

    async def serve(self, call: Call) -> Answer:
        batch = await self.context.turns.run(
            len(call.body), _batch_of, call.body, self.context.settings
        )
        outcome = _Outcome(
            call,
            tells_faults=not _is_from_sdk(call.headers, batch.metadata),
            dead_letter_max_bytes=self.context.settings.dead_letter_max_bytes,
        )
        published = self.context.publisher.batch()
        kinds = await _publish(batch.batch, call, published, outcome)
        for letter in outcome.dead_letters:
            published.set_aside(letter)
        await self.context.publisher.publish(published)
        for kind, count in kinds.items():
            metrics.EVENTS_IN.labels(kind).inc(count)
        return Answer(207, _encode({"successes": outcome.successes, "errors": outcome.errors}))


class _Outcome:
    """What is said of each event of one batch."""

    def __init__(self, call: Call, *, tells_faults: bool, dead_letter_max_bytes: int) -> None:
        self._call = call
        self._dead_letter_max_bytes = dead_letter_max_bytes
        self._tells_faults = tells_faults
        self.successes: list[dict[str, Any]] = []
        self.errors: list[dict[str, Any]] = []
        self.dead_letters: list[DeadLetter] = []

    def accept(self, event_id: str) -> None:
        self.successes.append({"id": event_id, "status": 201})

    def refuse(self, raw: msgspec.Raw, error: Exception) -> None:
        """Answer for an event that was not taken, and set it aside unless its sender had no business sending it."""
        event_id = event_id_of(raw)
        if isinstance(error, ScopeError):
            metrics.EVENTS_REFUSED.labels("denied").inc()
            self._fail(event_id, 401, str(error), str(error))
        elif isinstance(error, ServerEventError):
            metrics.EVENTS_REFUSED.labels("server_event").inc()
            self._fail(event_id, 400, INVALID, str(error))
        else:
            self._set_aside(raw, event_id, error)

    def _set_aside(self, raw: msgspec.Raw, event_id: str, error: Exception) -> None:
        reason = "event_too_large" if isinstance(error, TooLargeError) else "invalid_event"
        metrics.EVENTS_REFUSED.labels(reason).inc()
        letter = dead_letter(
            self._call.principal.project_id,
            reason=reason,
            detail=_fault_of(error),
            payload=bytes(raw),
            created_us=self._call.received_us,
            max_bytes=self._dead_letter_max_bytes,
        )
        self.dead_letters.append(letter)
        if self._tells_faults:
            self._fail(event_id, 400, INVALID, _fault_of(error))
        else:
            self.accept(event_id)

    def _fail(self, event_id: str, status: int, message: str, error: str) -> None:
        self.errors.append({"id": event_id, "status": status, "message": message, "error": error})


async def _publish(
    raws: list[msgspec.Raw], call: Call, published: EventBatch, outcome: _Outcome
) -> Counter[str]:
    """Take what is valid into ``published``, and how many of each kind that was. Other requests have their turn in between."""
    times = Times(call.received_us)
    scores_only = call.principal.scope == "scores"
    read: list[tuple[msgspec.Raw, ReadEvent]] = []
    async for raw in _unhurried(raws):
        try:
            read.append((raw, read_event(raw, times, scores_only=scores_only)))
        except (BodyError, msgspec.MsgspecError, RecursionError) as error:
            outcome.refuse(raw, error)
    kinds: Counter[str] = Counter()
    trace_of = traces_of_observations([event for _, event in read])
    async for raw, event in _unhurried(read):
        try:
            said = said_by(event, times, call.principal.project_id, trace_of)
            if said is not None:
                published.add(said)
                kinds[type(said).__name__.lower()] += 1
        except (BodyError, TooLargeError, msgspec.MsgspecError, RecursionError) as error:
            outcome.refuse(raw, error)
        else:
            outcome.accept(event.id)
    return kinds


async def _unhurried(items: list[T]) -> AsyncIterator[T]:
    for number, item in enumerate(items, 1):
        yield item
        if number % SLICE_EVENTS == 0:
            await asyncio.sleep(0)


def _batch_of(body: bytes, settings: GatewaySettings) -> IngestionBatch:
    events_max = settings.batch_events_max
    check_json_values(body, settings.json_values_max)
    try:
        batch = _decode_batch(sound_json(body))
    except (msgspec.MsgspecError, RecursionError) as error:
        raise BodyError(_fault_of(error)) from error
    if len(batch.batch) > events_max:
        metrics.LIMIT_REACHED.labels("batch_events_max").inc()
        message = f"{len(batch.batch)} events in one batch; {events_max} are allowed"
        raise TooLargeError(message)
    return batch


def _is_from_sdk(headers: Mapping[bytes, bytes], metadata: msgspec.Raw) -> bool:
    if any(headers.get(name) for name in SDK_HEADERS):
        return True
    said = any_of(metadata)
    return isinstance(said, dict) and bool(said.get("sdk_name") or said.get("sdk_integration"))


def _fault_of(error: Exception) -> str:
    return "nested too deep" if isinstance(error, RecursionError) else str(error)
