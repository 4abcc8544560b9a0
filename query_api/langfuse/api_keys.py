"""Serve ``/api/public/projects/{projectId}/apiKeys``: the keys of a project."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Path
from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel
from starlette.responses import Response

from producers.control.auth import Principal
from producers.control.kinds.api_key import ApiKey
from query_api.body import Body
from query_api.context import Admin, AppContext
from query_api.errors import BadRequestError
from query_api.langfuse.projects import ID_MAX, ProjectPath
from query_api.openapi.langfuse_admin_examples import (
    API_KEY_CREATED_EXAMPLE,
    API_KEY_EXAMPLE,
    API_KEY_REQUEST_EXAMPLE,
)
from query_api.responses import json_response
from query_api.times import iso

KeyPath = Annotated[
    str, Path(alias="apiKeyId", max_length=ID_MAX, examples=[API_KEY_EXAMPLE["id"]])
]
HIDDEN = "sk-…"
_KEYS = "/api/public/projects/{projectId}/apiKeys"


class LangfuseKeyBody(Body):
    model_config = ConfigDict(
        alias_generator=to_camel, json_schema_extra={"examples": [API_KEY_REQUEST_EXAMPLE]}
    )

    note: str | None = Field(None, max_length=255)
    public_key: str | None = Field(None, pattern=r"^pk-[!-9;-~]{8,200}$")
    secret_key: str | None = Field(
        None, pattern=r"^sk-[!-~]{16,200}$", description="Only together with `publicKey`."
    )


class ApiKeyOut(msgspec.Struct, rename="camel", kw_only=True):
    id: str
    created_at: str
    expires_at: str | None
    last_used_at: str | None
    note: str | None
    public_key: str
    display_secret_key: str


class ApiKeyList(msgspec.Struct, rename="camel"):
    api_keys: list[ApiKeyOut]


class ApiKeyCreated(msgspec.Struct, rename="camel", kw_only=True):
    id: str
    created_at: str
    public_key: str
    secret_key: str
    display_secret_key: str
    note: str | None


class ApiKeyDeletion(msgspec.Struct):
    success: bool


def api_keys_router(context: AppContext) -> APIRouter:
    router = APIRouter(tags=["projects"])
    documented, projects, keys = context.documented, context.projects, context.keys

    @router.get(
        _KEYS,
        summary="List the keys of a project",
        responses={
            200: documented.response(
                ApiKeyList, "The keys, without secrets.", {"apiKeys": [API_KEY_EXAMPLE]}
            )
        },
    )
    async def list_api_keys(admin: Admin, project_id: ProjectPath) -> Response:
        found = keys.of(projects.find(admin, project_id))
        return json_response(ApiKeyList([_shown(each) for each in found]))

    @router.post(
        _KEYS,
        status_code=201,
        summary="Create a key of a project",
        description="Only this response contains its secret. It has all scopes but `admin`."
        " `publicKey` and `secretKey` are only for the installation's admin key.",
        responses={
            201: documented.response(
                ApiKeyCreated, "The key, which is valid immediately.", API_KEY_CREATED_EXAMPLE
            )
        },
    )
    async def create_api_key(
        admin: Admin, project_id: ProjectPath, body: LangfuseKeyBody
    ) -> Response:
        _refuse_chosen_by_project(admin, body)
        if (body.public_key is None) != (body.secret_key is None):
            missing = "secretKey" if body.secret_key is None else "publicKey"
            raise BadRequestError(
                f"{missing}: set both publicKey and secretKey, or neither",
                field=missing,
            )
        issued = await keys.issue(
            projects.find(admin, project_id),
            note=body.note or "",
            public_key=body.public_key or "",
            secret=body.secret_key or "",
        )
        key = issued.key
        created = ApiKeyCreated(
            id=key.id,
            created_at=iso(key.created_us),
            public_key=key.public_key,
            secret_key=issued.secret,
            display_secret_key=key.hint or HIDDEN,
            note=key.note or None,
        )
        return json_response(created, status=201)

    @router.delete(
        f"{_KEYS}/{{apiKeyId}}",
        summary="Delete a key of a project",
        description="The key is refused immediately.",
        responses={200: documented.response(ApiKeyDeletion, "It was deleted.", {"success": True})},
    )
    async def delete_api_key(admin: Admin, project_id: ProjectPath, key_id: KeyPath) -> Response:
        await keys.revoke(projects.find(admin, project_id), key_id)
        return json_response(ApiKeyDeletion(True))

    return router


def _refuse_chosen_by_project(caller: Principal, body: LangfuseKeyBody) -> None:
    """Refuse a chosen key pair, unless the caller is the installation's admin.

    Public keys are unique in the installation, so a conflict would reveal a key of another project.
    """
    for field, chosen in (("publicKey", body.public_key), ("secretKey", body.secret_key)):
        if chosen is not None and caller.owner is not None:
            raise BadRequestError(
                f"{field}: only the installation's admin key can choose it; without publicKey and"
                " secretKey, both are generated",
                field=field,
            )


def _shown(key: ApiKey) -> ApiKeyOut:
    return ApiKeyOut(
        id=key.id,
        created_at=iso(key.created_us),
        expires_at=None if key.expires_at_us is None else iso(key.expires_at_us),
        last_used_at=None if key.last_used_us is None else iso(key.last_used_us),
        note=key.note or None,
        public_key=key.public_key,
        display_secret_key=key.hint or HIDDEN,
    )
