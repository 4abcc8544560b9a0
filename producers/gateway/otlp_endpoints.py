"""Define the endpoints of OTLP for HTTP and gRPC: traces are published, metrics are dropped.

A span that cannot be stored is rejected alone and becomes a dead letter. The partial success of the
response has the number of such spans and the first reasons.
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
from producers.gateway.http.context import GatewayContext
from producers.gateway.http.endpoint import Endpoint
from producers.gateway.http.request import Call
from producers.gateway.http.response import JSON_TYPE, Response
from producers.gateway.mapping import Refusal, map_in_slices
from producers.gateway.otlp import Export, ExportLimits, RefusedSpan, decode_export
from producers.gateway.otlp.refused_spans import INVALID_SPAN, TOO_LARGE
from producers.langfuse_sdk import sdk_of
from tracemill.contract import Observation, encode_event

PROTOBUF_TYPE: Final = b"application/x-protobuf"
INGESTION_VERSION_MAX: Final = 4
REASONS_MAX: Final = 3

_encode = msgspec.json.Encoder().encode


class _Otlp(Endpoint):
    """Format error responses for traces and metrics."""

    body_limit = "otlp_body_max_bytes"
    scopes = ("ingest",)

    def refusal(self, error: RequestError) -> Any:
        if isinstance(error, BodyError):
            return {"message": str(error), "error": str(error)}
        return {"message": str(error)}


class Traces(_Otlp):
    """Publish the spans of trace exports."""

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

    async def serve(self, call: Call) -> Response:
        content_type = call.headers.get(b"content-type", b"").decode("latin-1").lower()
        _check_ingestion_version(call.headers)
        decode = partial(self._read, call, content_type)
        batch, refusals = await self.context.admission.run(
            call.principal.quota_key, len(call.body), decode
        )
        await self.publish(call, batch)
        metrics.EVENTS_IN.labels("observation").inc(batch.event_count)
        return _success(content_type, refusals)

    def _read(
        self, call: Call, content_type: str, inline_values_max: int | None
    ) -> tuple[EventBatch, list[str]]:
        """Return the events of an export, and the reasons of rejected spans."""
        limits = replace(self._limits, inline_values_max=inline_values_max)
        export = refusing_body(decode_export, call.body, content_type, limits)
        _refuse_when_nothing_is_a_span(export)
        for limit, count in export.limits_reached.items():
            metrics.LIMIT_REACHED.labels(limit).inc(count)
        batch = self.context.publisher.batch(call.principal.quota_key, call.principal.public_key)
        refusals = [self._set_aside_undecoded(batch, span, call) for span in export.refused]
        project_id, sdk = call.principal.project_id, sdk_of(call.headers)
        for mapped in map_in_slices(export, project_id, call.received_us, sdk):
            for refusal in (*mapped.refusals, *_add(batch, mapped.observations)):
                payload = refusal.payload or _payload_of(refusal.observation)
                batch.add_dead_letter(
                    self._dead_letter(refusal.reason, refusal.detail, payload, call)
                )
                refusals.append(f"{refusal.observation.id}: {refusal.detail}")
        return batch, refusals

    def _set_aside_undecoded(self, batch: EventBatch, span: RefusedSpan, call: Call) -> str:
        batch.add_dead_letter(self._dead_letter(span.reason, span.detail, span.payload, call))
        return span.detail

    def _dead_letter(self, reason: str, detail: str, payload: bytes, call: Call) -> DeadLetter:
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
    """Accept and drop metrics, so that exporters which also send metrics do not retry them."""

    name = "otlp_metrics"

    async def serve(self, call: Call) -> Response:
        return _success(call.headers.get(b"content-type", b"").decode("latin-1").lower(), [])


def _check_ingestion_version(headers: Mapping[bytes, bytes]) -> None:
    version = headers.get(b"x-langfuse-ingestion-version")
    if version is None:
        return
    if not version.isdigit() or len(version) > 3 or int(version) > INGESTION_VERSION_MAX:
        raise BodyError(
            f"x-langfuse-ingestion-version: must be a number up to {INGESTION_VERSION_MAX}"
        )


def _add(batch: EventBatch, observations: Iterable[Observation]) -> list[Refusal]:
    """Add observations to the batch; return those that are rejected."""
    refusals = []
    for observation in observations:
        try:
            batch.add(observation)
        except TooLargeError as error:
            refusals.append(Refusal(observation, TOO_LARGE, str(error)))
        except RequestError:
            raise
        except Exception as error:  # noqa: BLE001  a bug must refuse only this span
            described = describe_failure("span_encode", error)
            payload = ascii(observation).encode()
            refusals.append(Refusal(observation, PROCESSING_FAILED, described, payload))
    return refusals


def _payload_of(observation: Observation) -> bytes:
    try:
        return encode_event(observation)
    except Exception:  # noqa: BLE001  it is already rejected for another reason
        return ascii(observation).encode()


def _refuse_when_nothing_is_a_span(export: Export) -> None:
    """Reject an export without any valid span, so that its sender receives an error.

    An export whose first span is refused because of a defect (``PROCESSING_FAILED``) is accepted.

    Raises:
        BodyError, TooLargeError: the message names the first span and the reason.
    """
    if export.refused and not export.span_count:
        first = export.refused[0]
        if first.reason == INVALID_SPAN:
            raise BodyError(first.detail)
        if first.reason == TOO_LARGE:
            raise TooLargeError(first.detail)


def _success(content_type: str, refusals: list[str]) -> Response:
    """Return an ``ExportTraceServiceResponse`` in the encoding of the request."""
    message = "; ".join(refusals[:REASONS_MAX])
    if "application/json" in content_type:
        if not refusals:
            return Response(200, b"{}", JSON_TYPE)
        partial = {"rejectedSpans": str(len(refusals)), "errorMessage": message}
        return Response(200, _encode({"partialSuccess": partial}), JSON_TYPE)
    if not refusals:
        return Response(200, b"", PROTOBUF_TYPE)
    text = message.encode()
    inner = b"\x08" + _varint(len(refusals)) + b"\x12" + _varint(len(text)) + text
    return Response(200, b"\x0a" + _varint(len(inner)) + inner, PROTOBUF_TYPE)


def _varint(number: int) -> bytes:
    """Encode a number as a varint of protobuf."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
