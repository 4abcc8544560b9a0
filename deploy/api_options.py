"""Define the arguments and options that several commands of the API have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from deploy.arguments import checked_id, checked_price_id, checked_url

if TYPE_CHECKING:
    from deploy.admin_client import AdminClient

PUBLIC_KEY: Final = "pk-tm-dev"
SECRET_KEY: Final = "sk-tm-dev"  # noqa: S105  # the documented key of `tracemill up`
"""Keys of the project that `tracemill up` creates."""

Url = Annotated[
    str | None,
    typer.Option(
        help="Address of tracemill.",
        envvar="TRACEMILL_URL",
        callback=checked_url,
        show_default="that of `tracemill up` on this machine, or http://127.0.0.1:7700",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]

ProjectId = Annotated[
    str, typer.Argument(metavar="PROJECT", help="Id of the project.", callback=checked_id)
]
OfProject = Annotated[
    str, typer.Option("--project", help="Id of the project.", callback=checked_id)
]
KeyId = Annotated[
    str, typer.Argument(metavar="KEY", help="Id of the key: key_….", callback=checked_id)
]
PriceId = Annotated[
    str, typer.Argument(metavar="PRICE", help="Id of the price: prc_….", callback=checked_price_id)
]

Installation = Annotated[
    bool,
    typer.Option(
        "--installation/--project",
        help="Use prices of the whole installation, or of the key's project.",
    ),
]
PublicKey = Annotated[
    str | None,
    typer.Option(
        help="Public key of the project.",
        envvar="TRACEMILL_INIT_PUBLIC_KEY",
        show_default=PUBLIC_KEY,
    ),
]
SecretKey = Annotated[
    str | None,
    typer.Option(
        help="Secret key; other users cannot see it if it is set in the environment.",
        envvar="TRACEMILL_INIT_SECRET_KEY",
        show_default=SECRET_KEY,
    ),
]
PriceMatch = Annotated[
    str | None, typer.Option(help="Regular expression (RE2) that matches whole model names.")
]
PriceAmounts = Annotated[
    list[str] | None,
    typer.Option(
        help="US dollars per million units of a usage type, such as input=2.50; repeatable.",
        metavar="TYPE=USD",
    ),
]
PriceName = Annotated[str | None, typer.Option(help="Name of the price.")]
PriceEffectiveFrom = Annotated[
    str | None,
    typer.Option(
        help="Earliest start of calls that it applies to, such as 2026-11-01T00:00:00Z.",
        show_default="all calls that arrive after it was created",
    ),
]
PriceFile = Annotated[
    typer.FileText | None,
    typer.Option(
        help="File with the JSON body of POST /v1/prices, which may have tiers; - reads standard"
        " input. Other options take precedence."
    ),
]


def api_of_project(url: str | None, public_key: str | None, secret_key: str | None) -> AdminClient:
    """Return the client of these options. Raises like ``deploy.admin_client.project_client``.

    The import is deferred, because it takes longer than most commands need to start.
    """
    from deploy.admin_client import project_client

    return project_client(url, public_key, secret_key)
