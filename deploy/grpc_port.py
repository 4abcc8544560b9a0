"""Serve OTLP over gRPC, in addition to the public port."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from deploy.errors import PortInUseError
from deploy.probes import Probe
from deploy.serving import listen
from producers.gateway.app import Gateway
from producers.settings import OtlpGrpcSettings

VERBOSITY: Final = "GRPC_VERBOSITY"
"""Environment variable of grpcio that sets what it logs to standard error."""


@asynccontextmanager
async def serving_otlp_grpc(
    gateway: Gateway, host: str, settings: OtlpGrpcSettings, probes: dict[str, Probe]
) -> AsyncIterator[None]:
    """Serve OTLP over gRPC while the block runs, and add its probe to ``probes``.

    If the port is 0, serve nothing and do not import grpcio.

    Raises:
        PortInUseError: another process listens on the port.
    """
    if settings.port == 0:
        yield
        return
    # Otherwise grpcio logs a line for each call that it refuses.
    os.environ.setdefault(VERBOSITY, "NONE")
    from producers.gateway.otlp_grpc.server import OtlpGrpcServer  # noqa: PLC0415

    listen(host, settings.port).close()  # raises with the reason, which grpcio does not report
    server = OtlpGrpcServer(gateway.context, settings)
    probes["otlp grpc"] = server.fault
    try:
        async with server.running(host, settings.port):
            yield
    except OSError as error:
        raise PortInUseError(f"cannot listen on {host}:{settings.port}") from error
