"""Show a user: spend over time and by model, budgets, sessions and the latest traces."""

from __future__ import annotations

from starlette.responses import Response

from query_api.console.page import Page, View
from query_api.console.pages.owners import owner_shown
from query_api.console.search import term
from query_api.console.user_data import RANGES, USER, read_user
from query_api.errors import BadRequestError, NotFoundError
from query_api.store.columns import TRACE_COLUMNS
from query_api.store.conditions import Condition
from query_api.store.owner_reading import read_owners
from query_api.store.queries.owners import FindOwners

DEFAULT_RANGE = "30d"


async def show(view: View) -> Response:
    """Show a user; the parameter `range` is that of the charts."""
    user_id = view.request.path_params["user_id"]
    preset = view.parameter("range") or DEFAULT_RANGE
    if preset not in RANGES:
        message = f"range: must be one of {', '.join(RANGES)}"
        raise BadRequestError(message, field="range", allowed=tuple(RANGES))
    of_user = (Condition(TRACE_COLUMNS["userId"], "eq", user_id),)
    found = await read_owners(
        view.context.reader, FindOwners(view.project_id, USER, of_user, limit=1)
    )
    if not found:
        raise NotFoundError(f"no user {user_id[:128]!r}")
    data = await read_user(view, user_id, preset, view.preferences.zone_name or "UTC")
    return view.render(
        "user.html",
        user=owner_shown(view, USER, found[0]),
        data=data,
        sessions=[owner_shown(view, "session_id", each) for each in data.sessions],
        term=term("user", user_id),
        preset=preset,
        presets=tuple(RANGES),
    )


REGISTERED = (Page("/users/{user_id:path}", show),)
