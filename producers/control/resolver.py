"""Resolve host names that clients choose, with a limited number of concurrent look-ups."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from producers import metrics

Address = IPv4Address | IPv6Address

LOOKUPS_MAX: Final = 64


class Resolver:
    """Resolve names for one event loop, each in its own thread.

    Look-ups cannot be cancelled, so slow ones could block the few threads of the event loop.
    Concurrent look-ups of the same name share a thread.
    """

    def __init__(self, lookups_max: int = LOOKUPS_MAX) -> None:
        self._lookups_max = lookups_max
        self._pending: dict[str, asyncio.Future[list[Address]]] = {}

    async def addresses(self, host: str) -> list[Address]:
        """Return the addresses of ``host`` without duplicates.

        Raises:
            OSError: the name does not resolve, or too many names are being looked up.
        """
        with contextlib.suppress(ValueError):
            return [ip_address(host)]
        pending = self._pending.get(host)
        if pending is None:
            if len(self._pending) >= self._lookups_max:
                metrics.LIMIT_REACHED.labels(limit="lookups_max").inc()
                raise OSError(f"{self._lookups_max} names are being looked up already")
            pending = self._pending[host] = self._begin(host)
        return await asyncio.shield(pending)

    def _begin(self, host: str) -> asyncio.Future[list[Address]]:
        loop = asyncio.get_running_loop()
        found: asyncio.Future[list[Address]] = loop.create_future()
        # Retrieve the exception, because the caller may have been cancelled.
        found.add_done_callback(lambda done: done.exception())

        def end(outcome: list[Address] | OSError) -> None:
            del self._pending[host]
            if isinstance(outcome, OSError):
                found.set_exception(outcome)
            else:
                found.set_result(outcome)

        def look_up() -> None:
            outcome: list[Address] | OSError
            try:
                infos = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
                texts = dict.fromkeys(str(info[4][0]).partition("%")[0] for info in infos)
                outcome = [ip_address(text) for text in texts]
            except OSError as error:
                outcome = error
            except Exception as error:  # noqa: BLE001  # an invalid name or response
                outcome = OSError(str(error))
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(end, outcome)

        threading.Thread(target=look_up, name=f"resolve {host}", daemon=True).start()
        return found
