"""OTLP/HTTP: traces taken, metrics accepted and dropped.

Spans that cannot be stored are refused one by one: the rest of the export is taken, the answer's partial success says how many were not and why, and
each of them goes to the dead letters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

import msgspec

from producers import metrics
from producers.dead_letters import DeadLetter, dead_letter
from producers.errors import BodyError, RequestError, TooLargeError
from producers.gateway.event_batch import EventBatch
from producers.gateway.failures import PROCESSING_FAILED, describe_failure, refusing_body
from producers.gateway.http.answer import JSON_TYPE, Answer
from producers.gateway.http.context import GatewayContext
from producers.gateway.http.endpoint import Endpoint
from producers.gateway.http.request import Call
from producers.gateway.mapping import Refusal, Sdk, map_in_slices
from producers.gateway.otlp import Export, ExportLimits, RefusedSpan, decode_export
from producers.gateway.otlp.refused_spans import INVALID_SPAN
from tracemill.contract import Observation, encode_event

PROTOBUF_TYPE: Final = b"application/x-protobuf"
INGESTION_VERSION_MAX: Final = 4
TOO_LARGE: Final = "event_too_large"
FAULTS_TOLD_MAX: Final = 3

_encode = msgspec.json.Encoder().encode


class _Otlp(Endpoint):
    """What both signals share."""

    body_limit = "otlp_body_max_bytes"
    scopes = ("ingest",)

    def refusal(self, error: RequestError) -> Any:
        if isinstance(error, BodyError):
            return {"message": str(error), "error": str(error)}
        return {"message": str(error)}


class Traces(_Otlp):
    name = "otlp_traces"

    def __init__(self, context: GatewayContext) -> None:
        super().__init__(context)
        settings = context.settings
        self._limits = ExportLimits(
            spans_max=settings.spans_max,
            groups_max=settings.groups_max,
            values_max=settings.values_max,
            json_values_max=settings.json_values_max,
        )

    async def serve(self, call: Call) -> Answer:
        content_type = call.headers.get(b"content-type", b"").decode("latin-1").lower()
        _check_ingestion_version(call.headers)
        decode = partial(self._read, call, content_type)
        batch, refusals = await self.context.admission.run(
            call.principal.share, len(call.body), decode
        )
        await self.publish(call, batch)
        metrics.EVENTS_IN.labels("observation").inc(batch.event_count)
        return _success(content_type, refusals)

    def _read(
        self, call: Call, content_type: str, inline_values_max: int | None
    ) -> tuple[EventBatch, list[str]]:
        """Return the events of an export, and the reasons why some spans were refused."""
        limits = replace(self._limits, inline_values_max=inline_values_max)
        export = refusing_body(decode_export, call.body, content_type, limits)
        _refuse_when_nothing_is_a_span(export)
        for limit, count in export.limits_reached.items():
            metrics.LIMIT_REACHED.labels(limit).inc(count)
        batch = self.context.publisher.batch(call.principal.share)
        refusals = [self._set_aside_undecoded(batch, span, call) for span in export.refused]
        project_id, sdk = call.principal.project_id, _sdk_of(call.headers)
        for mapped in map_in_slices(export, project_id, call.received_us, sdk):
            for refusal in (*mapped.refusals, *_add(batch, mapped.observations)):
                payload = refusal.payload or _payload_of(refusal.observation)
                batch.set_aside(self._letter(refusal.reason, refusal.detail, payload, call))
                refusals.append(f"{refusal.observation.id}: {refusal.detail}")
        return batch, refusals

    def _set_aside_undecoded(self, batch: EventBatch, span: RefusedSpan, call: Call) -> str:
        batch.set_aside(self._letter(span.reason, span.detail, span.payload, call))
        return span.detail

    def _letter(self, reason: str, detail: str, payload: bytes, call: Call) -> DeadLetter:
        metrics.EVENTS_REFUSED.labels(reason).inc()
        return dead_letter(
            call.principal.project_id,
            reason=reason,
            detail=detail,
            payload=payload,
            created_us=call.received_us,
            max_bytes=self.context.settings.dead_letter_max_bytes,
        )


class Metrics(_Otlp):
    """Exporters that send metrics as well are answered, so that they do not repeat them for ever."""

    name = "otlp_metrics"

    async def serve(self, call: Call) -> Answer:
        return _success(call.headers.get(b"content-type", b"").decode("latin-1").lower(), [])


def _check_ingestion_version(headers: Mapping[bytes, bytes]) -> None:
    version = headers.get(b"x-langfuse-ingestion-version")
    if version is None:
        return
    if not version.isdigit() or len(version) > 3 or int(version) > INGESTION_VERSION_MAX:
        raise BodyError(
            f"x-langfuse-ingestion-version: a number up to {INGESTION_VERSION_MAX} is understood"
        )


def _sdk_of(headers: Mapping[bytes, bytes]) -> Sdk:
    """SDKs spell their headers with hyphens or with underscores."""

    def said(field: bytes) -> str:
        hyphens = headers.get(b"x-langfuse-sdk-" + field)
        return (hyphens or headers.get(b"x_langfuse_sdk_" + field, b"")).decode("latin-1")

    return Sdk(said(b"name"), said(b"version"))


def _add(batch: EventBatch, observations: Iterable[Observation]) -> list[Refusal]:
    """Take the observations into the batch; return those too large for it."""
    refusals = []
    for observation in observations:
        try:
            batch.add(observation)
        except TooLargeError as error:
            refusals.append(Refusal(observation, TOO_LARGE, str(error)))
        except RequestError:
            raise
        except Exception as error:  # noqa: BLE001  a bug must cost no more than the span
            described = describe_failure("span_encode", error)
            payload = ascii(observation).encode()
            refusals.append(Refusal(observation, PROCESSING_FAILED, described, payload))
    return refusals


def _payload_of(observation: Observation) -> bytes:
    try:
        return encode_event(observation)
    except Exception:  # noqa: BLE001  it is refused already, for another reason
        return ascii(observation).encode()


def _refuse_when_nothing_is_a_span(export: Export) -> None:
    """Refuse an export without any readable span, so that its sender gets the reason.

    Raises:
        BodyError: the message names the first span and what is wrong with it.
    """
    if export.refused and not export.span_count:
        first = export.refused[0]
        if first.reason == INVALID_SPAN:
            raise BodyError(first.detail)


def _success(content_type: str, refusals: list[str]) -> Answer:
    """An ``ExportTraceServiceResponse`` in the encoding of the request."""
    message = "; ".join(refusals[:FAULTS_TOLD_MAX])
    if "application/json" in content_type:
        if not refusals:
            return Answer(200, b"{}", JSON_TYPE)
        partial = {"rejectedSpans": str(len(refusals)), "errorMessage": message}
        return Answer(200, _encode({"partialSuccess": partial}), JSON_TYPE)
    if not refusals:
        return Answer(200, b"", PROTOBUF_TYPE)
    text = message.encode()
    inner = b"\x08" + _varint(len(refusals)) + b"\x12" + _varint(len(text)) + text
    return Answer(200, b"\x0a" + _varint(len(inner)) + inner, PROTOBUF_TYPE)


def _varint(number: int) -> bytes:
    """Protobuf's variable-length integer."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
