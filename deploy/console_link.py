"""Print a link that signs in to the console: `tracemill console`."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from deploy.api_options import PUBLIC_KEY, Url


def console(
    url: Url = None,
    public_key: Annotated[
        str,
        typer.Option(
            help="Public key of the key pair as which the link signs in.",
            envvar="TRACEMILL_INIT_PUBLIC_KEY",
        ),
    ] = PUBLIC_KEY,
) -> None:
    """Print a link that signs in to the console, once and within ten minutes.

    It needs the secret that signs sessions: TRACEMILL_CONSOLE_SECRET, or that of the data directory
    of `tracemill up` (TRACEMILL_DATA_DIR).
    """
    from deploy.admin_client import server_address
    from deploy.errors import DeployError
    from query_api.console.links import link_path

    try:
        secret = _secret()
        print(f"{server_address(url)}{link_path(secret.split(','), public_key)}")
    except DeployError as error:
        print(f"tracemill console: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None


def _secret() -> str:
    """Return the secrets that sign sessions.

    Raises:
        DeployError: there are none, or a file of the installation cannot be read.
    """
    from deploy.embedded.credentials import read_credentials
    from deploy.errors import MisconfiguredError
    from deploy.settings import ProcessSettings

    data_dir = ProcessSettings().data_dir
    credentials = read_credentials(data_dir)
    generated = "" if credentials is None else credentials.console.get_secret_value()
    secret = os.environ.get("TRACEMILL_CONSOLE_SECRET", "") or generated
    if not secret:
        raise MisconfiguredError(
            f"there is no secret that signs sessions: set TRACEMILL_CONSOLE_SECRET, or run this on"
            f" the machine of `tracemill up` (no installation with one in {data_dir})"
        )
    return secret
