"""`tracemill prices unpriced`: list models with usage that has no price, by traffic."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from deploy.api_options import AsJson, PublicKey, SecretKey, Url
from deploy.prices_explain_cli import prices
from deploy.record_output import print_records

__all__ = ["prices"]

_COLUMNS: Final = (
    *("model", "observations", "unpriced_observations", "units", "usage"),
    *("first_seen", "last_seen", "price"),
)


@prices.command("unpriced")
def list_unpriced(
    since: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Earliest start of calls, such as 2026-11-01T00:00:00Z.",
            show_default="7 days before --to",
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option("--to", help="Latest start of calls, exclusive.", show_default="now"),
    ] = None,
    limit: Annotated[int, typer.Option(help="Maximum number of models.", min=1, max=500)] = 50,
    url: Url = None,
    public_key: PublicKey = None,
    secret_key: SecretKey = None,
    as_json: AsJson = False,
) -> None:
    """List models with usage that has no price, those with the most calls first.

    Use `tracemill prices create` to add a price.
    """
    import httpx

    from deploy.admin_client import project_client

    client = project_client(url, public_key, secret_key)
    given = {"from": since, "to": until, "limit": str(limit)}
    query = httpx.QueryParams({name: value for name, value in given.items() if value is not None})
    path = ("v1", "prices", "unpriced")
    page = client.record("GET", path, query=f"?{query}", fields=("data",))
    print_records(page["data"], as_json, _COLUMNS)
