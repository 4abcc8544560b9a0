"""Name resolution that strangers may ask for: bounded, and a name that hangs holds one thread, however often it is asked for."""

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
    """Looks names up in threads of its own: the event loop's are few, and a lookup cannot be cancelled. Belongs to one event loop."""

    def __init__(self, lookups_max: int = LOOKUPS_MAX) -> None:
        self._lookups_max = lookups_max
        self._under_way: dict[str, asyncio.Future[list[Address]]] = {}

    async def addresses(self, host: str) -> list[Address]:
        """All addresses of ``host``, each once.

        Raises:
            OSError: it has none, or too many names are being looked up.
        """
        with contextlib.suppress(ValueError):
            return [ip_address(host)]
        under_way = self._under_way.get(host)
        if under_way is None:
            if len(self._under_way) >= self._lookups_max:
                metrics.LIMIT_REACHED.labels(limit="lookups_max").inc()
                raise OSError(f"{self._lookups_max} names are being looked up already")
            under_way = self._under_way[host] = self._begin(host)
        return await asyncio.shield(under_way)

    def _begin(self, host: str) -> asyncio.Future[list[Address]]:
        loop = asyncio.get_running_loop()
        found: asyncio.Future[list[Address]] = loop.create_future()
        found.add_done_callback(lambda done: done.exception())  # whoever asked may have gone

        def end(outcome: list[Address] | OSError) -> None:
            del self._under_way[host]
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
            except Exception as error:  # noqa: BLE001  # a name or an answer that no parser takes
                outcome = OSError(str(error))
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                loop.call_soon_threadsafe(end, outcome)

        threading.Thread(target=look_up, name=f"resolve {host}", daemon=True).start()
        return found
