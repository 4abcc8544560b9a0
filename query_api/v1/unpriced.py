"""Serve ``/v1/prices/unpriced``: models with usage that has no price, by traffic."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Query
from pydantic import Field
from starlette.responses import Response

from query_api import cursors
from query_api.context import AppContext, ProjectId
from query_api.errors import BadRequestError
from query_api.numbers import Whole
from query_api.openapi.price_examples import UNPRICED_EXAMPLE
from query_api.prices.records import prices_of
from query_api.responses import json_response
from query_api.store.queries.unpriced import FindUnpriced
from query_api.times import InstantUs, RangeInstant, iso
from query_api.v1.parameters import NativeParameters, native_router, range_before
from tracemill.clock import now_us

DEFAULT_RANGE_US: Final = 7 * 86_400_000_000


class UnpricedParameters(NativeParameters):
    from_us: RangeInstant | None = Field(
        None,
        alias="from",
        description="Earliest start of a call; by default 7 days before `to`.",
        examples=["2026-11-14T12:00:00Z"],
    )
    to_us: RangeInstant | None = Field(
        None,
        alias="to",
        description="Exclusive; by default now.",
        examples=["2026-11-21T12:00:00Z"],
    )
    limit: Whole = Field(default=50, ge=1, le=500)
    cursor: cursors.CursorText | None = Field(
        default=None,
        description="`meta.cursor` of the previous page. It contains the time range, so `from` and"
        " `to` are not needed with it.",
    )


class UnpricedModel(msgspec.Struct, kw_only=True):
    """A model with usage that has no price."""

    model: str
    observations: int
    """Calls with usage that has no price."""
    unpriced_observations: int
    """Those of them without any cost; of the others, a part of the usage has a price."""
    units: int
    """Number of tokens and other units without a price."""
    usage: dict[str, int]
    """The same by usage type."""
    first_seen: str
    last_seen: str
    price: str | None
    """Id of a price that now fits the model; calls from before its creation remain unpriced."""


class UnpricedMeta(msgspec.Struct, rename={"from_": "from"}):
    from_: str
    to: str
    has_more: bool
    cursor: str | None


class UnpricedPage(msgspec.Struct):
    data: list[UnpricedModel]
    meta: UnpricedMeta


class _Position(msgspec.Struct):
    from_us: InstantUs
    to_us: InstantUs
    observations: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    model: str


class _Row(msgspec.Struct):
    model: str
    observations: int
    unpriced_observations: int
    units: int
    unpriced: dict[str, int]
    first_us: int
    last_us: int


def unpriced_router(context: AppContext) -> APIRouter:
    router = native_router("prices")

    @router.get(
        "/v1/prices/unpriced",
        summary="List models without a price",
        responses={
            200: context.documented.response(
                UnpricedPage, "By the number of calls.", UNPRICED_EXAMPLE
            )
        },
    )
    async def list_unpriced(
        project_id: ProjectId, parameters: Annotated[UnpricedParameters, Query()]
    ) -> Response:
        """Return the models with usage that has no price, with the most calls first.

        To add a price for a model, use `POST /v1/prices`. It applies to calls that arrive later.
        """
        return json_response(await read_unpriced(context, project_id, parameters))

    return router


async def read_unpriced(
    context: AppContext, project_id: str, parameters: UnpricedParameters
) -> UnpricedPage:
    """Read a page of models with usage that has no price.

    Raises:
        BadRequestError: a parameter is invalid.
        TooCostlyError, UnavailableError: as ``Reader.rows``.
    """
    from_us, to_us, below = _range_of(parameters, now_us())
    query = FindUnpriced(project_id, from_us, to_us, parameters.limit + 1, below)
    rows = await context.reader.rows(query, _Row)
    page, cursor = rows[: parameters.limit], None
    if len(rows) > len(page):
        last = page[-1]
        cursor = cursors.encode(_Position(from_us, to_us, last.observations, last.model))
    prices = prices_of(context.control.view, project_id)
    at_us = now_us()
    names = [row.model for row in page]
    found = context.explainer.price_ids(prices, project_id, names, at_us)
    meta = UnpricedMeta(iso(from_us), iso(to_us), cursor is not None, cursor)
    data = [_shown(row, price) for row, price in zip(page, found, strict=True)]
    return UnpricedPage(data, meta)


def _range_of(
    parameters: UnpricedParameters, at_us: int
) -> tuple[int, int, tuple[int, str] | None]:
    """Return the time range, and where the page begins.

    Raises:
        BadRequestError: the range is empty, or differs from that of the cursor.
    """
    if parameters.cursor is None:
        from_us, to_us = range_before(
            parameters.from_us, parameters.to_us, at_us=at_us, default_us=DEFAULT_RANGE_US
        )
        return from_us, to_us, None
    position = cursors.decode(parameters.cursor, _Position)
    for name, given, known in (
        ("from", parameters.from_us, position.from_us),
        ("to", parameters.to_us, position.to_us),
    ):
        if given is not None and given != known:
            raise BadRequestError(f"{name}: differs from that of the cursor", field=name)
    return position.from_us, position.to_us, (position.observations, position.model)


def _shown(row: _Row, price: str | None) -> UnpricedModel:
    return UnpricedModel(
        model=row.model,
        observations=row.observations,
        unpriced_observations=row.unpriced_observations,
        units=row.units,
        usage=row.unpriced,
        first_seen=iso(row.first_us),
        last_seen=iso(row.last_us),
        price=price,
    )
