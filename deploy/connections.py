"""Choose the connection to close when there are too many.

Unauthenticated ones (strangers) are closed before authenticated ones (callers), and of each kind
the longest idle one first.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, Protocol

from deploy.settings import HttpSettings
from producers.metrics import LIMIT_REACHED

Network = IPv4Network | IPv6Network

_IPV6_SHARE_BITS: Final = 64
"""Prefix of an IPv6 share: one host has all addresses of its /64, so a limit per address is none."""


class Connection(Protocol):
    """What the registry needs of a connection."""

    address: str
    """Address whose share the connection counts toward; empty if none."""

    def waits_for_peer(self) -> bool:
        """Return whether the server can do nothing until the peer sends or reads something."""

    def is_between_requests(self) -> bool: ...

    def evict(self) -> None:
        """Close the connection."""


class Connections:
    """Keep the open connections of one server, each kind ordered by idle time.

    A connection is a stranger's until a request on it is authenticated. Idle time is counted from
    the connection's start or the end of its last request, so bytes that trickle in do not reset it.
    """

    def __init__(self, limits: HttpSettings) -> None:
        self._limits = limits
        self._shared = networks_of(limits.shared_addresses)
        self._strangers: OrderedDict[Connection, None] = OrderedDict()
        self._callers: OrderedDict[Connection, None] = OrderedDict()
        self._strangers_of_address: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._strangers) + len(self._callers)

    def admit(self, connection: Connection) -> bool:
        """Add a new connection, evicting an idle one if necessary; false if none can be evicted."""
        address, limits = connection.address, self._limits
        if address and self._strangers_of_address[address] >= limits.connections_of_address_max:
            LIMIT_REACHED.labels(limit="connections_of_address_max").inc()
            if not self._evict_stranger(address):
                return False
        if len(self) >= limits.connections_max:
            LIMIT_REACHED.labels(limit="connections_max").inc()
            if not self._evict_stranger() and not self._evict_caller():
                return False
        self._strangers[connection] = None
        self._strangers_of_address[address] += 1
        return True

    def authenticated(self, connection: Connection) -> None:
        """Count a connection as a caller's: a request on it was authenticated by a secret key."""
        if connection in self._strangers:
            self._forget_stranger(connection)
            self._callers[connection] = None

    def request_ended(self, connection: Connection) -> None:
        """Restart the idle time of a connection."""
        for kind in (self._strangers, self._callers):
            if connection in kind:
                kind.move_to_end(connection)

    def closed(self, connection: Connection) -> None:
        if connection in self._strangers:
            self._forget_stranger(connection)
        self._callers.pop(connection, None)

    def _forget_stranger(self, connection: Connection) -> None:
        del self._strangers[connection]
        self._strangers_of_address[connection.address] -= 1
        if not self._strangers_of_address[connection.address]:
            del self._strangers_of_address[connection.address]

    def _evict_stranger(self, address: str = "") -> bool:
        for connection in self._strangers:
            if address in ("", connection.address) and connection.waits_for_peer():
                self._forget_stranger(connection)
                connection.evict()
                return True
        return False

    def _evict_caller(self) -> bool:
        for connection in self._callers:
            if connection.is_between_requests():
                del self._callers[connection]
                connection.evict()
                return True
        return False

    def share_of(self, host: str) -> str:
        """Return the address whose share ``host`` counts toward; empty for shared addresses."""
        try:
            found = ip_address(host.partition("%")[0])
        except ValueError:
            return ""
        if isinstance(found, IPv6Address) and found.ipv4_mapped:
            found = found.ipv4_mapped
        if any(found in network for network in self._shared):
            return ""
        if isinstance(found, IPv6Address):
            return str(ip_network((found, _IPV6_SHARE_BITS), strict=False))
        return str(found)


def networks_of(text: str) -> tuple[Network, ...]:
    """Parse networks and addresses that are joined by commas.

    Raises:
        ValueError: an entry is neither.
    """
    parts: Iterable[str] = (part.strip() for part in text.split(","))
    return tuple(ip_network(part, strict=False) for part in parts if part)
