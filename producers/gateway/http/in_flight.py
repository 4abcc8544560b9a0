"""Limit the total size of the bodies in progress, shared fairly between projects."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from producers import metrics
from producers.errors import OverloadedError
from producers.gateway.byte_quota import ByteQuota


class InFlightBytes:
    """Limit the total size of the bodies of all requests in progress."""

    def __init__(self, max_bytes: int) -> None:
        self._quota = ByteQuota(max_bytes)

    def lease(self, project_id: str) -> Lease:
        """Return an empty lease for one request."""
        return Lease(self, project_id)

    def add(self, project_id: str, size: int) -> None:
        """Reserve ``size`` bytes.

        Raises:
            OverloadedError: all projects together use too much, or this one more than its share.
        """
        if not self._quota.allows(project_id, size):
            limit = "in_flight_max_bytes"
            metrics.LIMIT_REACHED.labels(limit=limit).inc()
            raise OverloadedError(limit)
        self._quota.add(project_id, size)
        metrics.IN_FLIGHT_BYTES.set(self._quota.total)

    def release(self, project_id: str, size: int) -> None:
        """Release ``size`` reserved bytes."""
        self._quota.add(project_id, -size)
        metrics.IN_FLIGHT_BYTES.set(self._quota.total)


class Lease:
    """The bytes that a request has reserved; the end of the ``with`` block releases them."""

    def __init__(self, in_flight: InFlightBytes, project_id: str) -> None:
        self._in_flight = in_flight
        self._project_id = project_id
        self._bytes = 0

    def take(self, size: int) -> None:
        """Reserve ``size`` more bytes; raise as ``InFlightBytes.add``."""
        self._in_flight.add(self._project_id, size)
        self._bytes += size

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._in_flight.release(self._project_id, self._bytes)
