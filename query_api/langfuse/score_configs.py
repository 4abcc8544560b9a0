"""Serve ``/api/public/score-configs``: the type and the allowed values of scores."""

from __future__ import annotations

import secrets
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from producers.control.kinds.score_config import ScoreConfig
from query_api.context import AppContext, ProjectId
from query_api.errors import BadRequestError, NotFoundError
from query_api.langfuse.parameters import PageParameters
from query_api.langfuse.score_config_bodies import (
    ScoreConfigBody,
    ScoreConfigChangeBody,
    categories_of,
    check_fields,
)
from query_api.openapi.score_config_examples import (
    SCORE_CONFIG_EXAMPLE,
    SCORE_CONFIG_LIST_EXAMPLE,
)
from query_api.pages import PageMeta, page_meta
from query_api.responses import Responses, json_response
from query_api.times import iso
from tracemill.clock import now_us

_ALL = "/api/public/score-configs"
_ONE = "/api/public/score-configs/{config_id}"
_NOT_FOUND = "Score config not found within authorized project"

ScoreConfigId = Annotated[
    str,
    Path(min_length=1, max_length=128, examples=["sco_5c1d0e8f7a6b4c3d2e1f0a9b"]),
]


class CategoryOut(msgspec.Struct):
    label: str
    value: float


class ScoreConfigOut(msgspec.Struct, rename="camel", kw_only=True):
    id: str
    name: str
    created_at: str
    updated_at: str
    project_id: str
    data_type: str
    is_archived: bool
    min_value: float | None
    max_value: float | None
    categories: list[CategoryOut] | None
    description: str | None


class ScoreConfigList(msgspec.Struct):
    data: list[ScoreConfigOut]
    meta: PageMeta


def score_configs_router(context: AppContext) -> APIRouter:
    router = APIRouter(tags=["scores"])
    documented = context.documented
    one: Responses = {
        200: documented.response(ScoreConfigOut, "The score config.", SCORE_CONFIG_EXAMPLE)
    }

    @router.get(
        _ALL,
        summary="List score configs",
        responses={
            200: documented.response(
                ScoreConfigList, "A page of score configs.", SCORE_CONFIG_LIST_EXAMPLE
            )
        },
    )
    async def list_score_configs(
        project_id: ProjectId, parameters: Annotated[PageParameters, Query()]
    ) -> Response:
        """Newest first, including archived ones."""
        configs = configs_of(context, project_id)
        page = configs[parameters.offset : parameters.offset + parameters.limit]
        meta = page_meta(parameters.page, parameters.limit, len(configs))
        return json_response(ScoreConfigList([_shown(each) for each in page], meta))

    @router.post(_ALL, summary="Create a score config", responses=one)
    async def create_score_config(project_id: ProjectId, body: ScoreConfigBody) -> Response:
        """Create a score config. Scores refer to it by `configId`, and must meet it."""
        return json_response(_shown(await create_config(context, project_id, body)))

    @router.get(_ONE, summary="Get a score config", responses=one)
    async def get_score_config(project_id: ProjectId, config_id: ScoreConfigId) -> Response:
        return json_response(_shown(_find(context, project_id, config_id)))

    @router.patch(_ONE, summary="Change a score config", responses=one)
    async def change_score_config(
        project_id: ProjectId, config_id: ScoreConfigId, body: ScoreConfigChangeBody
    ) -> Response:
        """Change or archive a score config. Existing scores do not change.

        The data type cannot be changed. Configs cannot be deleted, because scores refer to them.
        """
        return json_response(_shown(await change_config(context, project_id, config_id, body)))

    return router


async def create_config(context: AppContext, project_id: str, body: ScoreConfigBody) -> ScoreConfig:
    """Create a score config.

    Raises:
        ConflictError: the project has too many.
        UnavailableError: it was not written in time.
    """
    at_us = now_us()
    config = ScoreConfig(
        id=f"sco_{secrets.token_hex(12)}",
        project_id=project_id,
        name=body.name,
        data_type=body.data_type,
        categories=categories_of(body.data_type, body.categories),
        min_value=body.min_value,
        max_value=body.max_value,
        description=body.description,
        created_us=at_us,
        updated_us=at_us,
    )
    held = context.control.view.in_project(ScoreConfig, project_id)
    with context.score_config_quota.taken_by(config, held):
        await context.control.create(config)
    return config


async def change_config(
    context: AppContext, project_id: str, config_id: str, body: ScoreConfigChangeBody
) -> ScoreConfig:
    """Change or archive a score config.

    Raises:
        NotFoundError: there is none.
        BadRequestError: a field does not fit the data type.
        UnavailableError: it was not written in time.
    """
    held = _find(context, project_id, config_id)
    _changed(held, body)  # refuses a change that does not fit, before it is written
    written = await context.control.update(
        ScoreConfig, held.id, lambda config: _changed(config, body)
    )
    if written is None:
        raise NotFoundError(_NOT_FOUND)
    return written


def configs_of(context: AppContext, project_id: str) -> list[ScoreConfig]:
    """Return the score configs of a project, the newest first, including archived ones."""
    return sorted(
        context.control.view.in_project(ScoreConfig, project_id).values(),
        key=lambda each: each.position,
        reverse=True,
    )


def _find(context: AppContext, project_id: str, config_id: str) -> ScoreConfig:
    found = context.control.view.in_project(ScoreConfig, project_id).get(config_id)
    if found is None:
        raise NotFoundError(_NOT_FOUND)
    return found


def _changed(held: ScoreConfig, body: ScoreConfigChangeBody) -> ScoreConfig:
    """Return a config with the fields of a body.

    Raises:
        BadRequestError: the result has a field that its data type does not allow.
    """
    fields: dict[str, Any] = {
        name: getattr(body, name)
        for name in body.model_fields_set
        if name in ScoreConfig.model_fields
    }
    for name in ("name", "is_archived"):
        if fields.get(name) is None:
            fields.pop(name, None)
    given = body.categories if "categories" in fields else held.categories
    if "categories" not in fields and held.data_type == "BOOLEAN":
        given = None
    try:
        check_fields(
            held.data_type,
            given,
            fields.get("min_value", held.min_value),
            fields.get("max_value", held.max_value),
        )
    except ValueError as error:
        field = str(error).partition(":")[0].partition(",")[0]
        raise BadRequestError(str(error), field=field) from error
    if "categories" in fields:
        fields["categories"] = categories_of(held.data_type, body.categories)
    return held.model_copy(update={**fields, "updated_us": now_us()})


def _shown(config: ScoreConfig) -> ScoreConfigOut:
    categories = [CategoryOut(each.label, each.value) for each in config.categories]
    return ScoreConfigOut(
        id=config.id,
        name=config.name,
        created_at=iso(config.created_us),
        updated_at=iso(config.updated_us),
        project_id=config.project_id,
        data_type=config.data_type,
        is_archived=config.is_archived,
        min_value=config.min_value,
        max_value=config.max_value,
        categories=categories or None,
        description=config.description,
    )
