"""Serve ``/v1/budgets/decision``: whether a call may be made, given the budgets of its project."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Query
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, create_model
from starlette.responses import Response

from producers.control.auth import Principal
from producers.dimensions.arrays import array_of
from producers.dimensions.dimension import Dimension
from producers.dimensions.registry import REGISTRY
from query_api import metrics
from query_api.body import Body, require_unicode
from query_api.context import AppContext, Decider
from query_api.decisions.call import Call, call_of
from query_api.decisions.decision import Decision
from query_api.errors import UnavailableError
from query_api.money import pico_of
from query_api.openapi.decision_examples import (
    DECISION_EXAMPLE,
    DECISIONS_REQUEST_EXAMPLE,
    PARAMETER_EXAMPLES,
)
from query_api.prices.records import prices_of
from query_api.responses import json_response
from query_api.v1.parameters import NativeParameters, native_router, require_at_most
from query_api.v1.price_resolution import USAGE_CHARS_MAX, checked_usage, usage_of
from tracemill.clock import now_us

API_KEY: Final = "api_key"
TAGS_MAX: Final = 100
ESTIMATE_MAX_PICO: Final = 2**63 - 1

_DIMENSIONS: Final = REGISTRY.of_spend()


def _estimate_pico(amount: object) -> int:
    """Parse US dollars; a JSON number is read as its shortest decimal representation."""
    if isinstance(amount, bool) or not isinstance(amount, str | int | float):
        raise ValueError('must be a decimal string such as "0.10"')  # noqa: TRY004
    pico = pico_of(amount if isinstance(amount, str) else format(Decimal(repr(amount)), "f"))
    if not 0 <= pico <= ESTIMATE_MAX_PICO:
        raise ValueError("must be 0 or more, and below 9,223,372 US dollars")
    return pico


Estimate = Annotated[
    int | None,
    BeforeValidator(_estimate_pico, json_schema_input_type=str | float),
    Field(
        description="Estimated cost of the call in US dollars; a decimal string is exact.",
        examples=["0.05"],
    ),
]


def _field_of(dimension: Dimension) -> tuple[Any, Any]:
    """Return the definition of the parameter with the value of a dimension."""
    examples = PARAMETER_EXAMPLES.get(dimension.name)
    text = Annotated[
        str,
        Field(max_length=dimension.chars_max, examples=examples),
        AfterValidator(require_unicode),
    ]
    if dimension.is_array:
        kind: Any = Annotated[list[text], Field(max_length=TAGS_MAX)]
        return kind, Field(default=[], description="Repeat it for several.")
    return text, Field(default="")


_FIELDS: Final[dict[str, Any]] = {
    name: _field_of(each) for each in _DIMENSIONS for name in (each.name, *each.aliases)
}

if TYPE_CHECKING:
    _CallParameters = NativeParameters
    _CallBody = Body
else:
    _CallParameters = create_model("_CallParameters", __base__=NativeParameters, **_FIELDS)
    _CallBody = create_model("_CallBody", __base__=Body, **_FIELDS)


class DecisionParameters(_CallParameters):
    """A call by the dimensions of its spend; omitted ones are empty, or their default."""

    estimated_usd: Estimate = None
    estimated_tokens: str | None = Field(
        default=None,
        max_length=USAGE_CHARS_MAX,
        description="Without `estimated_usd`: JSON object of token counts by usage type, which"
        " are priced as calls of `model`.",
        examples=['{"input": 1000, "output": 100}'],
    )


class DecisionBody(_CallBody):
    """A call by the dimensions of its spend; omitted ones are empty, or their default."""

    model_config = ConfigDict(extra="forbid")

    estimated_usd: Estimate = None
    estimated_tokens: dict[str, int] | None = None
    """Token counts by usage type, which are priced as calls of `model`."""


class DecisionsBody(Body):
    """Several calls. Each is decided alone: their estimates are not added."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [DECISIONS_REQUEST_EXAMPLE]}
    )

    requests: list[DecisionBody] = Field(min_length=1)


class Decisions(msgspec.Struct):
    data: list[Decision]
    """One for each request, in the same order."""


def decisions_router(context: AppContext) -> APIRouter:
    """Return the routes."""
    router = native_router("budgets")
    per_request_max = context.settings.decisions_per_request_max

    @router.get(
        "/v1/budgets/decision",
        summary="Decide whether a call may be made",
        description="The answer comes from memory. It is about all budgets whose scope includes"
        " the call; the one with the smallest remaining amount decides. A call is denied if the"
        " limit is reached, or if the estimate exceeds what remains. It reserves nothing. Keys with"
        " the scope `ingest` may ask.",
        responses={200: context.documented.response(Decision, "The decision.", DECISION_EXAMPLE)},
    )
    async def decide(
        decider: Decider, parameters: Annotated[DecisionParameters, Query()]
    ) -> Response:
        usage = usage_of(parameters.estimated_tokens, "estimated_tokens")
        return json_response(_decision(context, decider, parameters, usage))

    @router.post(
        "/v1/budgets/decisions",
        summary="Decide whether several calls may be made",
        description=f"At most {per_request_max} calls (`decisions_per_request_max`). Each is"
        " decided like one of `GET /v1/budgets/decision`, and alone: estimates are not added.",
        responses={
            200: context.documented.response(
                Decisions, "The decisions.", {"data": [DECISION_EXAMPLE]}
            )
        },
    )
    async def decide_several(decider: Decider, body: DecisionsBody) -> Response:
        require_at_most(
            context.settings,
            len(body.requests),
            setting="decisions_per_request_max",
            field="requests",
            unit="calls",
        )
        return json_response(
            Decisions(
                [
                    _decision(
                        context,
                        decider,
                        each,
                        checked_usage(
                            each.estimated_tokens or {}, f"requests.{number}.estimated_tokens"
                        ),
                    )
                    for number, each in enumerate(body.requests)
                ]
            )
        )

    return router


def _decision(
    context: AppContext,
    decider: Principal,
    given: DecisionParameters | DecisionBody,
    usage: dict[str, Any],
) -> Decision:
    book = context.decisions
    if book is None or not book.is_ready:
        raise UnavailableError("the states of budgets are still being read")
    call = _call(given, decider.public_key)
    estimated_pico: int | None = given.estimated_usd or 0
    if usage and given.estimated_usd is None:
        estimated_pico = _priced(context, decider.project_id, call.values["model"], usage)
    decision = book.decide(decider.project_id, call, estimated_pico, now_us())
    metrics.DECISIONS.labels(decision.reason).inc()
    return decision


def _call(given: DecisionParameters | DecisionBody, public_key: str) -> Call:
    """Return the call that is described; by default, its API key is that of the request."""
    values = {}
    texts = {}
    for dimension in _DIMENSIONS:
        value = getattr(given, dimension.name)
        for alias in dimension.aliases:
            value = value or getattr(given, alias)
        if dimension.is_array:
            texts[dimension.name] = value
            value = array_of(frozenset(value))
        if value:
            values[dimension.name] = dimension.normal_form(value)
    if API_KEY in _FIELDS:
        values.setdefault(API_KEY, public_key)
    return call_of(values, texts)


def _priced(context: AppContext, project_id: str, model: str, usage: dict[str, Any]) -> int | None:
    """Return the cost of estimated tokens; None if they have no price."""
    if not model:
        return None
    prices = prices_of(context.control.view, project_id)
    found = context.explainer.explain(prices, project_id, model, usage, now_us())
    return None if found.cost_usd is None else pico_of(found.cost_usd)
