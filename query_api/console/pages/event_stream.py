"""Send the events of the project to pages in live mode."""

from __future__ import annotations

from starlette.responses import Response

from query_api.console.dimension_filters import filters_of
from query_api.console.page import Data, View
from query_api.errors import BadRequestError
from query_api.event_stream.events import FIELDS
from query_api.event_stream.responses import stream_response


async def read(view: View) -> Response:
    """Return windows and alerts, with the filters of the overview.

    Raises:
        BadRequestError: events do not have a field that is filtered.
    """
    filters = filters_of(view.request.query_params).by_name
    if missing := set(filters) - set(FIELDS):
        message = f"filter: {min(missing)} is not one of {', '.join(FIELDS)}"
        raise BadRequestError(message, field="filter", allowed=FIELDS)

    def is_valid() -> bool:
        # Without a session of this project, ``of`` returns that of another one.
        session = view.sessions.of(view.request, view.project_id)
        if session is None or session.project_id != view.project_id:
            return False
        return "read" in session.principal.scopes

    return await stream_response(
        view.request, view.context, view.project_id, ("window", "alert"), filters, is_valid
    )


REGISTERED = (Data("/stream", read),)
