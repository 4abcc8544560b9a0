"""Serve ``/v1/admin/projects/{project_id}/keys``: the keys of a project."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Path, Query
from pydantic import AfterValidator, ConfigDict, Field
from starlette.responses import Response

from producers.control.kinds.api_key import ApiKey
from producers.control.scopes import DEFAULT_SCOPES, SCOPES, Scope
from query_api import metrics
from query_api.body import Body
from query_api.context import Admin, AppContext
from query_api.errors import BadRequestError
from query_api.openapi.admin_examples import (
    KEY_CREATED_EXAMPLE,
    KEY_EXAMPLE,
    KEY_REQUEST_EXAMPLE,
    KEY_ROTATION_EXAMPLE,
)
from query_api.pages import NativeMeta
from query_api.responses import json_response
from query_api.tenants.keys import IssuedKey
from query_api.times import RecordInstant, iso
from query_api.v1.admin_projects import ProjectPath
from query_api.v1.crud import RECORD_ID_MAX
from query_api.v1.parameters import native_router
from query_api.v1.record_pages import ListParameters, page_of
from tracemill.clock import now_us

KeyPath = Annotated[
    str, Path(alias="key_id", max_length=RECORD_ID_MAX, examples=[KEY_EXAMPLE["id"]])
]
_KEYS = "/v1/admin/projects/{project_id}/keys"


def _in_future(at_us: int) -> int:
    if at_us <= now_us():
        raise ValueError("must be in the future")
    return at_us


class KeyBody(Body):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [KEY_REQUEST_EXAMPLE]})

    scopes: list[Scope] = Field(default=list(DEFAULT_SCOPES), min_length=1, max_length=len(SCOPES))
    expires_at: Annotated[RecordInstant, AfterValidator(_in_future)] | None = Field(
        None, description="Time of expiry; by default never."
    )
    note: str = Field("", max_length=255)


class KeyRotationBody(Body):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [KEY_ROTATION_EXAMPLE]}
    )

    overlap_s: int = Field(
        0, ge=0, description="Seconds for which the previous secret remains valid."
    )


_KEY_BY_DEFAULT = KeyBody()
_ROTATION_BY_DEFAULT = KeyRotationBody()


class KeyOut(msgspec.Struct, kw_only=True):
    id: str
    public_key: str
    hint: str
    """Beginning and end of the secret."""
    scopes: tuple[str, ...]
    note: str
    created_at: str
    expires_at: str | None
    last_used_at: str | None
    """The last use was in the hour after this time, because uses are recorded once per hour; null
    if the key was not used yet."""
    previous_secret_valid_until: str | None


class KeyCreated(KeyOut, kw_only=True):
    secret_key: str
    """Secret key; only this response contains it."""


class KeyList(msgspec.Struct):
    data: list[KeyOut]
    meta: NativeMeta | msgspec.UnsetType = msgspec.UNSET


def admin_keys_router(context: AppContext) -> APIRouter:
    router = native_router("projects and keys")
    documented, projects, keys = context.documented, context.projects, context.keys

    @router.post(
        _KEYS,
        status_code=201,
        summary="Create a key",
        description="Only this response contains the secret.",
        responses={
            201: documented.response(
                KeyCreated, "The key, which is valid immediately.", KEY_CREATED_EXAMPLE
            )
        },
    )
    async def create_key(
        admin: Admin, project_id: ProjectPath, body: KeyBody = _KEY_BY_DEFAULT
    ) -> Response:
        issued = await keys.issue(
            projects.find(admin, project_id),
            scopes=body.scopes,
            expires_at_us=body.expires_at,
            note=body.note,
        )
        return json_response(_created(issued), status=201)

    @router.get(
        _KEYS,
        summary="List keys",
        description="Oldest first, without secrets; all keys unless `limit` is given.",
        responses={200: documented.response(KeyList, "The keys.", {"data": [KEY_EXAMPLE]})},
    )
    async def list_keys(
        admin: Admin, project_id: ProjectPath, parameters: Annotated[ListParameters, Query()]
    ) -> Response:
        page, meta = page_of(keys.of(projects.find(admin, project_id)), parameters)
        return json_response(KeyList([shown_key(each) for each in page], meta))

    @router.get(
        f"{_KEYS}/{{key_id}}",
        summary="Get a key",
        responses={200: documented.response(KeyOut, "The key.", KEY_EXAMPLE)},
    )
    async def get_key(admin: Admin, project_id: ProjectPath, key_id: KeyPath) -> Response:
        return json_response(shown_key(keys.find(projects.find(admin, project_id), key_id)))

    @router.delete(
        f"{_KEYS}/{{key_id}}",
        status_code=204,
        summary="Revoke a key",
        description="The key is refused immediately.",
    )
    async def revoke_key(admin: Admin, project_id: ProjectPath, key_id: KeyPath) -> Response:
        await keys.revoke(projects.find(admin, project_id), key_id)
        return Response(status_code=204)

    @router.post(
        f"{_KEYS}/{{key_id}}/rotate",
        summary="Rotate the secret of a key",
        description="The public key is unchanged. Only this response contains the new secret.",
        responses={
            200: documented.response(
                KeyCreated,
                "The key with its new secret, which is valid immediately.",
                KEY_CREATED_EXAMPLE,
            )
        },
    )
    async def rotate_key(
        admin: Admin,
        project_id: ProjectPath,
        key_id: KeyPath,
        body: KeyRotationBody = _ROTATION_BY_DEFAULT,
    ) -> Response:
        overlap_max_s = context.settings.key_overlap_max_s
        if body.overlap_s > overlap_max_s:
            metrics.LIMITS_REACHED.labels("key_overlap_max_s").inc()
            raise BadRequestError(f"overlap_s: must be at most {overlap_max_s}", field="overlap_s")
        project = projects.find(admin, project_id)
        return json_response(_created(await keys.rotate(project, key_id, overlap_s=body.overlap_s)))

    return router


def shown_key(key: ApiKey) -> KeyOut:
    """Return a key as responses show it, without its secret."""
    return KeyOut(
        id=key.id,
        public_key=key.public_key,
        hint=key.hint,
        scopes=key.scopes,
        note=key.note,
        created_at=iso(key.created_us),
        expires_at=_iso(key.expires_at_us),
        last_used_at=_iso(key.last_used_us),
        previous_secret_valid_until=_iso(key.previous_valid_until_us),
    )


def _iso(at_us: int | None) -> str | None:
    return None if at_us is None else iso(at_us)


def _created(issued: IssuedKey) -> KeyCreated:
    return KeyCreated(**msgspec.structs.asdict(shown_key(issued.key)), secret_key=issued.secret)
