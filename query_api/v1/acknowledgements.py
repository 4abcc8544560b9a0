"""Serve ``/v1/alerts/{episode_id}/acknowledge``: acknowledgements of episodes."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Annotated, Final

from fastapi import APIRouter, Path
from pydantic import ConfigDict, Field
from starlette.responses import Response

from clickhouse.rows import AlertRow, AlertStateRow
from producers.control.kinds.acknowledgement import Acknowledgement
from producers.errors import ControlConflictError
from query_api import metrics
from query_api.alerting.shapes import AcknowledgementOut, shown_acknowledgement
from query_api.body import Body
from query_api.context import AppContext, ProjectId
from query_api.errors import NotFoundError
from query_api.openapi.alert_examples import (
    ACKNOWLEDGEMENT_EXAMPLE,
    ACKNOWLEDGEMENT_REQUEST_EXAMPLE,
)
from query_api.responses import json_response
from query_api.settings import limit_setting
from query_api.store.queries.alert_states import FindAlertStates
from query_api.store.queries.alerts import FindAlerts
from query_api.texts import Lines, OneLine
from tracemill.clock import now_us

EPISODE_CHARS_MAX: Final = 300
_PATH: Final = "/v1/alerts/{episode_id}/acknowledge"
EpisodeId = Annotated[
    str,
    Path(
        max_length=EPISODE_CHARS_MAX,
        description="Id of an episode, or of one of its alerts.",
        examples=[ACKNOWLEDGEMENT_EXAMPLE["episode_id"]],
    ),
]


class AcknowledgementBody(Body):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [ACKNOWLEDGEMENT_REQUEST_EXAMPLE]}
    )

    author: OneLine = Field(
        "", max_length=255, description="Name of the person who handles the episode."
    )
    note: Lines = Field("", max_length=2_000)


_ACKNOWLEDGEMENT_BY_DEFAULT: Final = AcknowledgementBody()


def add_acknowledgements(router: APIRouter, context: AppContext) -> None:
    """Add the routes that acknowledge an episode, and withdraw that."""

    @router.post(
        _PATH,
        summary="Acknowledge an episode",
        responses={
            200: context.documented.response(
                AcknowledgementOut, "The acknowledgement.", ACKNOWLEDGEMENT_EXAMPLE
            )
        },
    )
    async def acknowledge(
        project_id: ProjectId,
        episode_id: EpisodeId,
        body: AcknowledgementBody = _ACKNOWLEDGEMENT_BY_DEFAULT,
    ) -> Response:
        """Stop repeated notifications of an episode. It replaces an earlier acknowledgement."""
        record = await acknowledge_episode(context, project_id, episode_id, body)
        return json_response(shown_acknowledgement(record))

    @router.delete(_PATH, status_code=204, summary="Withdraw an acknowledgement")
    async def take_back(project_id: ProjectId, episode_id: EpisodeId) -> Response:
        await withdraw_acknowledgement(context, project_id, episode_id)
        return Response(status_code=204)


async def acknowledge_episode(
    context: AppContext, project_id: str, episode_id: str, body: AcknowledgementBody
) -> Acknowledgement:
    """Acknowledge an episode of a project, which is named by its id or that of an alert.

    Raises:
        NotFoundError: the project has no such episode.
        ControlError: the control log does not respond.
    """
    try:
        rule_id = await _rule_of(context, project_id, episode_id)
    except NotFoundError:
        episode_id = await episode_of(context, project_id, episode_id)
        rule_id = await _rule_of(context, project_id, episode_id)
    record = Acknowledgement(
        id=_id_of(project_id, episode_id),
        project_id=project_id,
        episode_id=episode_id,
        rule_id=rule_id,
        author=body.author,
        note=body.note,
        created_us=now_us(),
    )
    await _write(context, record)
    return record


async def withdraw_acknowledgement(context: AppContext, project_id: str, episode_id: str) -> None:
    """Delete the acknowledgement of an episode.

    Raises:
        NotFoundError: there is none.
        ControlError: the control log does not respond.
    """
    held = context.control.view.in_project(Acknowledgement, project_id)
    record_id = _id_of(project_id, episode_id)
    if record_id not in held:
        record_id = _id_of(project_id, await episode_of(context, project_id, episode_id))
    if record_id not in held:
        raise NotFoundError(f"no acknowledgement of {episode_id!r}")
    await context.control.delete(Acknowledgement.kind, record_id)


async def episode_of(context: AppContext, project_id: str, alert_id: str) -> str:
    """Return the episode of an alert of a rule; if there is no such alert, ``alert_id``.

    Raises:
        TooCostlyError, UnavailableError: as ``Reader.rows``.
    """
    rows = await context.reader.rows(FindAlerts(project_id, 1, alert_id=alert_id), AlertRow)
    return rows[0].episode if rows and rows[0].rule_id and rows[0].episode else alert_id


def _id_of(project_id: str, episode_id: str) -> str:
    digest = hashlib.blake2b(f"{project_id}\0{episode_id}".encode(), digest_size=12)
    return f"ack_{digest.hexdigest()}"


async def _rule_of(context: AppContext, project_id: str, episode_id: str) -> str:
    """Return the rule of an episode.

    Raises:
        NotFoundError: the project has no such episode.
    """
    states, alerts = await asyncio.gather(
        context.reader.rows(FindAlertStates(project_id, 1, episode_id=episode_id), AlertStateRow),
        context.reader.rows(FindAlerts(project_id, 1, episode=episode_id), AlertRow),
    )
    found = [each.rule_id for each in states] + [each.rule_id for each in alerts]
    if not found:
        raise NotFoundError(f"no episode {episode_id!r}")
    return found[0]


async def _write(context: AppContext, record: Acknowledgement) -> None:
    """Write a record; if the project has too many, delete the oldest ones."""
    held = context.control.view.in_project(Acknowledgement, record.project_id)
    if record.id not in held:
        setting = limit_setting(Acknowledgement)
        limit: int = getattr(context.settings, setting)
        oldest = sorted(held.values(), key=lambda each: each.position)
        for each in oldest[: max(len(held) + 1 - limit, 0)]:
            metrics.LIMITS_REACHED.labels(setting).inc()
            await context.control.delete(each.kind, each.id)
        try:
            await context.control.create(record)
        except ControlConflictError:  # another request has created it meanwhile
            await context.control.put(record)
        return
    await context.control.put(record)
