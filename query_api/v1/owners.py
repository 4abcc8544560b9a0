"""Serve ``/v1/sessions`` and ``/v1/users``: lists with totals, and conversations of sessions."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

import msgspec
from fastapi import APIRouter, Query
from pydantic import Field
from starlette.responses import Response

from query_api import cursors
from query_api.context import AppContext, ProjectId
from query_api.errors import BadRequestError, NotFoundError
from query_api.numbers import Whole
from query_api.openapi.session_examples import (
    CONVERSATION_EXAMPLE,
    SESSION_LIST_EXAMPLE,
    USER_EXAMPLE,
    USER_LIST_EXAMPLE,
)
from query_api.pages import NativeMeta
from query_api.responses import json_response
from query_api.store.columns import TRACE_COLUMNS
from query_api.store.conditions import Condition
from query_api.store.owner_reading import OwnerRow, read_owners, read_scores_of_owners
from query_api.store.queries.owners import ORDERS, FindOwners
from query_api.store.queries.totals import Owner
from query_api.store.reader import Reader
from query_api.times import InstantUs, RangeInstant
from query_api.v1.conversations import Conversation, ConversationParameters, read_turns
from query_api.v1.owner_totals import SessionId, UserId
from query_api.v1.parameters import Name, Names, NativeParameters, native_router
from query_api.v1.shapes.owner import SessionOut, UserOut, session_out, user_out

OrderBy = Literal[
    "last_seen",
    "first_seen",
    "cost",
    "tokens",
    "traces",
    "observations",
    "errors",
    "latency",
]
_INTEGER: Final = re.compile(r"-?[0-9]{1,19}", re.ASCII)
_DECIMAL: Final = re.compile(r"-?[0-9]{1,25}(\.[0-9]{1,12})?", re.ASCII)


class _Position(msgspec.Struct):
    order_by: str
    value: str
    id: str
    from_us: InstantUs | None = None
    to_us: InstantUs | None = None
    """The range of the first page, because durations before now would move."""


class OwnerParameters(NativeParameters):
    """Filters of traces, order and paging."""

    from_us: RangeInstant | None = Field(
        default=None,
        alias="from",
        description="Only traces that started at this time or later.",
        examples=["2026-11-21T11:00:00Z"],
    )
    to_us: RangeInstant | None = Field(
        default=None,
        alias="to",
        description="Only traces that started before this time.",
        examples=["2026-11-21T13:00:00Z"],
    )
    environment: Names = []
    trace_name: Name | None = None
    tag: Names = Field(default=[], description="Only traces with all these tags.")
    release: Name | None = None
    version: Name | None = None
    order_by: OrderBy = Field(
        default="last_seen",
        description="What to sort by; `latency` is that of the slowest trace.",
    )
    order: Literal["desc", "asc"] = "desc"
    limit: Whole = Field(default=50, ge=1, le=100)
    cursor: cursors.CursorText | None = Field(
        default=None, description="`meta.cursor` of the previous page."
    )

    def conditions(self) -> tuple[Condition, ...]:
        """Return the conditions on traces. Raises like ``position``."""
        from_us, to_us = self.range_us()
        return tuple(
            Condition(TRACE_COLUMNS[column], operator, value)  # type: ignore[arg-type]
            for column, operator, value in (
                ("timestamp", "ge", from_us),
                ("timestamp", "lt", to_us),
                ("environment", "in", tuple(self.environment)),
                ("name", "eq", self.trace_name),
                ("tags", "has_all", tuple(self.tag)),
                ("release", "eq", self.release),
                ("version", "eq", self.version),
                *self.more(),
            )
            if value not in (None, ())
        )

    def more(self) -> tuple[tuple[str, str, str | None], ...]:
        return ()

    def range_us(self) -> tuple[int | None, int | None]:
        """Return the range of the first page. Raises like ``position``."""
        position = self.position()
        given = (self.from_us, self.to_us)
        first = given if position is None else (position.from_us, position.to_us)
        return given if first == (None, None) else first

    def position(self) -> _Position | None:
        """Return the position of the cursor.

        Raises:
            BadRequestError: it is not a cursor of this order.
        """
        if self.cursor is None:
            return None
        found = cursors.decode(self.cursor, _Position)
        if found.order_by != self.order_by or not _is_value_of(self.order_by, found.value):
            raise BadRequestError("cursor: not a cursor of this order", field="cursor")
        return found


def _is_value_of(order: str, text: str) -> bool:
    """Return whether the store can compare a text with the values of an order."""
    if ORDERS[order].type_name == "Int64":
        return bool(_INTEGER.fullmatch(text)) and -(2**63) <= int(text) < 2**63
    return bool(_DECIMAL.fullmatch(text))


class SessionParameters(OwnerParameters):
    user_id: Name | None = Field(default=None, description="Only traces of this user.")

    def more(self) -> tuple[tuple[str, str, str | None], ...]:
        return (("userId", "eq", self.user_id),)


class UserParameters(OwnerParameters):
    session_id: Name | None = Field(default=None, description="Only traces of this session.")

    def more(self) -> tuple[tuple[str, str, str | None], ...]:
        return (("sessionId", "eq", self.session_id),)


class SessionList(msgspec.Struct):
    data: list[SessionOut]
    meta: NativeMeta


class UserList(msgspec.Struct):
    data: list[UserOut]
    meta: NativeMeta


async def read_owner_page(
    reader: Reader, project_id: str, owner: Owner, parameters: OwnerParameters
) -> tuple[list[OwnerRow], str | None]:
    """Return a page of users or sessions, and the cursor of the next one.

    Raises:
        BadRequestError: the cursor is not one of this order.
        TooCostlyError, UnavailableError: as ``Reader.rows``.
    """
    position = parameters.position()
    query = FindOwners(
        project_id,
        owner,
        parameters.conditions(),
        order=parameters.order_by,
        descending=parameters.order == "desc",
        limit=parameters.limit + 1,
        after=None if position is None else (position.value, position.id),
    )
    found = await read_owners(reader, query)
    rows = found[: parameters.limit]
    cursor = None
    if len(found) > len(rows):
        last = rows[-1]
        cursor = cursors.encode(
            _Position(parameters.order_by, last.sort_text, last.owner_id, *parameters.range_us())
        )
    return rows, cursor


def owners_router(context: AppContext) -> APIRouter:
    """Return the routes."""
    router = native_router("totals")
    reader, settings = context.reader, context.settings
    documented = context.documented

    async def shown(project_id: str, owner: Owner, rows: list[OwnerRow]) -> list[Any]:
        ids = [row.owner_id for row in rows]
        names_max = settings.owner_score_names_max
        scores = await read_scores_of_owners(reader, project_id, owner, ids, names_max)
        make = session_out if owner == "session_id" else user_out
        return [make(row, scores[row.owner_id]) for row in rows]

    async def page(
        project_id: str, owner: Owner, parameters: OwnerParameters
    ) -> tuple[list[Any], NativeMeta]:
        rows, cursor = await read_owner_page(reader, project_id, owner, parameters)
        return await shown(project_id, owner, rows), NativeMeta(cursor is not None, cursor)

    async def one(project_id: str, owner: Owner, column: str, owner_id: str) -> Any:
        of_owner = (Condition(TRACE_COLUMNS[column], "eq", owner_id),)
        rows = await read_owners(reader, FindOwners(project_id, owner, of_owner, limit=1))
        if not rows:
            noun = owner.removesuffix("_id")
            raise NotFoundError(f"no {noun} {owner_id[:128]!r}")
        return (await shown(project_id, owner, rows))[0]

    @router.get(
        "/v1/sessions",
        summary="List sessions with their totals",
        responses={
            200: documented.response(SessionList, "A page of sessions.", SESSION_LIST_EXAMPLE)
        },
    )
    async def list_sessions(
        project_id: ProjectId, parameters: Annotated[SessionParameters, Query()]
    ) -> Response:
        """Return totals of the traces that meet the filters; scores are those of all traces."""
        return json_response(SessionList(*await page(project_id, "session_id", parameters)))

    @router.get(
        "/v1/users",
        summary="List users with their totals",
        responses={200: documented.response(UserList, "A page of users.", USER_LIST_EXAMPLE)},
    )
    async def list_users(
        project_id: ProjectId, parameters: Annotated[UserParameters, Query()]
    ) -> Response:
        """Return totals of the traces that meet the filters; scores are those of all traces."""
        return json_response(UserList(*await page(project_id, "user_id", parameters)))

    @router.get(
        "/v1/users/{user_id:path}",
        summary="Get a user with its totals",
        responses={200: documented.response(UserOut, "The user.", USER_EXAMPLE)},
    )
    async def get_user(project_id: ProjectId, user_id: UserId) -> Response:
        return json_response(await one(project_id, "user_id", "userId", user_id))

    @router.get(
        "/v1/sessions/{session_id:path}",
        summary="Get a session with its conversation",
        responses={
            200: documented.response(Conversation, "A page of its traces.", CONVERSATION_EXAMPLE)
        },
    )
    async def get_session(
        project_id: ProjectId,
        session_id: SessionId,
        parameters: Annotated[ConversationParameters, Query()],
    ) -> Response:
        """Return the totals of the session, and its traces as turns, the earliest first."""
        session = await one(project_id, "session_id", "sessionId", session_id)
        turns, meta = await read_turns(reader, project_id, session_id, parameters)
        return json_response(Conversation(session, turns, meta))

    return router
