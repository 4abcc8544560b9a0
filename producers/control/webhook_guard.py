"""Protect webhooks against server-side request forgery (SSRF).

Clients choose the URLs of webhooks. Only http and https to public addresses are allowed. A name is
resolved once, and all of its addresses are checked. The connection goes to a checked address,
because resolving the name again could return another one.
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
            "168.63.129.16/32",  # Azure's platform services
            "192.0.0.0/24",  # protocol assignments, and Oracle's metadata service
            "192.88.99.0/24",  # 6to4 relays
            "2001::/23",  # protocol assignments, and Teredo, which embeds IPv4 addresses
            "2002::/16",  # 6to4, which embeds IPv4 addresses
            "3fff::/20",  # documentation
        ),
    )
)
"""Networks that Python considers global, but that have no public receivers."""


@dataclass(frozen=True, slots=True)
class WebhookTarget:
    """The parts of a URL that a request needs."""

    scheme: str
    host: str
    """Host of the URL, in ASCII; an IPv6 address without brackets."""
    port: int
    path: str
    """Path and query, beginning with a slash."""

    @property
    def authority(self) -> str:
        """Return the value of the header ``Host``."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def target_of(url: str) -> WebhookTarget:
    """Parse the URL of a webhook.

    Raises:
        WebhookAddressError: it is not a URL of http or https, has no host, or has credentials or a
            fragment.
    """
    if len(url) > URL_LENGTH_MAX:
        raise WebhookAddressError(f"the URL is longer than {URL_LENGTH_MAX} characters")
    if not url.isascii() or any(
        character <= " " or character in '\\"<>^`{|}\x7f' for character in url
    ):
        raise WebhookAddressError("the URL contains characters that must be percent-encoded")
    try:
        parts = urlsplit(url)
        port = parts.port
        host = parts.hostname
    except ValueError as error:
        raise WebhookAddressError(f"not a URL: {error}") from error
    if parts.scheme not in DEFAULT_PORTS:
        raise WebhookAddressError("the URL must begin with http:// or https://")
    if not host or "%" in host:
        raise WebhookAddressError("the URL has no host")
    if "@" in parts.netloc:
        raise WebhookAddressError("the URL must not contain credentials")
    if parts.fragment:
        raise WebhookAddressError("the URL must not have a fragment")
    if port == 0:
        raise WebhookAddressError("the port must not be 0")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return WebhookTarget(parts.scheme, host, port or DEFAULT_PORTS[parts.scheme], path)


def is_public(address: Address) -> bool:
    """Return whether an address belongs to the public internet.

    Private, loopback, link-local, multicast and reserved addresses are not, nor are IPv6 addresses
    that embed an IPv4 address.
    """
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
        target: the webhook.
        resolver: resolves the name.
        allow_private: allow private addresses.
        own: the installation's own endpoints, never allowed.
        timeout_s: maximum time of resolving the name.

    Raises:
        WebhookAddressError: the name does not resolve, or one of its addresses is not allowed.
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
    """Refuse a URL to which deliveries are not allowed or not possible.

    All calls share ``resolver``, because it limits the number of concurrent look-ups.

    Raises:
        WebhookAddressError: the message gives the reason and is safe to show to the client.
    """
    await checked_addresses(target_of(url), resolver, allow_private=allow_private, own=own)
