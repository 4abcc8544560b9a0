"""Serve the health checks of gRPC for load balancers and orchestrators."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from typing import Final

import grpc
from google.protobuf.message import DecodeError
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from producers.errors import ProducersError
from producers.gateway.otlp_grpc.calls import Context, Reading
from producers.gateway.otlp_grpc.status import failure_of

SERVICE: Final = "grpc.health.v1.Health"
SHARE: Final = "(health)"
"""Key for counting health checks, which need no credential."""


class Health:
    """Serve ``Check``: return SERVING for every service of the server."""

    def __init__(self, reading: Reading, services: Collection[str], retry_after_s: int) -> None:
        self._reading = reading
        self._services = {"", *services}
        self._retry_after_s = retry_after_s

    async def check(self, _: AsyncIterator[bytes], context: Context) -> bytes:
        """Return a ``HealthCheckResponse``, or abort the call with NOT_FOUND."""
        try:
            message = await self._reading.message(SHARE, context)
            service = HealthCheckRequest.FromString(message).service
        except DecodeError:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not a HealthCheckRequest", ())
        except (ProducersError, TimeoutError) as error:
            failure = failure_of(error, self._retry_after_s)
            await context.abort(failure.code, failure.message, failure.metadata)
        if service not in self._services:
            await context.abort(grpc.StatusCode.NOT_FOUND, "there is no such service", ())
        serving = HealthCheckResponse(status=HealthCheckResponse.SERVING)
        return bytes(serving.SerializeToString())
