"""Check arguments of commands that call the API: ids and the address."""

from __future__ import annotations

import re
from typing import Final

import typer

_ID: Final = re.compile(r"[A-Za-z0-9._:@-]{1,128}")
_SHIPPED: Final = re.compile(r"(?!prc_)[a-z0-9_-]+/[A-Za-z0-9._:@/-]{1,128}")
_URL: Final = re.compile(r"https?://[^/]", re.IGNORECASE)


def checked_id(text: str) -> str:
    """Check an id and return it; other characters would be unsafe in the path of a URL.

    Raises:
        typer.BadParameter: the text cannot be an id.
    """
    if not _ID.fullmatch(text):
        raise typer.BadParameter(
            f"{text[:128]!r} is not an id: 1 to 128 letters (a-z), digits and . _ : @ -"
        )
    return text


def checked_price_id(text: str) -> str:
    """Check the id of a price that was created, and return it.

    Raises:
        typer.BadParameter: the text cannot be such an id; shipped prices have other ids.
    """
    if _SHIPPED.fullmatch(text):
        model = text.partition("/")[2]
        raise typer.BadParameter(
            f"{text!r} is not an id of a created price (prc_…); `tracemill prices list --defaults"
            f" --model {model}` shows prices shipped with tracemill, which are read-only"
        )
    return checked_id(text)


def checked_url(url: str | None) -> str | None:
    """Check the address of tracemill and return it.

    Raises:
        typer.BadParameter: it does not begin with ``http://`` or ``https://`` and a host.
    """
    if url and not _URL.match(url):
        raise typer.BadParameter(f"it needs http:// or https:// and a host, not {url!r}")
    return url
