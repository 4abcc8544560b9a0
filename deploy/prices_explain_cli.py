"""`tracemill prices explain`: explain which price applies to a call, and what the call costs."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from deploy.api_options import AsJson, PublicKey, SecretKey, Url
from deploy.errors import ApiUnavailableError, RefusedError
from deploy.prices_cli import prices
from deploy.record_output import print_record, print_records, printable

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["prices"]

_NO_ACCESS: Final = (0, 401, 403)
"""Status codes of a server that is not the user's own."""

_SUMMARY: Final = (
    *("model", "price", "origin", "provider", "listed_as", "match", "effective_from", "hours"),
    *(
        "source",
        "as_of",
        "conditions",
        "above_input_tokens",
        "cost_usd",
        "stated_cost_usd",
        "reason",
        "uncertain",
    ),
)
_AMOUNTS: Final = ("usage_type", "count", "priced_as", "usd_per_million", "cost_usd", "reason")
_CANDIDATES: Final = ("id", "origin", "match", "effective_from", "hours", "outcome")


@prices.command("explain")
def explain_price(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="Name of the model, as applications send it.")
    ],
    usage: Annotated[
        str | None,
        typer.Option(
            help='Usage of the call as JSON, such as \'{"input": 1000, "output": 100}\', or the'
            " usage object of a provider.",
            metavar="JSON",
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(help="Time of the call, such as 2026-11-21T12:00:00Z.", show_default="now"),
    ] = None,
    tier: Annotated[
        str | None,
        typer.Option(help="Service tier that served the call: flex, priority, batch, …"),
    ] = None,
    provider: Annotated[
        str | None,
        typer.Option(help="Provider, if the name of the model does not contain it."),
    ] = None,
    offline: Annotated[
        bool,
        typer.Option("--offline", help="Use only the list of prices in this version."),
    ] = False,
    url: Url = None,
    public_key: PublicKey = None,
    secret_key: SecretKey = None,
    as_json: AsJson = False,
) -> None:
    """Explain which price applies to a model, and what a call costs.

    If no server answers, and no address or key is given, the list in this version is used.
    """
    given = {
        "model": model,
        "usage": usage,
        "at": at,
        "service_tier": tier,
        "provider": provider,
    }
    query = {name: value for name, value in given.items() if value is not None}
    found = _offline(query) if offline else _online(query, url, public_key, secret_key)
    if as_json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        _print(found)


def _online(
    query: dict[str, str], url: str | None, public_key: str | None, secret_key: str | None
) -> dict[str, Any]:
    """Return the server's explanation; without a server, use the price list of this version."""
    import httpx

    from deploy.admin_client import project_client

    is_given = url is not None or public_key is not None or secret_key is not None
    client = project_client(url, public_key, secret_key)
    path = ("v1", "prices", "resolve")
    try:
        return client.record(
            "GET",
            path,
            query=f"?{httpx.QueryParams(query)}",
            fields=("model", "candidates", "amounts"),
        )
    except (ApiUnavailableError, RefusedError) as error:
        if is_given or error.status not in _NO_ACCESS:
            raise
        print(f"tracemill: by the prices in this version: {error}", file=sys.stderr)
    return _offline(query)


def _offline(query: dict[str, str]) -> dict[str, Any]:
    """Return an explanation by the price list of this version; check parameters like the API.

    Raises:
        typer.BadParameter: a parameter is not valid.
    """
    import msgspec
    from pydantic import ValidationError

    from deploy.price_explanations import BilledPrices
    from query_api.errors import BadRequestError
    from query_api.v1.price_resolution import ResolveParameters, explained

    try:
        found = explained(BilledPrices(), (), "", ResolveParameters.model_validate(query))
    except ValidationError as error:
        first = error.errors()[0]
        message, name = first["msg"].removeprefix("Value error, "), str(first["loc"][0])
        raise typer.BadParameter(message, param_hint=_OPTIONS.get(name, name)) from error
    except BadRequestError as error:
        name = error.field.partition(".")[0]
        raise typer.BadParameter(error.message, param_hint=_OPTIONS.get(name, name)) from error
    shown: dict[str, Any] = msgspec.to_builtins(found)
    return shown


_OPTIONS: Final = {
    "model": "MODEL",
    "usage": "--usage",
    "at": "--at",
    "service_tier": "--tier",
    "provider": "--provider",
}


def _print(found: dict[str, Any]) -> None:
    """Print the price, the amounts, the interpretation of the name, and the other prices."""
    price = found["price"] or {}
    summary = {
        name: price.get(name)
        for name in ("origin", "provider", "match", "hours", "source", "as_of")
    }
    summary |= {
        "model": found["model"],
        "price": price.get("id"),
        "listed_as": price.get("model"),
        "effective_from": price.get("effective_from"),
        "conditions": _conditions(found),
        "above_input_tokens": found["above_input_tokens"],
        "cost_usd": found["cost_usd"],
        "stated_cost_usd": found.get("stated_cost_usd"),
        "reason": found["reason"],
        "uncertain": found["usage_uncertain"],
    }
    print_record(summary, as_json=False, fields=_SUMMARY)
    if found["reading"]:
        _section("reading of the name", found["reading"])
    if found["amounts"] or found["unpriced"]:
        print("\nusage")
        print_records([*found["amounts"], *found["unpriced"]], as_json=False, fields=_AMOUNTS)
    elif found["usd_per_million"]:
        rates = found["usd_per_million"].items()
        _section("USD per million", (f"{unit}: {usd}" for unit, usd in rates))
    if len(found["candidates"]) > 1 or (found["candidates"] and not price):
        print("\nprices that fit the name")
        print_records(found["candidates"], as_json=False, fields=_CANDIDATES)


def _conditions(found: dict[str, Any]) -> dict[str, str]:
    """Return the conditions of the call, and name those to which no rate of the price applies."""
    conditions: dict[str, str] = found["conditions"]
    if not found["price"]:
        return conditions
    applied = [tier["when"] for tier in found.get("tiers", ())]
    return {
        name: value
        if any(when.get(name) == value for when in applied)
        else f"{value} (no prices of its own)"
        for name, value in conditions.items()
    }


def _section(title: str, lines: Iterable[str]) -> None:
    print(f"\n{title}")
    for line in lines:
        print(f"  {printable(line)}")
