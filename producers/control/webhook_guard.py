"""Where a webhook may go: a guard against requests forged to our own network.

A webhook's URL is a stranger's wish for a request from inside. So only http and https, and only addresses of the public internet: the name is resolved, every address it has is
checked, and the connection goes to a checked address, not to the name again (which could answer otherwise the second time).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network, ip_network
from typing import Final
from urllib.parse import urlsplit

from producers.control.own_endpoints import OwnEndpoints
from producers.control.resolver import Address, Resolver
from producers.errors import WebhookAddressError

DEFAULT_PORTS: Final = {"http": 80, "https": 443}
URL_LENGTH_MAX: Final = 2_000
RESOLVE_TIMEOUT_S: Final = 5.0
NO_ENDPOINTS: Final = OwnEndpoints()

_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
_REFUSED: Final = tuple(
    map(
        ip_network,
        (
            "168.63.129.16/32",  # Azure's platform, though it looks public
            "192.0.0.0/24",  # protocol assignments; Oracle's metadata lives here
            "192.88.99.0/24",  # 6to4 relays
            "2001::/23",  # protocol assignments; Teredo carries IPv4 addresses
            "2002::/16",  # 6to4 carries them, too
            "3fff::/20",  # documentation
        ),
    )
)
"""What counts as global in Python's tables, but is no place for a receiver."""


@dataclass(frozen=True, slots=True)
class WebhookTarget:
    """The parts of a URL that a request needs; nothing is parsed a second time."""

    scheme: str
    host: str
    """As in the URL, in ASCII; an IPv6 address without brackets."""
    port: int
    path: str
    """Path and query, beginning with a slash."""

    @property
    def authority(self) -> str:
        """What the header ``Host`` says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def target_of(url: str) -> WebhookTarget:
    """The target of a URL, as far as the URL itself tells.

    Raises:
        WebhookAddressError: not http or https, no host, credentials or a fragment in it, or not a URL.
    """
    if len(url) > URL_LENGTH_MAX:
        raise WebhookAddressError(f"the URL is longer than {URL_LENGTH_MAX} characters")
    if not url.isascii() or any(
        character <= " " or character in '\\"<>^`{|}\x7f' for character in url
    ):
        raise WebhookAddressError("the URL has characters that must be percent-encoded")
    try:
        parts = urlsplit(url)
        port = parts.port
        host = parts.hostname
    except ValueError as error:
        raise WebhookAddressError(f"not a URL: {error}") from error
    if parts.scheme not in DEFAULT_PORTS:
        raise WebhookAddressError("the URL must begin with http:// or https://")
    if not host or "%" in host:
        raise WebhookAddressError("the URL names no host")
    if "@" in parts.netloc:
        raise WebhookAddressError("the URL must not hold credentials")
    if parts.fragment:
        raise WebhookAddressError("the URL must not have a fragment")
    if port == 0:
        raise WebhookAddressError("port 0 is none")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return WebhookTarget(parts.scheme, host, port or DEFAULT_PORTS[parts.scheme], path)


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public internet: not private, loopback, link-local, multicast, reserved, or an IPv4 address in disguise."""
    if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST:
        return False
    if any(address.version == network.version and address in network for network in _REFUSED):
        return False
    return address.is_global and not (
        address.is_multicast or address.is_reserved or address.is_unspecified
    )


async def checked_addresses(
    target: WebhookTarget,
    resolver: Resolver,
    *,
    allow_private: bool,
    own: OwnEndpoints = NO_ENDPOINTS,
    timeout_s: float = RESOLVE_TIMEOUT_S,
) -> list[Address]:
    """Resolve ``target`` and return the addresses that a request may go to, IPv4 first.

    Args:
        target: host and port of the webhook.
        resolver: looks the name up.
        allow_private: allow private addresses, for receivers in one's own network.
        own: the installation's own endpoints, never allowed.
        timeout_s: time limit for resolving the name.

    Raises:
        WebhookAddressError: there is no address, or one that is not public or is an own endpoint.
    """
    try:
        async with asyncio.timeout(timeout_s):
            addresses = await resolver.addresses(target.host)
            is_own = await own.include(target.host, target.port, addresses, resolver)
    except TimeoutError as error:
        raise WebhookAddressError(f"{target.host} did not resolve within {timeout_s} s") from error
    except OSError as error:
        raise WebhookAddressError(f"{target.host} does not resolve") from error
    if not allow_private and not all(map(is_public, addresses)):
        raise WebhookAddressError(
            f"{target.host} is not an address of the public internet"
            " (TRACEMILL_WEBHOOKS_ALLOW_PRIVATE=true allows it)"
        )
    if not addresses:
        raise WebhookAddressError(f"{target.host} does not resolve")
    if is_own:
        raise WebhookAddressError(
            f"port {target.port} of {target.host} belongs to this installation"
        )
    return sorted(addresses, key=lambda address: address.version)


async def check_webhook_url(
    url: str, resolver: Resolver, *, allow_private: bool, own: OwnEndpoints = NO_ENDPOINTS
) -> None:
    """Refuse a URL that no delivery could go to. The resolver is one for all calls: it bounds how many names are looked up at once.

    Raises:
        WebhookAddressError: the message says why, fit for the client.
    """
    await checked_addresses(target_of(url), resolver, allow_private=allow_private, own=own)
