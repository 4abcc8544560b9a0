"""Show prices of models, those without one, and create, change and delete a project's prices."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from starlette.responses import Response

from producers.control.kinds.price import Price
from query_api.console.edit_forms import save, status_of_refusal, with_version
from query_api.console.form_bodies import (
    Faults,
    FormError,
    body_of,
    faults_of,
    of_fields,
    pairs_of,
)
from query_api.console.optional import optional
from query_api.console.page import Action, Page, View
from query_api.console.record_lists import parameters_of, record_page
from query_api.console.responses import see_other
from query_api.errors import BadRequestError, ConflictError, QueryApiError
from query_api.v1.default_prices import DefaultPriceParameters, read_default_prices
from query_api.v1.prices import RESOURCE, PriceBody, shown
from query_api.v1.records import find, records_of
from query_api.v1.unpriced import UnpricedParameters, read_unpriced

ROWS: Final = 100
DEFAULTS: Final = 20
UNPRICED: Final = 20
FIELDS: Final = ("name", "match", "matching", "effective_from", "usd_per_million", "tiers")


async def show_list(view: View) -> Response:
    """Show models without a price, the project's prices, and those that apply to a model."""
    page = record_page(view, RESOURCE, ROWS)
    unpriced = await read_unpriced(
        view.context, view.project_id, UnpricedParameters(limit=UNPRICED)
    )
    model = view.parameter("model")
    defaults = None
    if model:
        parameters = parameters_of(view, DefaultPriceParameters, model=model, limit=DEFAULTS)
        defaults = optional(read_default_prices(view.context, parameters).data)
    return view.render(
        "prices.html",
        page=page,
        rows=[optional(shown(each)) for each in page.records],
        unpriced=optional(unpriced.data),
        model=model,
        defaults=defaults,
    )


async def show_new(view: View) -> Response:
    """Show the form of a new price; the query string can name a model."""
    model = view.parameter("model")
    form = {"name": model, "match": _pattern(model), "matching": "whole_name"}
    return _form(view, form | {"usd_per_million": "input = \noutput = "})


async def show_edit(view: View) -> Response:
    """Show the form of a price."""
    price = _found(view)
    return _form(view, with_version(_form_of(price), price), price)


async def create(view: View) -> Response:
    """Create the price of a form."""
    author = view.session.principal.public_key
    try:
        body = _body(view.form)
        await records_of(view.context, RESOURCE).create(view.project_id, body, author)
    except (BadRequestError, ConflictError) as error:
        return _form(view, view.form, faults=_faults(error), status=422)
    return see_other(view.path("prices"))


async def change(view: View) -> Response:
    """Replace a price by that of a form."""
    price = _found(view)
    try:
        body = _body(view.form)
        await save(view, records_of(view.context, RESOURCE).replace, price, body)
    except BadRequestError as error:
        return _form(view, view.form, price, _faults(error), status=status_of_refusal(error))
    return see_other(view.path("prices"))


async def delete(view: View) -> Response:
    """Delete a price."""
    await records_of(view.context, RESOURCE).delete(view.project_id, _found(view).id)
    return see_other(view.path("prices"))


def _body(form: Mapping[str, str]) -> PriceBody:
    """Return the body that a form describes.

    Raises:
        FormError: the form is not valid.
    """
    values: dict[str, Any] = {
        name: form.get(name, "").strip() for name in ("name", "match", "matching")
    }
    given = pairs_of(form.get("usd_per_million", ""), "usd_per_million")
    values["usd_per_million"] = {name: amount for name, amount in given.items() if amount}
    values["effective_from"] = form.get("effective_from", "").strip() or None
    if tiers := form.get("tiers", "").strip():
        try:
            values["tiers"] = json.loads(tiers)
        except (ValueError, RecursionError) as error:
            raise FormError({"tiers": f"not valid JSON: {error}"}) from error
    return body_of(PriceBody, values)


def _form_of(price: Price) -> dict[str, str]:
    found: dict[str, Any] = msgspec.to_builtins(shown(price))
    tiers = [
        {name: each for name, each in tier.items() if each not in (None, [])}
        for tier in found["tiers"]
    ]
    return {
        "name": price.name,
        "match": price.match,
        "matching": price.matching,
        "effective_from": found["effective_from"] or "",
        "usd_per_million": "\n".join(
            f"{name} = {amount}" for name, amount in found["usd_per_million"].items()
        ),
        "tiers": json.dumps(tiers, ensure_ascii=False, indent=1) if tiers else "",
    }


def _pattern(model: str) -> str:
    """Return a pattern that matches a name only."""
    return "".join(each if each.isalnum() or each in "-_/: " else f"\\{each}" for each in model)


def _form(
    view: View,
    form: Mapping[str, str],
    price: Price | None = None,
    faults: Faults | None = None,
    *,
    status: int = 200,
) -> Response:
    return view.render(
        "price_form.html", status=status, price=price, values=form, faults=faults or {}
    )


def _found(view: View) -> Price:
    return find(view.context, Price, view.project_id, view.request.path_params["price_id"])


def _faults(error: QueryApiError) -> Faults:
    return of_fields(faults_of(error), FIELDS)


REGISTERED = (
    Page("/prices", show_list, title="Prices", group="manage", place=10),
    Page("/prices/new", show_new, scope="write"),
    Page("/prices/{price_id}/edit", show_edit, scope="write"),
    Action("/prices/new", create),
    Action("/prices/{price_id}/edit", change),
    Action("/prices/{price_id}/delete", delete),
)
