"""Serve ``/v1/stream``: windows, traces and alerts of a project as server-sent events."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from producers.control.auth import Principal
from query_api.context import AppContext, caller_of
from query_api.errors import BadRequestError
from query_api.event_stream.events import FIELDS, KINDS, Kind, TraceEvent, WindowEvent
from query_api.event_stream.hub import EndOut
from query_api.event_stream.responses import MEDIA_TYPE, stream_response
from query_api.event_stream.subscription import Missed
from query_api.openapi.event_stream_examples import STREAM_EXAMPLE
from query_api.v1.parameters import Names, NativeParameters, native_router

_ONLY: Final = "Only events with one of these values; those without the field have none of them."


class StreamParameters(NativeParameters):
    """Events to send. Filters apply to windows and traces."""

    events: Names = Field(
        default=list(KINDS),
        description=f"Kinds of events, separated by commas or repeated: {', '.join(KINDS)}.",
    )
    last_event_id: str = Field(
        default="",
        description="Like the header `Last-Event-ID`, which comes first, for clients that cannot"
        " send headers.",
    )
    environment: Names = Field(default=[], description=_ONLY)
    model: Names = Field(default=[], description=f"{_ONLY} A field of windows.")
    name: Names = Field(default=[], description=f"{_ONLY} The observations' name, of windows.")
    type: Names = Field(default=[], description=f"{_ONLY} A field of windows.")
    prompt_name: Names = Field(default=[], description=f"{_ONLY} A field of windows.")
    user_id: Names = Field(default=[], description=f"{_ONLY} A field of traces.")
    session_id: Names = Field(default=[], description=f"{_ONLY} A field of traces.")
    trace_name: Names = Field(default=[], description=f"{_ONLY} A field of traces.")

    def kinds(self) -> tuple[Kind, ...]:
        """Return the kinds of events.

        Raises:
            BadRequestError: one of them does not exist.
        """
        names = [each.strip() for given in self.events for each in given.split(",")]
        wrong = next((each for each in names if each not in KINDS), None)
        if wrong is not None:
            message = f"events: {wrong[:64]!r} is not one of {', '.join(KINDS)}"
            raise BadRequestError(message, field="events", allowed=KINDS)
        return tuple(each for each in KINDS if each in names)

    def filters(self) -> dict[str, list[str]]:
        """Return the values of the fields that are filtered."""
        found = {name: getattr(self, name) for name in FIELDS}
        return {name: values for name, values in found.items() if values}


def event_stream_router(context: AppContext) -> APIRouter:
    router = native_router("stream")
    for each in (WindowEvent, TraceEvent, Missed, EndOut):
        context.documented.add_schema(each)

    @router.get(
        "/v1/stream",
        summary="Stream events",
        response_class=Response,
        responses={
            200: {
                "description": "Server-sent events, which do not end.",
                "content": {MEDIA_TYPE: {"schema": {"type": "string"}, "example": STREAM_EXAMPLE}},
            }
        },
    )
    async def stream(
        request: Request,
        caller: Annotated[Principal, Depends(caller_of)],
        parameters: Annotated[StreamParameters, Query()],
    ) -> Response:
        """Return what happens in the project, as it happens: `window`, `trace` and `alert`.

        Windows and traces have totals so far: a later event of the same window or trace replaces an
        earlier one. The header `Last-Event-ID` continues after an event, at any query process.
        `missed` says that events were not sent: because the reader was too slow (`events` of them),
        or because they are no longer kept. The last event is `end`.
        """
        public_key = caller.public_key

        def is_valid() -> bool:
            key = context.authenticator.usable_key(public_key)
            return key is not None and "read" in key.scopes

        return await stream_response(
            request,
            context,
            caller.project_id,
            parameters.kinds(),
            parameters.filters(),
            is_valid,
            parameters.last_event_id,
        )

    return router
