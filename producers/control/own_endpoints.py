"""Recognize the installation's own endpoints, which webhooks must not reach.

A port alone means this port on all addresses of this machine, including loopback. HOST:PORT means
a port of one host, such as a broker; its name and its resolved addresses are compared.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv6Address
from urllib.parse import urlsplit

from producers.control.resolver import Address, Resolver

PORT_MAX = 65_535


@dataclass(frozen=True, slots=True)
class OwnEndpoints:
    """Ports of this machine, and ports of named hosts."""

    ports: frozenset[int] = frozenset()
    hosts: frozenset[tuple[str, int]] = frozenset()

    async def include(
        self, host: str, port: int, addresses: Iterable[Address], resolver: Resolver
    ) -> bool:
        """Return whether a host with these addresses and this port is an own endpoint."""
        target = set(map(plain_address, addresses))
        here = any(map(is_of_this_machine, target))
        if port in self.ports and here:
            return True
        for name, own_port in self.hosts:
            if own_port != port:
                continue
            if name == host.rstrip(".").lower():
                return True
            try:
                own = set(map(plain_address, await resolver.addresses(name)))
            except OSError:  # a name that does not resolve cannot be reached
                continue
            if own & target or (here and any(map(is_of_this_machine, own))):
                return True
        return False


def own_endpoints(*texts: str) -> OwnEndpoints:
    """Parse lists of PORT, HOST:PORT and URLs that are separated by commas.

    Raises:
        ValueError: an entry is none of these.
    """
    ports: set[int] = set()
    hosts: set[tuple[str, int]] = set()
    for entry in (entry.strip() for text in texts for entry in text.split(",")):
        if not entry:
            continue
        if entry.isascii() and entry.isdigit():
            ports.add(_checked_port(int(entry), entry))
            continue
        parts = urlsplit(entry if "://" in entry else f"//{entry}")
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
        if not parts.hostname or port is None:
            raise ValueError(f"neither a port nor HOST:PORT: {entry!r}")
        hosts.add((parts.hostname.rstrip(".").lower(), _checked_port(port, entry)))
    return OwnEndpoints(frozenset(ports), frozenset(hosts))


def plain_address(address: Address) -> Address:
    """Return the IPv4 address that is embedded in an IPv6 one, or the address itself."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def is_of_this_machine(address: Address) -> bool:
    """Return whether an address belongs to this machine, by trying to bind to it."""
    address = plain_address(address)
    if address.is_loopback or address.is_unspecified:
        return True
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True


def _checked_port(port: int, entry: str) -> int:
    if not 1 <= port <= PORT_MAX:
        raise ValueError(f"not a port from 1 to {PORT_MAX}: {entry!r}")
    return port
