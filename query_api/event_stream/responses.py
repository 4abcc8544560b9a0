"""Send the events of a subscription as a response that does not end by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from producers.head_requests import IS_HEAD
from query_api.context import AppContext
from query_api.errors import UnavailableError
from query_api.event_stream.events import Kind
from query_api.event_stream.hub import UNAUTHORIZED, EndOut, positions_of
from query_api.event_stream.subscription import Subscription, event_text
from query_api.settings import QuerySettings
from query_api.streaming import ReleasingResponse

MEDIA_TYPE: Final = "text/event-stream"
LAST_EVENT_ID: Final = "last-event-id"
_HEADERS: Final = {"cache-control": "no-store", "x-accel-buffering": "no"}
_BEGIN: Final = b"retry: 2000\n: connected\n\n"
_HEARTBEAT: Final = b":\n\n"


async def stream_response(
    request: Request,
    context: AppContext,
    project_id: str,
    kinds: Sequence[Kind],
    filters: Mapping[str, Sequence[str]],
    is_valid: Callable[[], bool],
    last_id: str = "",
) -> Response:
    """Return the events of a project; the stream ends when ``is_valid`` is no longer true.

    It continues after the event of the header ``Last-Event-ID``, or after ``last_id``.

    Raises:
        BadRequestError: one of them is not the id of an event.
        UnavailableError: as ``EventHub.subscribe``, or this process does not follow events.
    """
    hub = context.events
    if hub is None:
        raise UnavailableError("this process does not follow events")
    if request.scope.get(IS_HEAD):
        return Response(media_type=MEDIA_TYPE, headers=_HEADERS)
    header = request.headers.get(LAST_EVENT_ID, "")
    if not header:
        positions_of(last_id, "last_event_id")
    subscription = await hub.subscribe(project_id, kinds, filters, header or last_id)
    return ReleasingResponse(
        _texts(subscription, context.settings, is_valid),
        partial(hub.unsubscribe, project_id, subscription),
        media_type=MEDIA_TYPE,
        headers=_HEADERS,
    )


async def _texts(
    subscription: Subscription, settings: QuerySettings, is_valid: Callable[[], bool]
) -> AsyncIterator[bytes]:
    silent_s = 0.0
    yield _BEGIN
    while True:
        texts = await subscription.next(settings.stream_check_s)
        if not is_valid():
            subscription.close(UNAUTHORIZED)
            texts = b""
        if not texts and subscription.end:
            yield event_text("end", msgspec.json.encode(EndOut(subscription.end)))
            return
        silent_s = 0.0 if texts else silent_s + settings.stream_check_s
        if not texts and silent_s < settings.stream_heartbeat_s:
            continue
        silent_s = 0.0
        yield texts or _HEARTBEAT
