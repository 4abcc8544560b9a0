"""Serve ``/v1/prices/defaults``: prices that apply to projects without their own price."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query
from pydantic import Field
from starlette.responses import Response

from producers.control.kinds.price import Price, PriceTier
from producers.model_patterns import NAME_CHARS_MAX, ModelPattern
from query_api import cursors
from query_api.context import AnyReader, AppContext
from query_api.numbers import Whole
from query_api.openapi.price_examples import DEFAULT_PRICES_EXAMPLE
from query_api.pages import NativeMeta
from query_api.prices.amounts import usd_per_million
from query_api.prices.defaults import DefaultPrice, DefaultPriceList, DefaultTier
from query_api.responses import json_response
from query_api.times import iso, iso_or_none
from query_api.v1.parameters import NativeParameters, native_router


class Hours(msgspec.Struct):
    """Hours of each day in UTC; the end may be on the next day."""

    start: str
    end: str


class DefaultTierOut(msgspec.Struct, kw_only=True):
    input_above: int | None
    when: dict[str, str]
    effective_from: str | None
    hours: Hours | None
    usd_per_million: dict[str, str]


class DefaultPriceOut(msgspec.Struct, kw_only=True):
    id: str
    origin: str
    """``installation``: created by the installation's admin; ``shipped``: part of tracemill."""
    provider: str | None
    model: str
    match: str
    """Pattern of model names. Shipped prices also apply to variants of a name."""
    effective_from: str | None
    hours: Hours | None
    usd_per_million: dict[str, str]
    tiers: list[DefaultTierOut]
    source: str
    as_of: str
    """Date on which the source was read, or the price was created."""


class DefaultPricesPage(msgspec.Struct):
    data: list[DefaultPriceOut]
    meta: NativeMeta


class DefaultPriceParameters(NativeParameters):
    model: str | None = Field(
        None,
        min_length=1,
        max_length=NAME_CHARS_MAX,
        description="Only prices that apply to this model name, as applications send it.",
        examples=["gpt-4o"],
    )
    limit: Whole = Field(default=50, ge=1, le=500)
    cursor: cursors.CursorText | None = Field(
        default=None, description="`meta.cursor` of the previous page."
    )


class _Position(msgspec.Struct):
    is_shipped: bool
    id: str


def default_prices_router(context: AppContext) -> APIRouter:
    router = native_router("prices")

    @router.get(
        "/v1/prices/defaults",
        summary="List default prices",
        responses={
            200: context.documented.response(
                DefaultPricesPage, "A page of prices.", DEFAULT_PRICES_EXAMPLE
            )
        },
    )
    async def list_default_prices(
        _: AnyReader, parameters: Annotated[DefaultPriceParameters, Query()]
    ) -> Response:
        """Return the installation's prices, then those that ship with tracemill, by id.

        The admin key may read them, too.

        A project's own price for a model takes precedence over one of the installation, and one of
        the installation over a shipped one. Of several such prices, the one with the most specific
        pattern applies, then the one with the latest `effective_from` that is not after the call.
        """
        return json_response(read_default_prices(context, parameters))

    return router


def read_default_prices(
    context: AppContext, parameters: DefaultPriceParameters
) -> DefaultPricesPage:
    """Return a page of default prices.

    Raises:
        BadRequestError: the cursor is invalid.
    """
    records = context.control.view.in_project(Price, None).values()
    after = (False, "")
    if parameters.cursor is not None:
        position = cursors.decode(parameters.cursor, _Position)
        after = position.is_shipped, position.id
    page: list[DefaultPriceOut] = []
    for shown in _sorted_prices(records, context.default_prices, parameters.model, after):
        if len(page) == parameters.limit:
            last = page[-1]
            cursor = cursors.encode(_Position(last.origin == "shipped", last.id))
            return DefaultPricesPage(page, NativeMeta(has_more=True, cursor=cursor))
        page.append(shown)
    return DefaultPricesPage(page, NativeMeta(has_more=False, cursor=None))


def shipped_prices(shipped: DefaultPriceList, model: str | None) -> Iterator[DefaultPriceOut]:
    """Yield the prices that ship with tracemill, sorted by id; with ``model``, only its prices."""
    return _sorted_prices((), shipped, model, (False, ""))


def _sorted_prices(
    records: Iterable[Price],
    shipped: DefaultPriceList,
    model: str | None,
    after: tuple[bool, str],
) -> Iterator[DefaultPriceOut]:
    by_id = attrgetter("id")
    for record in sorted(records, key=by_id):
        if (False, record.id) > after and (model is None or _matches(record, model)):
            yield _of_installation(record)
    prices = shipped.every() if model is None else shipped.of_model(model)
    for price in sorted(prices, key=by_id):
        if (True, price.id) > after:
            yield _of_shipped(price)


def _matches(price: Price, model: str) -> bool:
    try:
        return ModelPattern(price.match, price.matching).matches(model)
    except ValueError:
        return False


def _of_installation(price: Price) -> DefaultPriceOut:
    return DefaultPriceOut(
        id=price.id,
        origin="installation",
        provider=None,
        model=price.name or price.match,
        match=price.match,
        effective_from=iso_or_none(price.effective_from_us),
        hours=None,
        usd_per_million={name: usd_per_million(pico) for name, pico in price.prices.items()},
        tiers=[each for tier in price.tiers for each in _tiers(tier)],
        source="the installation's admin",
        as_of=iso(price.created_us)[:10],
    )


def _tiers(tier: PriceTier) -> Iterator[DefaultTierOut]:
    """Yield one tier per service tier that it applies to, or one if it applies to all."""
    for when in [{"service_tier": name} for name in tier.service_tiers] or [{}]:
        yield DefaultTierOut(
            input_above=tier.input_above,
            when=when,
            effective_from=None,
            hours=None,
            usd_per_million={name: usd_per_million(pico) for name, pico in tier.prices.items()},
        )


def _of_shipped(price: DefaultPrice) -> DefaultPriceOut:
    return DefaultPriceOut(
        id=price.id,
        origin="shipped",
        provider=price.provider,
        model=price.model,
        match=price.match,
        effective_from=iso_or_none(price.effective_from_us),
        hours=_hours(price.hours),
        usd_per_million=_usd_per_million(price.prices),
        tiers=[_tier(tier) for tier in price.tiers],
        source=price.source,
        as_of=price.as_of,
    )


def _tier(tier: DefaultTier) -> DefaultTierOut:
    return DefaultTierOut(
        input_above=tier.input_above,
        when=tier.when,
        effective_from=iso_or_none(tier.effective_from_us),
        hours=_hours(tier.hours),
        usd_per_million=_usd_per_million(tier.prices),
    )


def _usd_per_million(prices: dict[str, tuple[int, int]]) -> dict[str, str]:
    return {name: usd_per_million(pico, per) for name, (pico, per) in prices.items()}


def _hours(minutes: tuple[int, int] | None) -> Hours | None:
    if minutes is None:
        return None
    start, end = (f"{minute // 60:02d}:{minute % 60:02d}" for minute in minutes)
    return Hours(start, end)
