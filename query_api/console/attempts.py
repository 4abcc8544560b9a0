"""Limit failed attempts to sign in, by address of the client."""

from __future__ import annotations

from collections.abc import Callable

from query_api import metrics

_SECOND_US = 1_000_000


class Attempts:
    """Counts the failed attempts of each address in the current window."""

    def __init__(
        self,
        *,
        attempts_max: int,
        window_s: int,
        clients_max: int,
        now_us: Callable[[], int],
    ) -> None:
        """Allow ``attempts_max`` failures of an address within ``window_s``."""
        self._attempts_max = attempts_max
        self._window_us = window_s * _SECOND_US
        self._clients_max = clients_max
        self._now_us = now_us
        self._failed: dict[str, tuple[int, int]] = {}
        """By address: the end of its window, and the failures in it."""

    def wait_s(self, client: str) -> int:
        """Return the seconds until an address may try again; 0: it may try now."""
        until_us, failures = self._failed.get(client, (0, 0))
        left_us = until_us - self._now_us()
        if left_us <= 0 or failures < self._attempts_max:
            return 0
        metrics.LIMITS_REACHED.labels("sign_in_attempts_max").inc()
        return -(-left_us // _SECOND_US)

    def failed(self, client: str) -> None:
        """Count a failed attempt of an address."""
        now_us = self._now_us()
        until_us, failures = self._failed.pop(client, (0, 0))
        if until_us <= now_us:
            until_us, failures = now_us + self._window_us, 0
        if len(self._failed) >= self._clients_max:
            metrics.LIMITS_REACHED.labels("sign_in_clients_max").inc()
            del self._failed[next(iter(self._failed))]
        self._failed[client] = until_us, failures + 1
