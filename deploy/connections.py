"""Choose the connection to close when there are too many.

Unauthenticated connections are closed before authenticated ones. Within each kind, the connection
that has been idle longest is closed first.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, Protocol

from deploy.settings import HttpSettings
from producers.metrics import LIMIT_REACHED

Network = IPv4Network | IPv6Network

_IPV6_NETWORK_BITS: Final = 64
"""Size of the IPv6 networks to which limits apply, because one host has all addresses of a /64."""


class Connection(Protocol):
    """The interface of a connection in the registry."""

    address: str
    """Address whose limit applies to the connection; empty if there is none."""

    def waits_for_peer(self) -> bool:
        """Return whether the server cannot continue until the peer sends or reads."""

    def is_between_requests(self) -> bool: ...

    def evict(self) -> None:
        """Close the connection."""


class Connections:
    """The registry of a server's open connections, each kind ordered by idle time.

    A connection is unauthenticated until a request on it is authenticated. Idle time starts with
    the connection or at the end of its last request; parts of a request do not reset it.
    """

    def __init__(self, limits: HttpSettings) -> None:
        self._limits = limits
        self._shared = parse_networks(limits.shared_addresses)
        self._unauthenticated: OrderedDict[Connection, None] = OrderedDict()
        self._authenticated: OrderedDict[Connection, None] = OrderedDict()
        self._unauthenticated_of_address: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._unauthenticated) + len(self._authenticated)

    def admit(self, connection: Connection) -> bool:
        """Add a connection; if necessary, evict an idle one. Return false if none is idle."""
        address, limits = connection.address, self._limits
        if (
            address
            and self._unauthenticated_of_address[address] >= limits.connections_of_address_max
        ):
            LIMIT_REACHED.labels(limit="connections_of_address_max").inc()
            if not self._evict_unauthenticated(address):
                return False
        if len(self) >= limits.connections_max:
            LIMIT_REACHED.labels(limit="connections_max").inc()
            if not self._evict_unauthenticated() and not self._evict_authenticated():
                return False
        self._unauthenticated[connection] = None
        self._unauthenticated_of_address[address] += 1
        return True

    def authenticated(self, connection: Connection) -> None:
        """Mark a connection as authenticated, because a request on it had a valid secret key."""
        if connection in self._unauthenticated:
            self._remove_unauthenticated(connection)
            self._authenticated[connection] = None

    def request_ended(self, connection: Connection) -> None:
        """Restart the idle time of a connection."""
        for kind in (self._unauthenticated, self._authenticated):
            if connection in kind:
                kind.move_to_end(connection)

    def closed(self, connection: Connection) -> None:
        if connection in self._unauthenticated:
            self._remove_unauthenticated(connection)
        self._authenticated.pop(connection, None)

    def _remove_unauthenticated(self, connection: Connection) -> None:
        del self._unauthenticated[connection]
        self._unauthenticated_of_address[connection.address] -= 1
        if not self._unauthenticated_of_address[connection.address]:
            del self._unauthenticated_of_address[connection.address]

    def _evict_unauthenticated(self, address: str = "") -> bool:
        for connection in self._unauthenticated:
            if address in ("", connection.address) and connection.waits_for_peer():
                self._remove_unauthenticated(connection)
                connection.evict()
                return True
        return False

    def _evict_authenticated(self) -> bool:
        for connection in self._authenticated:
            if connection.is_between_requests():
                del self._authenticated[connection]
                connection.evict()
                return True
        return False

    def limited_address(self, host: str) -> str:
        """Return the address or network whose limit applies to ``host``; empty for none."""
        try:
            found = ip_address(host.partition("%")[0])
        except ValueError:
            return ""
        if isinstance(found, IPv6Address) and found.ipv4_mapped:
            found = found.ipv4_mapped
        if any(found in network for network in self._shared):
            return ""
        if isinstance(found, IPv6Address):
            return str(ip_network((found, _IPV6_NETWORK_BITS), strict=False))
        return str(found)


def parse_networks(text: str) -> tuple[Network, ...]:
    """Parse a comma-separated list of networks and addresses.

    Raises:
        ValueError: an entry is neither a network nor an address.
    """
    parts: Iterable[str] = (part.strip() for part in text.split(","))
    return tuple(ip_network(part, strict=False) for part in parts if part)
