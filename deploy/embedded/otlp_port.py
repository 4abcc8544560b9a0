"""Chooses the port on which `tracemill up` serves OTLP over gRPC."""

from __future__ import annotations

from collections.abc import Callable

from deploy.embedded.ports import LOOPBACK, require_free, reserve
from deploy.errors import PortInUseError
from producers.settings import OtlpGrpcSettings

VARIABLE = "TRACEMILL_OTLP_GRPC_PORT"


def require_otlp_grpc_port(host: str = LOOPBACK) -> None:
    """Raises PortInUseError when the user chose a port that one cannot listen on now."""
    settings = OtlpGrpcSettings()
    if settings.port and "port" in settings.model_fields_set:
        require_free(settings.port, purpose="OTLP over gRPC", host=host)


def otlp_grpc_port(host: str, *, say: Callable[[str], None]) -> int:
    """Return the port; 0 if there is to be none.

    The default is used if it is free, and is not worth failing for: collectors on developers'
    machines, and other installations, have the same. Raises as ``require_otlp_grpc_port``.
    """
    require_otlp_grpc_port(host)
    settings = OtlpGrpcSettings()
    port = settings.port
    if not port or "port" in settings.model_fields_set:
        return port
    try:
        require_free(port, purpose="OTLP over gRPC", host=host)
    except PortInUseError as error:
        say(f"{error}: it is not served; {VARIABLE} gives it another port")
        return 0
    if not reserve(port):  # another start has chosen it and does not listen yet
        say(f"port {port} is taken: OTLP over gRPC is not served; {VARIABLE} gives it another port")
        return 0
    return port
