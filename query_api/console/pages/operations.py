"""Show whether events are processed in time, what was refused or late, and the limits in force."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.responses import Response

from query_api.console.optional import optional
from query_api.console.page import Page, View
from query_api.console.record_lists import following_of, parameters_of
from query_api.health.readiness import OK, Readiness
from query_api.v1.admin_limits import limits_of
from query_api.v1.dead_letters import DeadLetterParameters, read_dead_letters
from query_api.v1.late_events import LateEventParameters, read_late_events
from tracemill.clock import now_us

ROWS: Final = 25
LATE: Final = 10
PAYLOAD_CHARS: Final = 20_000


async def show(view: View) -> Response:
    """Show the checks of the pipeline, dead letters, late events, and limits."""
    readiness: Readiness = view.request.app.state.readiness
    filters = {name: view.parameter(name) for name in ("stage", "reason")}
    parameters = parameters_of(
        view, DeadLetterParameters, limit=ROWS, **{name: v or None for name, v in filters.items()}
    )
    checks, (dead_letters, meta), late = await asyncio.gather(
        readiness.check(),
        read_dead_letters(view.context, view.project_id, parameters),
        read_late_events(view.context, view.project_id, LateEventParameters(limit=LATE)),
    )
    limits = limits_of(view.context, view.project_id) if view.may("admin") else None
    return view.render(
        "operations.html",
        checks={name: found == OK for name, found in checks.items()},
        fresh_until_us=view.context.query_engine.fresh_until_us(),
        at_us=now_us(),
        dead_letters=[optional(each) for each in dead_letters],
        filters=filters,
        following=following_of(meta, **filters),
        is_first=not view.parameter("cursor"),
        late=[optional(each) for each in late.data],
        late_after_h=late.meta.late_after_h,
        limits=None if limits is None else optional(limits),
        payload_chars=PAYLOAD_CHARS,
    )


REGISTERED = (Page("/operations", show, title="Operations", group="manage", place=40),)
