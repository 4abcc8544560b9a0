"""Serve ``/v1/what-if``: what the same traffic would have cost at another model's price."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter
from pydantic import BeforeValidator, ConfigDict, Field
from starlette.responses import Response

from producers.control.kinds.price import Price
from producers.control.periods import zone_of
from query_api import metrics
from query_api.alerting.rule_bodies import FilterValues, as_lists
from query_api.body import Body
from query_api.context import AppContext, ReadingProject
from query_api.errors import BadRequestError, TooCostlyError
from query_api.money import pico_of, usd_text
from query_api.openapi.price_examples import WHAT_IF_EXAMPLE, WHAT_IF_REQUEST_EXAMPLE
from query_api.prices.records import prices_of
from query_api.prices.what_if import OtherPrices
from query_api.query.answers import answer_of
from query_api.responses import json_response
from query_api.store.conditions import Condition
from query_api.store.queries.windows import WINDOW_COLUMNS
from query_api.times import SECOND_US, RecordRangeInstant, TimeZone, iso
from query_api.v1.parameters import Name, native_router
from query_api.v1.prices import Prices
from query_api.v1.query_bodies import FILTERS_MAX, QueryBody
from query_api.v1.window_reading import WindowRequest, read_windows
from tracemill.clock import now_us

DAYS_MAX: Final = 92
DEFAULT_DAYS: Final = 7
MEASURES: Final = ("count", "cost_usd", "tokens")
DIMENSIONS: Final = ("model", "service_tier")
_DAY_S: Final = 86_400
_MINUTE_S: Final = 60
_ALTERNATIVE: Final = "alternative"
"""Name of the model of a given price."""


class WhatIfBody(Body):
    model_config = ConfigDict(
        extra="forbid",
        populate_by_name=True,
        json_schema_extra={"examples": [WHAT_IF_REQUEST_EXAMPLE]},
    )

    from_us: Annotated[
        RecordRangeInstant | None,
        Field(
            alias="from",
            description="Inclusive, rounded to minutes; by default, seven days before `to`.",
        ),
    ] = None
    to_us: Annotated[
        RecordRangeInstant | None, Field(alias="to", description="By default, now.")
    ] = None
    time_zone: TimeZone = "UTC"
    filter: Annotated[
        dict[Name, FilterValues],
        BeforeValidator(as_lists, json_schema_input_type=dict[str, str | list[str]]),
        Field(
            max_length=FILTERS_MAX,
            description="Values of fields of `POST /v1/query`, such as `model` or `user_id`; of"
            " several values of one field, any matches.",
        ),
    ] = {}
    model: str | None = Field(
        None, min_length=1, max_length=200, description="The other model, with its current price."
    )
    usd_per_million: Prices | None = Field(None, description="Or another price for all calls.")


class WhatIfTotals(msgspec.Struct, kw_only=True):
    calls: int
    tokens: dict[str, int]
    actual_usd: str
    what_if_usd: str
    """The cost of all usage that has a price."""
    difference_usd: str
    """Negative if the traffic would have been cheaper."""
    unpriced: dict[str, int]
    """Usage that has no price at the alternative, by type."""


class WhatIfDay(WhatIfTotals, kw_only=True):
    date: str
    model: str
    """The model that was called."""


class WhatIfOut(msgspec.Struct, kw_only=True, rename={"from_": "from"}):
    from_: str
    to: str
    time_zone: str
    model: str | None
    """The other model; null if a price was given."""
    total: WhatIfTotals
    data: list[WhatIfDay]


class _Row(msgspec.Struct):
    start_s: int
    model: str
    service_tier: str
    count: int
    cost_usd: str
    tokens: dict[str, int]


class _Sum:
    """Sums of a model and day, or of all."""

    def __init__(self) -> None:
        self.calls = self.actual_pico = self.other_pico = 0
        self.tokens: Counter[str] = Counter()
        self.unpriced: Counter[str] = Counter()

    def add(self, row: _Row, other_pico: int, unpriced: dict[str, int]) -> None:
        self.calls += row.count
        self.actual_pico += pico_of(row.cost_usd)
        self.other_pico += other_pico
        self.tokens.update(row.tokens)
        self.unpriced.update(unpriced)

    def fields(self) -> dict[str, Any]:
        return {
            "calls": self.calls,
            "tokens": dict(sorted(self.tokens.items())),
            "actual_usd": usd_text(self.actual_pico),
            "what_if_usd": usd_text(self.other_pico),
            "difference_usd": usd_text(self.other_pico - self.actual_pico),
            "unpriced": dict(sorted(self.unpriced.items())),
        }


def what_if_router(context: AppContext) -> APIRouter:
    router = native_router("prices")

    @router.post(
        "/v1/what-if",
        summary="Compute what traffic would cost at another price",
        responses={
            200: context.documented.response(
                WhatIfOut, "Costs by day and model, sorted by day.", WHAT_IF_EXAMPLE
            )
        },
    )
    async def what_if(project_id: ReadingProject, body: WhatIfBody) -> Response:
        """Return the actual cost of stored traffic, and its cost at another price.

        The usage of a day is multiplied by the rates that apply at the beginning of the day to
        calls with few tokens. Prices for long inputs are not considered.
        """
        request = _request(project_id, body)
        other = _other(context, project_id, body)
        if not other.has_price(now_us()):
            raise BadRequestError(f"model: {other.model!r} has no price", field="model")
        if body.filter.keys() <= WINDOW_COLUMNS.keys():
            rows = (await read_windows(context, request, MEASURES, _Row)).rows
        else:
            rows = await _read_rows(context, request, body)
        return json_response(_shown(request, body, other, rows))

    return router


def _request(project_id: str, body: WhatIfBody) -> WindowRequest:
    to_us = now_us() if body.to_us is None else body.to_us
    from_us = to_us - DEFAULT_DAYS * _DAY_S * SECOND_US if body.from_us is None else body.from_us
    from_s = from_us // SECOND_US // _MINUTE_S * _MINUTE_S
    to_s = -(-to_us // SECOND_US // _MINUTE_S) * _MINUTE_S
    if from_s >= to_s:
        raise BadRequestError("from: must be before `to`", field="from")
    if to_s >= 2**32:
        raise BadRequestError("to: must be before 2106", field="to")
    if to_s - from_s > DAYS_MAX * _DAY_S:
        raise BadRequestError(f"from: must be at most {DAYS_MAX} days before `to`", field="from")
    conditions = tuple(
        Condition(WINDOW_COLUMNS[name], "in", tuple(values))
        for name, values in body.filter.items()
        if name in WINDOW_COLUMNS
    )
    return WindowRequest(project_id, from_s, to_s, "1d", body.time_zone, DIMENSIONS, conditions)


async def _read_rows(context: AppContext, request: WindowRequest, body: WhatIfBody) -> list[_Row]:
    """Read the same rows with ``/v1/query``, whose filters windows do not have.

    Raises:
        BadRequestError: there is no field of a filter.
        TooCostlyError, UnavailableError: as ``answer_of``; the former also if there are too many
            rows.
    """
    query = QueryBody.model_validate(
        {
            "from": iso(request.from_s * SECOND_US),
            "to": iso(request.to_s * SECOND_US),
            "step": request.step,
            "time_zone": request.time_zone,
            "measures": list(MEASURES),
            "group_by": list(DIMENSIONS),
            "filter": body.filter,
        }
    )
    asked = query.request(request.project_id, now_us(), context.settings)
    found: list[_Row] = []
    while True:
        answer = await answer_of(context.query_engine, asked)
        found += [
            msgspec.convert({"start_s": each.start_s, **each.group, **each.values}, _Row)
            for each in answer.rows
        ]
        if answer.cursor is None:
            return found
        if len(found) >= context.settings.window_rows_max:
            metrics.LIMITS_REACHED.labels("window_rows_max").inc()
            raise TooCostlyError(f"more than {len(found)} days and models; request fewer days")
        asked = replace(asked, cursor=answer.cursor)


def _other(context: AppContext, project_id: str, body: WhatIfBody) -> OtherPrices:
    if (body.model is None) == (body.usd_per_million is None):
        raise BadRequestError("model: set either model or usd_per_million", field="model")
    if body.model is not None:
        prices = prices_of(context.control.view, project_id)
        return OtherPrices(context.explainer, prices, project_id, body.model)
    assert body.usd_per_million is not None
    price = Price(
        id=_ALTERNATIVE, project_id=project_id, match=_ALTERNATIVE, prices=body.usd_per_million
    )
    return OtherPrices(context.explainer, [price], project_id, _ALTERNATIVE)


def _shown(
    request: WindowRequest, body: WhatIfBody, other: OtherPrices, rows: Iterable[_Row]
) -> WhatIfOut:
    total = _Sum()
    days: dict[tuple[str, str], _Sum] = {}
    zone = zone_of(request.time_zone)
    for row in rows:
        if not row.tokens and pico_of(row.cost_usd) == 0:
            continue  # spans that are no calls of models
        at_us = row.start_s * SECOND_US
        other_pico, unpriced = other.cost_pico(row.tokens, at_us, row.service_tier)
        date = datetime.fromtimestamp(row.start_s, zone).date().isoformat()
        for each in (total, days.setdefault((date, row.model), _Sum())):
            each.add(row, other_pico, unpriced)
    return WhatIfOut(
        from_=iso(request.from_s * SECOND_US),
        to=iso(request.to_s * SECOND_US),
        time_zone=request.time_zone,
        model=body.model,
        total=WhatIfTotals(**total.fields()),
        data=[
            WhatIfDay(date=date, model=model, **found.fields())
            for (date, model), found in sorted(days.items())
        ],
    )
