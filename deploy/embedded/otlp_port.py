"""Choose the port on which `tracemill up` serves OTLP over gRPC."""

from __future__ import annotations

from collections.abc import Callable

from deploy.embedded.ports import LOOPBACK, require_free, reserve
from deploy.errors import PortInUseError
from producers.settings import OtlpGrpcSettings

VARIABLE = "TRACEMILL_OTLP_GRPC_PORT"


def require_otlp_grpc_port(host: str = LOOPBACK) -> None:
    """Raise PortInUseError if the port is configured explicitly and cannot be used now."""
    settings = OtlpGrpcSettings()
    if settings.port and "port" in settings.model_fields_set:
        require_free(settings.port, purpose="OTLP over gRPC", host=host)


def otlp_grpc_port(host: str, *, print_line: Callable[[str], None]) -> int:
    """Return the port; 0 if OTLP over gRPC is not served.

    It is not served if the default port is in use, which is often the case on the machines of
    developers.

    Raises:
        PortInUseError: the port is configured explicitly and cannot be used.
    """
    require_otlp_grpc_port(host)
    settings = OtlpGrpcSettings()
    port = settings.port
    if not port or "port" in settings.model_fields_set:
        return port
    fault = f"port {port} is in use"
    try:
        require_free(port, host=host)
        if reserve(port):  # else another process has reserved it, but does not listen yet
            return port
    except PortInUseError as error:
        fault = str(error)
    print_line(f"OTLP over gRPC is not served: {fault}; set {VARIABLE} to another port")
    return 0
