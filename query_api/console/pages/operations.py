"""Show whether events are processed in time, jobs, what was refused or late, limits and storage."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.responses import Response

from query_api.console.operation_data import jobs_of, stages_of, storage_of
from query_api.console.operators import sees_installation
from query_api.console.optional import optional
from query_api.console.page import Page, View
from query_api.console.record_lists import following_of, parameters_of
from query_api.health.limits_reached import limits_reached
from query_api.health.readiness import OK, Readiness
from query_api.v1.admin_limits import limits_of
from query_api.v1.dead_letter_replays import replays_of, shown_replay
from query_api.v1.dead_letters import DeadLetterParameters, count_reasons, read_dead_letters
from query_api.v1.late_events import LateEventParameters, read_late_events
from tracemill.clock import now_us

ROWS: Final = 25
LATE: Final = 10


async def show(view: View) -> Response:
    """Show the checks and stages of the pipeline, jobs, dead letters, limits and storage."""
    readiness: Readiness = view.request.app.state.readiness
    filters = {name: view.parameter(name) for name in ("stage", "reason")}
    parameters = parameters_of(
        view, DeadLetterParameters, limit=ROWS, **{name: v or None for name, v in filters.items()}
    )
    checks, (dead_letters, meta), reasons, late, jobs = await asyncio.gather(
        readiness.check(),
        read_dead_letters(view.context, view.project_id, parameters),
        count_reasons(view.context, view.project_id),
        read_late_events(view.context, view.project_id, LateEventParameters(limit=LATE)),
        jobs_of(view),
    )
    is_operator = sees_installation(view)
    storage, tables = await storage_of(view) if is_operator else (None, [])
    limits = limits_of(view.context, view.project_id) if view.may("admin") else None
    context = view.context
    replays = [shown_replay(context, each) for each in replays_of(context, view.project_id)]
    return view.render(
        "operations.html",
        checks={name: found == OK for name, found in checks.items()},
        fresh_until_us=view.context.query_engine.fresh_until_us(),
        at_us=now_us(),
        is_operator=is_operator,
        stages=stages_of(view) if is_operator else [],
        reached=limits_reached() if is_operator else [],
        storage=None if storage is None else optional(storage),
        tables=tables,
        jobs=jobs,
        reasons=[optional(each) for each in reasons],
        dead_letters=[optional(each) for each in dead_letters],
        replayable=[each.id for each in dead_letters if each.not_replayable is None],
        replayed={each: replay for replay in reversed(replays) for each in replay.dead_letter_ids},
        was_requested=bool(view.parameter("requested")),
        filters=filters,
        following=following_of(meta, **filters),
        is_first=not view.parameter("cursor"),
        late=[optional(each) for each in late.data],
        late_after_h=late.meta.late_after_h,
        limits=None if limits is None else optional(limits),
    )


REGISTERED = (Page("/operations", show, title="Operations", group="manage", place=40),)
