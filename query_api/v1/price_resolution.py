"""Serve ``/v1/prices/resolve``: what a call costs, by which price, and why."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Query
from pydantic import Field
from starlette.responses import Response

from producers.control.kinds.price import Price
from producers.model_patterns import NAME_CHARS_MAX
from query_api.context import AppContext, ProjectId
from query_api.errors import BadRequestError
from query_api.openapi.price_examples import RESOLVED_EXAMPLE
from query_api.prices.explained import ExplainedCost, PriceExplainer
from query_api.prices.records import prices_of
from query_api.responses import json_response
from query_api.times import Instant
from query_api.v1.parameters import NativeParameters, native_router
from tracemill.clock import now_us

USAGE_CHARS_MAX: Final = 20_000
USAGE_TYPES_MAX: Final = 100


class ResolveParameters(NativeParameters):
    model: str = Field(
        min_length=1,
        max_length=NAME_CHARS_MAX,
        description="Name of the model, as applications send it.",
        examples=["openai/gpt-4o-2024-08-06"],
    )
    usage: str | None = Field(
        None,
        max_length=USAGE_CHARS_MAX,
        description="JSON object of the call's usage: counts by usage type, or the usage object of"
        " a provider. Without it, the response has only rates.",
        examples=['{"input": 1000, "output": 100}'],
    )
    at_us: Instant | None = Field(
        None,
        alias="at",
        description="Time of the call; by default now.",
        examples=["2026-11-21T12:00:00Z"],
    )
    service_tier: str = Field(
        "",
        max_length=100,
        description="Tier that served the call, such as `flex`, `priority` or `batch`.",
        examples=["priority"],
    )
    provider: str | None = Field(
        None,
        min_length=1,
        max_length=100,
        pattern=r"^[A-Za-z0-9_.-]+$",
        description="Provider of the model, if its name does not contain it: the same as a model"
        " named `provider/model`.",
        examples=["azure"],
    )

    def full_name(self) -> str:
        name = self.model if self.provider is None else f"{self.provider}/{self.model}"
        if len(name) > NAME_CHARS_MAX:
            message = f"model: must have at most {NAME_CHARS_MAX} characters, with the provider"
            raise BadRequestError(message, field="model")
        return name


def price_resolution_router(context: AppContext) -> APIRouter:
    router = native_router("prices")

    @router.get(
        "/v1/prices/resolve",
        summary="Explain the cost of a call",
        responses={
            200: context.documented.response(
                ExplainedCost, "What the call costs, and why.", RESOLVED_EXAMPLE
            )
        },
    )
    async def resolve_price(
        project_id: ProjectId, parameters: Annotated[ResolveParameters, Query()]
    ) -> Response:
        """Return the price that applies to a call, and what the call costs.

        The cost is computed like that of a call that arrives now. `candidates` are all prices that
        match the name, with the reason why they do not apply.
        """
        records = prices_of(context.control.view, project_id)
        return json_response(explained(context.explainer, records, project_id, parameters))

    return router


def explained(
    explainer: PriceExplainer,
    prices: Iterable[Price],
    project_id: str,
    parameters: ResolveParameters,
) -> ExplainedCost:
    """Return the cost of the call that the parameters describe.

    Raises:
        BadRequestError: a parameter is invalid; the message names it.
    """
    usage = usage_of(parameters.usage)
    found = explainer.explain(
        prices,
        project_id,
        parameters.full_name(),
        usage,
        now_us() if parameters.at_us is None else parameters.at_us,
        parameters.service_tier.strip(),
    )
    if usage and not found.usage:
        raise BadRequestError("usage: has no counts, such as input or output", field="usage")
    return found


def usage_of(text: str | None, field: str = "usage") -> dict[str, Any]:
    """Parse the parameter ``usage``, or another one of the same form.

    Raises:
        BadRequestError: it is not a JSON object, or an amount in it is not a count.
    """
    if text is None:
        return {}
    try:
        usage = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise BadRequestError(f"{field}: not JSON: {error}", field=field) from error
    return checked_usage(usage, field)


def checked_usage(usage: object, field: str) -> dict[str, Any]:
    """Check that a value is a usage object.

    Raises:
        BadRequestError: it is not a JSON object, or an amount in it is not a count.
    """
    if not isinstance(usage, dict):
        raise BadRequestError(
            f'{field}: a JSON object such as {{"input": 1000}} is expected', field=field
        )
    if len(usage) > USAGE_TYPES_MAX:
        raise BadRequestError(
            f"{field}: must have at most {USAGE_TYPES_MAX} usage types", field=field
        )
    for name, count in usage.items():
        is_number = isinstance(count, int | float) and not isinstance(count, bool)
        if is_number and (count < 0 or ("cost" not in name.lower() and count % 1 != 0)):
            message = f"{field}.{name[:64]}: a whole number of 0 or more is expected, not {count}"
            raise BadRequestError(message, field=f"{field}.{name[:64]}")
    return usage
