"""List the ports of this process and its engines, which webhooks must not reach."""

from __future__ import annotations

from typing import Final

from clickhouse.settings import StoreSettings
from deploy.settings import ProcessSettings
from producers.settings import KafkaSettings, OtlpGrpcSettings

KAFKA_PORT: Final = 9092
"""Port of a broker whose address names none."""


def forbidden_ports(
    process: ProcessSettings,
    kafka: KafkaSettings,
    store: StoreSettings,
    otlp_grpc: OtlpGrpcSettings,
    configured: str,
) -> str:
    """Return the ports of the process and its engines, and the configured ones.

    ``configured`` is ``TRACEMILL_WEBHOOKS_FORBIDDEN_PORTS``.
    """
    brokers = [
        address if ":" in address else f"{address}:{KAFKA_PORT}"
        for address in map(str.strip, kafka.broker.split(","))
        if address
    ]
    own = [str(process.port), *brokers, store.clickhouse_url]
    own += [str(port) for port in (process.metrics_port, otlp_grpc.port) if port]
    return ",".join([*own, configured])
