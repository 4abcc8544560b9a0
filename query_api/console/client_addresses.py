"""Determine the address of a client, also behind proxies that are trusted."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

from starlette.requests import Request

Network = IPv4Network | IPv6Network
HOPS_MAX: Final = 20
"""Maximum number of addresses of `X-Forwarded-For` that are read, the last ones."""


def networks_of(texts: str) -> list[Network]:
    """Return the networks of a list that is separated by commas.

    Raises:
        ValueError: one of them is not an address or a network.
    """
    return [ip_network(each.strip(), strict=False) for each in texts.split(",") if each.strip()]


def client_address(request: Request, trusted: Sequence[Network]) -> str:
    """Return the address of a client; empty if it is unknown.

    Each proxy appends the address of its client to ``X-Forwarded-For``. The addresses are read from
    the end as long as they were appended by a trusted proxy, because clients can send the header.
    """
    address = request.client.host if request.client is not None else ""
    forwarded = ",".join(request.headers.getlist("x-forwarded-for")).split(",")[-HOPS_MAX:]
    while forwarded and _is_in(address, trusted):
        before = _without_port(forwarded.pop().strip())
        if not _is_address(before):
            break
        address = before
    return address


def _is_in(text: str, networks: Sequence[Network]) -> bool:
    if not networks or not _is_address(text):
        return False
    address = ip_address(text)
    mapped = getattr(address, "ipv4_mapped", None) or address
    return any(mapped in network for network in networks)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _without_port(text: str) -> str:
    """Return an address without a port, such as ``192.0.2.1:443`` or ``[2001:db8::1]:443``."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text
