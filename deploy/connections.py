"""Which connection is closed when there are too many: strangers before callers, and of these the longest idle."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, Protocol

from deploy.settings import HttpSettings
from producers.metrics import LIMIT_REACHED

Network = IPv4Network | IPv6Network

_IPV6_SHARE_BITS: Final = 64
"""What one host or home has: a share of each address would be none."""


class Connection(Protocol):
    """What the registry asks of a connection."""

    address: str
    """Whose share it is part of; empty if of none."""

    def waits_for_peer(self) -> bool:
        """Whether nothing is done here until the other end sends or reads something."""

    def is_between_requests(self) -> bool: ...

    def evict(self) -> None:
        """Close the connection."""


class Connections:
    """The open connections of one server, each kind with the longest idle first.

    A connection is a stranger's until a request on it was authenticated. Idle begins with the connection
    and anew with the end of each request, so bytes that trickle in do not make a connection younger.
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
        """Take a new connection in, if need be in the place of an idle one; false if there is none."""
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
        """A request on this connection named a project's secret."""
        if connection in self._strangers:
            self._forget_stranger(connection)
            self._callers[connection] = None

    def request_ended(self, connection: Connection) -> None:
        """Idle begins anew."""
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
        """The address whose share a connection from ``host`` is part of; empty for those that many share."""
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
    """Networks and addresses, joined by commas.

    Raises:
        ValueError: one of them is none.
    """
    parts: Iterable[str] = (part.strip() for part in text.split(","))
    return tuple(ip_network(part, strict=False) for part in parts if part)
