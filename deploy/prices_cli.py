"""`tracemill prices`: list, show, create, replace and delete prices of models."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from deploy.api_options import (
    AsJson,
    Installation,
    PriceAmounts,
    PriceEffectiveFrom,
    PriceFile,
    PriceId,
    PriceMatch,
    PriceName,
    PublicKey,
    SecretKey,
    Url,
    api_of_project,
)
from deploy.errors import ApiUnavailableError, MisconfiguredError, RefusedError
from deploy.record_output import print_record, print_records, printable

if TYPE_CHECKING:
    from deploy.admin_client import AdminClient

prices = typer.Typer(
    name="prices",
    no_args_is_help=True,
    help="""List, show, create, replace and delete prices of models.

    Prices are US dollars per million units.

    A price of the project takes precedence over one of the installation, and one of the
    installation over a shipped one. A new price applies to calls that arrive after it was created.

    The commands use the project's key. With --installation, they use the admin key in
    TRACEMILL_ADMIN_SECRET_KEY, or, on the machine of `tracemill up`, the key in its data
    directory: set TRACEMILL_DATA_DIR to that of `tracemill up --data-dir`.""",
)

_FIELDS: Final = (
    *("id", "name", "match", "matching", "effective_from"),
    *("usd_per_million", "tiers", "fault", "created_at"),
)
_COLUMNS: Final = ("id", "name", "match", "effective_from", "usd_per_million", "fault")
_DEFAULT_COLUMNS: Final = (
    *("id", "origin", "effective_from"),
    *("usd_per_million", "source", "as_of"),
)


@prices.command("list")
def list_prices(
    defaults: Annotated[
        bool,
        typer.Option(
            "--defaults",
            help="List the prices of the installation and the shipped ones, with their sources.",
        ),
    ] = False,
    model: Annotated[
        str | None, typer.Option(help="With --defaults: list only the prices of this model.")
    ] = None,
    installation: Installation = False,
    url: Url = None,
    public_key: PublicKey = None,
    secret_key: SecretKey = None,
    as_json: AsJson = False,
) -> None:
    """List prices, oldest first, or default prices by id.

    Without a key, --defaults lists the shipped prices of this version.
    """
    if model is not None and not defaults:
        raise typer.BadParameter("is only allowed with --defaults", param_hint="--model")
    if defaults and installation:
        raise typer.BadParameter("cannot be used with --installation", param_hint="--defaults")
    if defaults:
        found = _defaults(url, public_key, secret_key, model)
        print_records(found, as_json, _DEFAULT_COLUMNS)
        return
    client = _client(url, public_key, secret_key, installation=installation)
    print_records(client.pages(_path(installation=installation)), as_json, _COLUMNS)


@prices.command("show")
def show_price(
    price_id: PriceId,
    installation: Installation = False,
    url: Url = None,
    public_key: PublicKey = None,
    secret_key: SecretKey = None,
    as_json: AsJson = False,
) -> None:
    """Show a price."""
    client = _client(url, public_key, secret_key, installation=installation)
    print_record(client.record("GET", _one(price_id, installation=installation)), as_json, _FIELDS)


@prices.command("create")
def create_price(
    match: PriceMatch = None,
    price: PriceAmounts = None,
    name: PriceName = None,
    effective_from: PriceEffectiveFrom = None,
    file: PriceFile = None,
    installation: Installation = False,
    url: Url = None,
    public_key: PublicKey = None,
    secret_key: SecretKey = None,
    as_json: AsJson = False,
) -> None:
    """Create a price."""
    body = _body(match, price, name, effective_from, file)
    client = _client(url, public_key, secret_key, installation=installation)
    made = client.record("POST", _path(installation=installation), body)
    _print_warnings(made)
    print_record(made, as_json, _FIELDS)


@prices.command("replace")
def replace_price(
    price_id: PriceId,
    match: PriceMatch = None,
    price: PriceAmounts = None,
    name: PriceName = None,
    effective_from: PriceEffectiveFrom = None,
    file: PriceFile = None,
    installation: Installation = False,
    url: Url = None,
    public_key: PublicKey = None,
    secret_key: SecretKey = None,
    as_json: AsJson = False,
) -> None:
    """Replace a price and keep its id. The new price applies to calls that arrive later."""
    body = _body(match, price, name, effective_from, file)
    client = _client(url, public_key, secret_key, installation=installation)
    changed = client.record("PUT", _one(price_id, installation=installation), body)
    _print_warnings(changed)
    print_record(changed, as_json, _FIELDS)


@prices.command("delete")
def delete_price(
    price_id: PriceId,
    installation: Installation = False,
    url: Url = None,
    public_key: PublicKey = None,
    secret_key: SecretKey = None,
    as_json: AsJson = False,
) -> None:
    """Delete a price. Calls that arrive later are priced without it."""
    client = _client(url, public_key, secret_key, installation=installation)
    client.call("DELETE", _one(price_id, installation=installation))
    print(json.dumps({"id": price_id, "deleted": True}) if as_json else f"deleted {price_id}")


def _print_warnings(price: Mapping[str, Any]) -> None:
    for warning in price.get("warnings", ()):
        print(f"tracemill: {printable(warning)}", file=sys.stderr)


def _client(
    url: str | None, public_key: str | None, secret_key: str | None, *, installation: bool
) -> AdminClient:
    from deploy.admin_client import admin_client

    return admin_client(url) if installation else api_of_project(url, public_key, secret_key)


def _defaults(
    url: str | None, public_key: str | None, secret_key: str | None, model: str | None
) -> list[dict[str, Any]]:
    """Return the default prices from the API, or the shipped ones of this version.

    The request uses the project's key if it is given, or else the admin key, or else the key of a
    new installation. If neither an address nor a key is given, and the API does not respond or
    refuses the request, the shipped prices are returned.
    """
    from deploy.admin_client import admin_client, project_client

    chosen = {} if model is None else {"model": model}
    is_given = url is not None or public_key is not None or secret_key is not None
    try:
        if public_key is not None or secret_key is not None:
            client = _client(url, public_key, secret_key, installation=False)
        else:
            try:
                client = admin_client(url)
            except MisconfiguredError:  # there is no admin key
                client = project_client(url)
        return client.pages(("v1", "prices", "defaults"), **chosen)
    except (ApiUnavailableError, RefusedError) as error:
        if is_given:
            raise
        print(f"tracemill: listing the prices in this version, because: {error}", file=sys.stderr)
    import msgspec

    from deploy.default_prices import ShippedPrices
    from query_api.v1.default_prices import shipped_prices

    return [msgspec.to_builtins(each) for each in shipped_prices(ShippedPrices(), model)]


def _path(*, installation: bool) -> tuple[str, ...]:
    return ("v1", "admin", "prices") if installation else ("v1", "prices")


def _one(price_id: str, *, installation: bool) -> tuple[str, ...]:
    return (*_path(installation=installation), price_id)


def _body(
    match: str | None,
    price: list[str] | None,
    name: str | None,
    effective_from: str | None,
    file: Any,
) -> dict[str, Any]:
    """Return the body of a price: the fields of the file, overridden by those of other options."""
    body = _body_in(file)
    given = {"match": match, "name": name, "effective_from": effective_from}
    body |= {field: value for field, value in given.items() if value is not None}
    if price:
        body["usd_per_million"] = _usd_by_type(price)
    if file is None and (match is None or not price):
        raise typer.BadParameter("--match and --price, or --file, are required")
    return body


def _usd_by_type(texts: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for usage_type, usd in map(_type_and_usd, texts):
        if usage_type in found:
            raise typer.BadParameter(f"{usage_type!r} is given twice", param_hint="--price")
        found[usage_type] = usd
    return found


def _type_and_usd(text: str) -> tuple[str, str]:
    usage_type, equals, usd = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"{text!r} is not like input=2.50", param_hint="--price")
    return usage_type.strip(), usd.strip()


def _body_in(file: Any) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        body = json.load(file)
    except (ValueError, OSError) as error:
        raise typer.BadParameter(f"not JSON: {error}", param_hint="--file") from error
    if not isinstance(body, dict):
        raise typer.BadParameter("a JSON object is expected", param_hint="--file")
    return body
