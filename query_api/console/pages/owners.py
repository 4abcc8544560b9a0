"""List the sessions and the users of a project, and show a session as a conversation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

import msgspec
from pydantic import ValidationError
from starlette.datastructures import QueryParams
from starlette.responses import Response

from producers.token_sides import tokens_of
from query_api import cursors
from query_api.console.page import Page, View, text_of
from query_api.console.shown_values import ShownValue, shown_value
from query_api.console.text_formats import TextFormat
from query_api.console.time_ranges import ALL, PRESETS, TimeRange, time_range_of
from query_api.console.user_budgets import limits_of
from query_api.errors import BadRequestError, NotFoundError
from query_api.json_texts import Shown
from query_api.money import pico_of
from query_api.store.columns import TRACE_COLUMNS
from query_api.store.conditions import Condition
from query_api.store.owner_reading import OwnerRow, read_owners
from query_api.store.queries.owners import FindOwners
from query_api.store.queries.totals import Owner
from query_api.times import instant_us, iso
from query_api.v1.conversations import ConversationParameters, Turn, read_turns
from query_api.v1.owners import OwnerParameters, read_owner_page
from tracemill.clock import now_us

ROWS: Final = 50
TURNS: Final = 20
DEFAULT_RANGE: Final = "7d"
ORDERS: Final = ("last_seen", "cost", "traces", "tokens", "errors", "latency")


@dataclass(frozen=True, slots=True)
class OwnerShown:
    """A session or a user with its totals."""

    row: OwnerRow
    path: str
    cost_pico: int
    tokens: int
    p95_us: float | None


@dataclass(frozen=True, slots=True)
class TurnShown:
    """A trace of a session as a turn of its conversation."""

    turn: Turn
    path: str
    start_us: int
    cost_pico: int
    input: ShownValue
    output: ShownValue


async def show_sessions(view: View) -> Response:
    """Show a page of sessions, the latest first unless another order is chosen."""
    return await _list(view, "session_id")


async def show_users(view: View) -> Response:
    """Show a page of users, the latest first unless another order is chosen."""
    return await _list(view, "user_id")


async def show_session(view: View) -> Response:
    """Show the traces of a session as turns of a conversation, the earliest first."""
    session_id = view.request.path_params["session_id"]
    of_session = (Condition(TRACE_COLUMNS["sessionId"], "eq", session_id),)
    found = await read_owners(
        view.context.reader, FindOwners(view.project_id, "session_id", of_session, limit=1)
    )
    if not found:
        raise NotFoundError(f"no session {session_id[:128]!r}")
    cursor = view.parameter("cursor")
    if len(cursor) > cursors.LENGTH_MAX:
        raise BadRequestError("cursor: not a cursor of this page", field="cursor")
    parameters = ConversationParameters(limit=TURNS, cursor=cursor or None)
    turns, meta = await read_turns(view.context.reader, view.project_id, session_id, parameters)
    text_format = TextFormat(view)
    return view.render(
        "session.html",
        text_format=text_format,
        session=owner_shown(view, "session_id", found[0]),
        turns=[_turn(view, each, text_format) for each in turns],
        following=text_format.url(cursor=meta.cursor) if meta.cursor else "",
        is_first=not cursor,
    )


def range_and_order(parameters: QueryParams, at_us: int) -> tuple[TimeRange, str]:
    """Return what the query string of a list selects at a time.

    Raises:
        BadRequestError: the range or the order is invalid.
    """
    time_range = time_range_of(parameters, at_us, DEFAULT_RANGE)
    order = text_of(parameters, "order") or ORDERS[0]
    if order not in ORDERS:
        raise BadRequestError(f"order: must be one of {', '.join(ORDERS)}", field="order")
    return time_range, order


async def _list(view: View, owner: Owner) -> Response:
    time_range, order = range_and_order(view.request.query_params, now_us())
    rows, cursor = await read_owner_page(
        view.context.reader, view.project_id, owner, _parameters(view, time_range, order)
    )

    def url(**changed: str) -> str:
        """Return the query string with some parameters changed; empty ones are left out."""
        given = {**time_range.parameters, "order": order} | changed
        return f"?{urlencode({name: each for name, each in given.items() if each})}"

    return view.render(
        "owners.html",
        owner=owner,
        rows=[owner_shown(view, owner, each) for each in rows],
        limits=await limits_of(view, [each.owner_id for each in rows])
        if owner == "user_id"
        else {},
        range=time_range,
        presets=(*PRESETS, ALL),
        order=order,
        url=url,
        following=url(cursor=cursor) if cursor else "",
        is_first=not view.parameter("cursor"),
    )


def _parameters(view: View, time_range: TimeRange, order: str) -> OwnerParameters:
    bounds = {"from": time_range.from_us, "to": time_range.to_us}
    given = {name: iso(at_us) for name, at_us in bounds.items() if at_us is not None}
    try:
        return OwnerParameters.model_validate(
            {**given, "order_by": order, "limit": ROWS, "cursor": view.parameter("cursor") or None}
        )
    except ValidationError as error:
        raise BadRequestError("cursor: not a cursor of this page", field="cursor") from error


def owner_shown(view: View, owner: Owner, row: OwnerRow) -> OwnerShown:
    path = view.path("sessions" if owner == "session_id" else "users", row.owner_id)
    p95_ms = row.latencies_ms[1] if len(row.latencies_ms) > 1 else None
    return OwnerShown(
        row,
        path,
        pico_of(row.cost_usd),
        tokens_of(row.usage_sums)[2],
        None if p95_ms is None else p95_ms * 1_000,
    )


def _turn(view: View, turn: Turn, text_format: TextFormat) -> TurnShown:
    def value(shown: Shown) -> ShownValue:
        text = bytes(shown).decode() if isinstance(shown, msgspec.Raw) else shown or ""
        settings = view.settings
        return shown_value(
            text,
            chars_max=settings.text_chars_max,
            nodes_max=settings.json_nodes_max,
            formatting=text_format.formatting,
        )

    return TurnShown(
        turn,
        view.path("traces", turn.trace_id),
        instant_us(turn.start),
        pico_of(turn.cost_usd),
        value(turn.input),
        value(turn.output),
    )


REGISTERED = (
    Page("/sessions", show_sessions, title="Sessions", place=30),
    Page("/sessions/{session_id:path}", show_session),
    Page("/users", show_users, title="Users", place=40),
)
