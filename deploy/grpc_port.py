"""Serves OTLP over gRPC beside the public port."""

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
"""Environment variable of grpcio: what it writes to standard error by itself."""


@asynccontextmanager
async def serving_otlp_grpc(
    gateway: Gateway, host: str, settings: OtlpGrpcSettings, probes: dict[str, Probe]
) -> AsyncIterator[None]:
    """Serve OTLP over gRPC while the block runs; port 0 serves nothing, and imports nothing.

    ``probes`` gets a probe of the server.

    Raises:
        PortInUseError: another process listens on the port.
    """
    if settings.port == 0:
        yield
        return
    # grpcio writes a line for each call that it refuses itself, whoever sends it.
    os.environ.setdefault(VERBOSITY, "NONE")
    from producers.gateway.otlp_grpc.server import OtlpGrpcServer  # noqa: PLC0415

    listen(host, settings.port).close()  # grpcio does not say why it cannot
    server = OtlpGrpcServer(gateway.context, settings)
    probes["otlp grpc"] = server.fault
    try:
        async with server.running(host, settings.port):
            yield
    except OSError as error:
        raise PortInUseError(f"cannot listen on {host}:{settings.port}") from error
