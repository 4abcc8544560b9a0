"""Serve ``/v1/admin/prices``: prices of the installation, which replace the shipped ones."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Depends

from producers.control.kinds.price import Price
from query_api.context import Installation
from query_api.openapi.price_examples import PRICE_EXAMPLE
from query_api.v1.crud import Resource
from query_api.v1.prices import PriceBody, PriceOut, create, price_warnings, replaced, shown


async def _no_project(_: Installation) -> None:
    return None


RESOURCE: Final = Resource(
    record=Price,
    path="/v1/admin/prices",
    body=PriceBody,
    create=create,
    replace=replaced,
    owner=Annotated[None, Depends(_no_project)],
    group="installation",
    limit_setting="installation_prices_max",
    shown=shown,
    shown_type=PriceOut,
    warn=price_warnings,
    example=PRICE_EXAMPLE,
    about_create="It applies to calls that arrive from now on, of all projects without their own"
    " price for the model.",
)
