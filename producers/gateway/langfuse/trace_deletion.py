"""Serve ``DELETE /api/public/traces/{traceId}`` and ``/api/public/traces``, and both below ``/v1``.

A deletion is an event of its trace: stage 1 subtracts what the trace counts, at its place in the
log (``streams.core.observations.deletions``).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, Final

import msgspec

from producers import metrics
from producers.errors import BodyError, ForbiddenError, RequestError
from producers.gateway.failures import refusing_body
from producers.gateway.http.endpoint import Endpoint
from producers.gateway.http.request import Call
from producers.gateway.http.response import Response
from producers.gateway.langfuse.bodies import EntityId
from producers.gateway.values.json_size import check_inline, check_json_values
from tracemill.contract import TraceDeletion

ONE_DELETED: Final = {"message": "Trace deleted successfully"}
DELETED: Final = {"message": "Traces deleted successfully"}

_encode = msgspec.json.Encoder().encode


class _Body(msgspec.Struct, rename="camel"):
    trace_ids: list[EntityId]


class _NativeBody(msgspec.Struct):
    trace_ids: list[EntityId]


_decode_langfuse = msgspec.json.Decoder(_Body).decode
_decode_native = msgspec.json.Decoder(_NativeBody).decode


class TraceDeletions(Endpoint):
    """Delete traces that the body lists, or the trace in the path."""

    name = "trace_deletion"
    body_limit = "trace_deletions_body_max_bytes"
    scopes = ("write",)
    is_native = False
    """Whether names of fields are in snake case."""

    def refusal(self, error: RequestError) -> Any:
        if isinstance(error, ForbiddenError):
            return {"message": str(error), "error": "ForbiddenError"}
        return {"message": str(error)}

    async def serve(self, call: Call) -> Response:
        trace_id = call.path_parameters.get("traceId")
        if trace_id is not None:
            try:
                trace_ids = [msgspec.convert(trace_id, EntityId)]
            except msgspec.ValidationError as error:
                raise BodyError(f"traceId: {error}") from error
        else:
            read = partial(self._read, call.body)
            trace_ids = await self.context.admission.run(
                call.principal.quota_key, len(call.body), read
            )
        await self._delete(call, dict.fromkeys(trace_ids))
        return Response(200, _encode(DELETED if trace_id is None else ONE_DELETED))

    async def _delete(self, call: Call, trace_ids: Iterable[str]) -> None:
        """Publish the deletions in parts. A part that is published again changes nothing."""
        ids, size = list(trace_ids), self.context.settings.trace_deletions_at_once_max
        for first in range(0, max(1, len(ids)), size):
            await self._publish_part(call, ids[first : first + size])

    async def _publish_part(self, call: Call, trace_ids: Iterable[str]) -> None:
        principal = call.principal
        batch = self.context.publisher.batch(principal.quota_key)
        for trace_id in trace_ids:
            batch.add(
                TraceDeletion(
                    project_id=principal.project_id,
                    trace_id=trace_id,
                    ts_us=call.received_us,
                    api_key=principal.public_key,
                )
            )
        await self.publish(call, batch)
        metrics.EVENTS_IN.labels("trace_deletion").inc(batch.event_count)

    def _read(self, body: bytes, inline_values_max: int | None) -> list[str]:
        """Return the ids that a body lists.

        Raises:
            BodyError: it is no such body, or lists too many.
        """
        check_inline(body, inline_values_max)
        settings = self.context.settings
        trace_ids = refusing_body(_ids_of, body, settings.json_values_max, self.is_native)
        limit = settings.trace_deletions_max
        if len(trace_ids) > limit:
            metrics.LIMIT_REACHED.labels(limit="trace_deletions_max").inc()
            name = "trace_ids" if self.is_native else "traceIds"
            raise BodyError(f"{name}: {len(trace_ids)} traces; at most {limit} are allowed")
        return trace_ids


class NativeTraceDeletions(TraceDeletions):
    """The same below ``/v1``."""

    is_native = True


def _ids_of(body: bytes, values_max: int, is_native: bool) -> list[str]:
    check_json_values(body, values_max)
    try:
        if is_native:
            return _decode_native(body).trace_ids
        return _decode_langfuse(body).trace_ids
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BodyError(str(error)) from error
