"""Validate the address of a ClickHouse server in settings and options."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

SCHEMES: Final = frozenset({"http", "https"})


def http_address(url: str) -> str:
    """Validate the address of an HTTP interface and return it.

    Raises:
        ValueError: it is not a URL, or its host or port is invalid.
    """
    try:
        parts = urlsplit(url)
        # Reading the port validates it. A name that cannot be encoded cannot be resolved.
        is_address = parts.scheme in SCHEMES and parts.hostname and parts.port != 0
        (parts.hostname or "").encode("idna")
    except ValueError:
        is_address = False
    if not is_address:
        raise ValueError("it is not a URL like http://HOST:8123")
    return url
