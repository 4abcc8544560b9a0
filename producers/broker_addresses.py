"""Parse addresses of Kafka brokers in settings and options."""

from __future__ import annotations

from ipaddress import IPv6Address
from typing import Final

PORT_MAX: Final = 65_535


def broker_addresses(text: str) -> str:
    """Check addresses that are separated by commas, and return them without spaces.

    The port of an address is optional.

    Raises:
        ValueError: an address is invalid; the message contains it.
    """
    addresses = [part.strip() for part in text.split(",")]
    for address in addresses:
        if not _is_address(address):
            raise ValueError(f"{address!r} is not HOST:PORT with a port from 1 to {PORT_MAX}")
    return ",".join(addresses)


def _is_address(address: str) -> bool:
    if _is_ipv6(address):
        return True
    host, colon, port = address.rpartition(":")
    if address.endswith("]") or not colon:
        host, port = address, ""
    elif not (port.isascii() and port.isdigit() and 1 <= int(port[:6]) <= PORT_MAX):
        return False
    if host.startswith("["):
        return host.endswith("]") and _is_ipv6(host[1:-1])
    return _is_name(host)


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def _is_name(host: str) -> bool:
    """Return whether a host name is well-formed."""
    if not host or not set(host).isdisjoint(":/@[] \t\n"):
        return False
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return True
