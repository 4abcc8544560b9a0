"""Configure commands with the addresses and passwords of the engines of `tracemill up`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pydantic import SecretStr

from deploy.directories import absolute
from deploy.embedded.credentials import Credentials, ensure_credentials, read_credentials
from deploy.embedded.data_dir import read_installation
from deploy.embedded.kafka import broker_settings, exec_broker
from deploy.embedded.ports import LOOPBACK
from deploy.errors import DeployError
from deploy.settings import ProcessSettings
from producers.settings import KafkaSettings


def local_environment(data_dir: Path, *, store_user: str) -> dict[str, str]:
    """Return the variables with which a process connects to the engines of ``tracemill up``.

    ``store_user`` is ``ingest``, ``query`` or ``migrate``. If ``data_dir`` contains no
    installation, there are no variables.

    Raises:
        DeployError: a file of the installation cannot be read.
    """
    installation, credentials = read_installation(data_dir), read_credentials(data_dir)
    if installation is None or credentials is None:
        return {}
    ports = installation.ports
    return {
        **broker_environment(broker_settings(ports.broker, credentials.broker)),
        **store_environment(ports.store, store_user, credentials),
    }


def use_local_installation(*, store_user: str) -> None:
    """Set this process's variables to the local engines, unless other addresses are set.

    Call this before settings are read.

    Raises:
        DeployError: a file of the installation cannot be read.
    """
    found = local_environment(ProcessSettings().data_dir, store_user=store_user)
    for address in ("TRACEMILL_BROKER", "TRACEMILL_CLICKHOUSE_URL"):
        if address not in os.environ:
            engine = address.removesuffix("_URL")
            os.environ.update(
                {name: value for name, value in found.items() if name.startswith(engine)}
            )


def broker_environment(kafka: KafkaSettings) -> dict[str, str]:
    """Return the variables with which another process connects to the same broker."""
    return {
        "TRACEMILL_BROKER": kafka.broker,
        "TRACEMILL_BROKER_USERNAME": kafka.broker_username,
        "TRACEMILL_BROKER_PASSWORD": kafka.broker_password.get_secret_value(),
        "TRACEMILL_BROKER_SASL_MECHANISM": kafka.broker_sasl_mechanism,
        "TRACEMILL_BROKER_SECURITY_PROTOCOL": kafka.security_protocol,
        "TRACEMILL_BROKER_SSL_CAFILE": str(kafka.broker_ssl_cafile or ""),
        "TRACEMILL_BROKER_SSL_CERTFILE": str(kafka.broker_ssl_certfile or ""),
        "TRACEMILL_BROKER_SSL_KEYFILE": str(kafka.broker_ssl_keyfile or ""),
    }


def store_environment(port: int, user: str, credentials: Credentials) -> dict[str, str]:
    """Return the variables with which a process connects to the embedded store as ``user``."""
    password: SecretStr = getattr(credentials, f"store_{user}")
    return {
        "TRACEMILL_CLICKHOUSE_URL": f"http://{LOOPBACK}:{port}",
        "TRACEMILL_CLICKHOUSE_USER": user,
        "TRACEMILL_CLICKHOUSE_PASSWORD": password.get_secret_value(),
    }


def store_passwords(credentials: Credentials) -> dict[str, str]:
    """Return the variables that define the users of the embedded store."""
    return {
        "TRACEMILL_STORE_INGEST_PASSWORD": credentials.store_ingest.get_secret_value(),
        "TRACEMILL_STORE_QUERY_PASSWORD": credentials.store_query.get_secret_value(),
        "TRACEMILL_STORE_MIGRATE_PASSWORD": credentials.store_migrate.get_secret_value(),
        "TRACEMILL_CLICKHOUSE_PASSWORD": "",
    }


def run_broker(data_dir: Path | None, port: int) -> int:
    """Replace this process by the embedded broker; return an exit code if that fails.

    The password is read from the environment, or else from the data directory.
    """
    process, kafka = ProcessSettings(), KafkaSettings()
    try:
        log_dir = absolute(data_dir or process.data_dir / "kafka")
        password = kafka.broker_password
        if not password.get_secret_value():
            password = ensure_credentials(absolute(data_dir or process.data_dir)).broker
        exec_broker(log_dir, port, password)
    except DeployError as error:
        print(f"tracemill broker: {error}", file=sys.stderr)
        return error.exit_code
