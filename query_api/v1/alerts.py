"""Serve ``/v1/alerts``: alerts of rules and budgets, current states, and episodes."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final, Literal, get_args

import msgspec
from fastapi import APIRouter, Query
from pydantic import Field
from starlette.responses import Response

from clickhouse.alert_rows import alert_of_row
from clickhouse.rows import AlertRow, AlertStateRow
from producers.control.kinds.acknowledgement import Acknowledgement
from producers.control.kinds.alert_rule import AlertRule
from producers.notifications.event_type import shown_alert
from producers.notifications.registry import EventTypes
from query_api.alerting.shapes import (
    AcknowledgementOut,
    AlertStateOut,
    EpisodeOut,
    shown_acknowledgement,
    shown_state,
    urls_of,
)
from query_api.context import AppContext, ProjectId
from query_api.errors import BadRequestError, NotFoundError
from query_api.openapi.alert_examples import EPISODE_EXAMPLE
from query_api.openapi.v1_examples import ALERT_LIST_EXAMPLE
from query_api.pages import NativeMeta
from query_api.responses import json_response
from query_api.store.queries.alert_states import FindAlertStates
from query_api.store.queries.alerts import FindAlerts
from query_api.v1.acknowledgements import EpisodeId, add_acknowledgements, episode_of
from query_api.v1.parameters import KeysetParameters, Name, keyset_page, native_router
from tracemill.clock import now_us

State = Literal[
    "inactive", "pending", "firing", "recovering", "resolved", "no_data", "error", "silenced"
]
STATES: Final[tuple[State, ...]] = get_args(State)
HISTORY_MAX: Final = 500
"""Maximum number of alerts of an episode in a response."""


class AlertParameters(KeysetParameters):
    budget_id: Name | None = None
    rule_id: Name | None = None
    episode_id: Name | None = None
    state: str | None = Field(
        default=None,
        max_length=200,
        description=f"List the groups of rules that are in this state now ({', '.join(STATES)};"
        " separate several by commas) instead of past alerts. `silenced` are groups that are"
        " firing, recovering or without data, while a silence, another rule or `shadow` withholds"
        " their alerts.",
        examples=["firing"],
    )

    def states(self) -> tuple[str, ...]:
        """Return the requested states.

        Raises:
            BadRequestError: one of them does not exist.
        """
        names = [each.strip() for each in (self.state or "").split(",")]
        for name in names:
            if name not in STATES:
                message = f"state: {name[:64]!r} is not allowed; allowed: {', '.join(STATES)}"
                raise BadRequestError(message, field="state", allowed=STATES)
        return tuple(names)


class _StateRow(AlertStateRow, kw_only=True, gc=False):
    group_key: str


def alerts_router(context: AppContext) -> APIRouter:
    router = native_router("alerts")
    event_types, documented = context.event_types, context.documented
    for event_type in event_types.values():
        documented.add_schema(event_type.shape)
    documented.add_schema(AlertStateOut)
    documented.add_schema(AcknowledgementOut)
    alert_list = _list_of(event_types)

    @router.get(
        "/v1/alerts",
        summary="List alerts",
        responses={
            200: documented.response(alert_list, "Alerts, newest first.", ALERT_LIST_EXAMPLE)
        },
    )
    async def list_alerts(
        project_id: ProjectId, parameters: Annotated[AlertParameters, Query()]
    ) -> Response:
        """Return the alerts that were sent; with `state`, the current states of rules."""
        read = read_alerts if parameters.state is None else read_alert_states
        return json_response(alert_list(*await read(context, project_id, parameters)))

    @router.get(
        "/v1/alerts/{episode_id}",
        summary="Get an episode of alerts",
        responses={200: documented.response(EpisodeOut, "The episode.", EPISODE_EXAMPLE)},
    )
    async def get_episode(project_id: ProjectId, episode_id: EpisodeId) -> Response:
        """Return the state, the acknowledgement, the exemplars and all alerts of an episode."""
        try:
            found = await read_episode(context, project_id, episode_id)
        except NotFoundError:
            episode = await episode_of(context, project_id, episode_id)
            found = await read_episode(context, project_id, episode)
        return json_response(found)

    add_acknowledgements(router, context)
    return router


async def read_alerts(
    context: AppContext, project_id: str, parameters: AlertParameters
) -> tuple[list[Any], NativeMeta]:
    """Read a page of past alerts, newest first, each in the shape of its event.

    Raises:
        TooCostlyError, UnavailableError: as ``Reader.rows``.
    """
    query = FindAlerts(
        project_id,
        parameters.limit + 1,
        parameters.position(),
        parameters.budget_id or "",
        parameters.rule_id or "",
        parameters.episode_id or "",
    )
    rows = await context.reader.rows(query, AlertRow)
    alerts, meta = keyset_page(rows, parameters.limit, lambda row: (row.created_us, row.id))
    return [_shown(row, context.event_types) for row in alerts], meta


async def read_alert_states(
    context: AppContext, project_id: str, parameters: AlertParameters
) -> tuple[list[Any], NativeMeta]:
    """Read a page of the current states of rules, the latest change first.

    Raises:
        BadRequestError: a parameter is invalid.
        TooCostlyError, UnavailableError: as ``Reader.rows``.
    """
    if parameters.budget_id is not None:
        raise BadRequestError("budget_id: cannot be combined with state", field="budget_id")
    query = FindAlertStates(
        project_id,
        parameters.limit + 1,
        parameters.position(),
        parameters.states(),
        parameters.rule_id or "",
        parameters.episode_id or "",
    )
    rows = await context.reader.rows(query, _StateRow)
    page, meta = keyset_page(rows, parameters.limit, lambda row: (row.since_us, row.group_key))
    return [_shown_state(context, row) for row in page], meta


async def read_episode(context: AppContext, project_id: str, episode_id: str) -> EpisodeOut:
    """Read an episode with its alerts.

    Raises:
        NotFoundError: the project has no such episode.
        TooCostlyError, UnavailableError: as ``Reader.rows``.
    """
    states, rows = await asyncio.gather(
        context.reader.rows(FindAlertStates(project_id, 1, episode_id=episode_id), AlertStateRow),
        context.reader.rows(FindAlerts(project_id, HISTORY_MAX + 1, episode=episode_id), AlertRow),
    )
    if not states and not rows:
        raise NotFoundError(f"no episode {episode_id!r}")
    truncated = len(rows) > HISTORY_MAX
    rows = rows[HISTORY_MAX - 1 :: -1] if truncated else rows[::-1]
    current = _shown_state(context, states[0]) if states else None
    history = [_shown(row, context.event_types) for row in rows]
    exemplars = current.exemplars if current else list(getattr(history[-1], "exemplars", ()))
    found = context.control.view.by_unique_key(Acknowledgement, f"{project_id}/{episode_id}")
    return EpisodeOut(
        episode_id=episode_id,
        rule_id=states[0].rule_id if states else rows[-1].rule_id,
        rule_name=current.rule_name if current and current.rule_name else _last_name(rows),
        state=current.state if current else rows[-1].state,
        current=current,
        acknowledgement=None if found is None else shown_acknowledgement(found),
        exemplars=exemplars,
        exemplar_urls=urls_of(exemplars),
        history=history,
        truncated=truncated,
    )


def _last_name(rows: list[AlertRow]) -> str:
    return rows[-1].name if rows else ""


def _shown_state(context: AppContext, row: AlertStateRow) -> AlertStateOut:
    rules = context.control.view.in_project(AlertRule, row.project_id)
    return shown_state(row, rules.get(row.rule_id), now_us())


def _shown(row: AlertRow, event_types: EventTypes) -> msgspec.Struct:
    """Return an alert in the shape of its event type; if that is unknown, in the generic shape."""
    alert = alert_of_row(row)
    event_type = event_types.get(alert.event)
    return shown_alert(alert) if event_type is None else event_type.shown(alert)


def _list_of(event_types: EventTypes) -> Any:
    """Define the struct of a page, whose items have the shapes of all event types."""
    shapes: list[type[msgspec.Struct]] = [
        *(event_type.shape for event_type in event_types.values()),
        AlertStateOut,
    ]
    names = dict.fromkeys(shape.__name__ for shape in shapes)
    references = [{"$ref": f"#/components/schemas/{name}"} for name in names]
    item = Annotated[Any, msgspec.Meta(extra_json_schema={"anyOf": references})]
    return msgspec.defstruct("AlertList", [("data", list[item]), ("meta", NativeMeta)])
