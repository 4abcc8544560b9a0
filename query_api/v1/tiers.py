"""Serve ``/v1/tiers``: which user of a project has which tier, such as ``free`` or ``pro``."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Mapping
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Path, Query
from pydantic import AfterValidator, ConfigDict, Field
from starlette.responses import Response

from producers.tiers.record import TIER_CHARS_MAX, Tier
from query_api import cursors
from query_api.body import Body, require_unicode
from query_api.context import AppContext, ProjectId
from query_api.errors import NotFoundError
from query_api.numbers import Whole
from query_api.openapi.tier_examples import (
    TIER_EXAMPLE,
    TIER_REQUEST_EXAMPLE,
    TIERS_REQUEST_EXAMPLE,
    TIERS_WRITTEN_EXAMPLE,
)
from query_api.pages import NativeMeta
from query_api.responses import json_response
from query_api.v1.parameters import NativeParameters, native_router, require_at_most

USER_ID_CHARS_MAX: Final = 1_000
"""Maximum length of a user id, as in events."""
PAGE_MAX: Final = 1_000
SCANNED_AT_ONCE: Final = 5_000
"""Users that are compared before other requests are served, about a millisecond."""

_TIERS: Final = "/v1/tiers"
_TIER: Final = "/v1/tiers/{user_id:path}"


UserId = Annotated[
    str, Field(min_length=1, max_length=USER_ID_CHARS_MAX), AfterValidator(require_unicode)
]
TierName = Annotated[
    str, Field(min_length=1, max_length=TIER_CHARS_MAX), AfterValidator(require_unicode)
]
UserPath = Annotated[
    str,
    Path(
        min_length=1,
        max_length=USER_ID_CHARS_MAX,
        examples=[TIER_EXAMPLE["user_id"]],
        description="A slash may be encoded as `%2F` or not.",
    ),
    AfterValidator(require_unicode),
]


class SetTierBody(Body):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [TIER_REQUEST_EXAMPLE]}
    )

    tier: TierName


class UserTierBody(Body):
    model_config = ConfigDict(extra="forbid")

    user_id: UserId
    tier: TierName | None
    """Null removes the user's tier."""


class TiersBody(Body):
    """Tiers of several users; if a user appears twice, the last one is valid."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [TIERS_REQUEST_EXAMPLE]}
    )

    data: list[UserTierBody] = Field(min_length=1)


class TierParameters(NativeParameters):
    """Paging, sorted by user id."""

    tier: TierName | None = Field(default=None, description="Only users with this tier.")
    limit: Whole = Field(default=50, ge=1, le=PAGE_MAX)
    cursor: cursors.CursorText | None = Field(
        default=None, description="`meta.cursor` of the previous page."
    )


class UserTier(msgspec.Struct):
    user_id: str
    tier: str


class UserTierList(msgspec.Struct):
    data: list[UserTier]
    meta: NativeMeta


class TiersWritten(msgspec.Struct):
    written: int
    """Number of users whose tier was set or removed."""


class _Position(msgspec.Struct):
    user_id: str


def tiers_router(context: AppContext) -> APIRouter:
    """Return the routes."""
    router = native_router("tiers")
    shown = context.documented.response(UserTier, "The user's tier.", TIER_EXAMPLE)
    listed = context.documented.response(
        UserTierList,
        "Users and their tiers.",
        {"data": [TIER_EXAMPLE], "meta": {"has_more": False, "cursor": None}},
    )
    written = context.documented.response(
        TiersWritten, "The tiers are in effect.", TIERS_WRITTEN_EXAMPLE
    )
    per_project_max = context.settings.tiers_per_project_max
    per_request_max = context.settings.tiers_per_request_max

    async def write(tiers: list[Tier]) -> None:
        await context.tiers.write(tiers, per_project_max=per_project_max)

    @router.get(_TIERS, summary="List users' tiers", responses={200: listed})
    async def list_tiers(
        project_id: ProjectId, parameters: Annotated[TierParameters, Query()]
    ) -> Response:
        users = context.tiers.book.in_project(project_id)
        return json_response(await page_of_tiers(users, parameters))

    @router.put(
        _TIERS,
        summary="Set the tiers of several users",
        description=f"At most {per_request_max} users (`tiers_per_request_max`). Users that are not"
        " named keep their tiers. If the response is 503, some may have been written; repeat the"
        " request.",
        responses={200: written},
    )
    async def set_tiers(project_id: ProjectId, body: TiersBody) -> Response:
        require_at_most(
            context.settings,
            len(body.data),
            setting="tiers_per_request_max",
            field="data",
            unit="users in one request",
        )
        tiers = {each.user_id: each.tier or "" for each in body.data}
        await write([Tier(project_id, user_id, tier) for user_id, tier in tiers.items()])
        return json_response(TiersWritten(len(tiers)))

    @router.get(_TIER, summary="Get a user's tier", responses={200: shown})
    async def get_tier(project_id: ProjectId, user_id: UserPath) -> Response:
        return json_response(UserTier(user_id, _found(context, project_id, user_id)))

    @router.put(
        _TIER,
        summary="Set a user's tier",
        description="It is in effect at once, and outranks `user_tier` in the metadata of traces.",
        responses={200: shown},
    )
    async def set_tier(project_id: ProjectId, user_id: UserPath, body: SetTierBody) -> Response:
        await write([Tier(project_id, user_id, body.tier)])
        return json_response(UserTier(user_id, body.tier))

    @router.delete(_TIER, status_code=204, summary="Remove a user's tier")
    async def delete_tier(project_id: ProjectId, user_id: UserPath) -> Response:
        _found(context, project_id, user_id)
        await write([Tier(project_id, user_id, "")])
        return Response(status_code=204)

    return router


def _found(context: AppContext, project_id: str, user_id: str) -> str:
    tier = context.tiers.book.tier_of(project_id, user_id)
    if not tier:
        raise NotFoundError(f"user {user_id[:100]!r} has no tier")
    return tier


async def page_of_tiers(users: Mapping[str, str], parameters: TierParameters) -> UserTierList:
    """Return the next users in the order of their ids.

    There is no index by id, because pages are rarely requested and it would take memory in
    proportion to the users.
    """
    after = None
    if parameters.cursor is not None:
        after = cursors.decode(parameters.cursor, _Position).user_id
    items, best = list(users.items()), list[tuple[str, str]]()
    for first in range(0, len(items), SCANNED_AT_ONCE):
        found = [
            item
            for item in items[first : first + SCANNED_AT_ONCE]
            if (after is None or item[0] > after)
            and (parameters.tier is None or item[1] == parameters.tier)
        ]
        best = heapq.nsmallest(parameters.limit + 1, [*best, *found])
        await asyncio.sleep(0)
    page, has_more = best[: parameters.limit], len(best) > parameters.limit
    cursor = cursors.encode(_Position(page[-1][0])) if has_more else None
    return UserTierList([UserTier(*item) for item in page], NativeMeta(has_more, cursor))
