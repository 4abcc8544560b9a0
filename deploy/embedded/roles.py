"""Define the processes of `tracemill up`: commands, settings, readiness and liveness."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.broker_probe import broker_answers
from deploy.embedded.credentials import Credentials, ensure_credentials, password_file
from deploy.embedded.data_dir import Installation
from deploy.embedded.kafka import JAVA_ENVIRONMENT, EmbeddedKafka, broker_settings
from deploy.embedded.ports import LOOPBACK
from deploy.embedded.readiness import http_answers, http_get
from deploy.liveness import Health, Liveness, stalls_in
from deploy.local import broker_environment, store_environment, store_passwords
from deploy.settings import ProcessSettings
from deploy.supervisor import Process
from producers.settings import AdminSettings, KafkaSettings

EMBEDDED = "embedded"


@dataclass(frozen=True, slots=True)
class UpOptions:
    """Options of `tracemill up`.

    `broker` and `clickhouse` are `embedded` or an address (HOST:PORT, or a URL). If `port` is None,
    the port of the last run is used, or else the default.
    """

    data_dir: Path
    host: str = LOOPBACK
    port: int | None = None
    broker: str = EMBEDDED
    clickhouse: str = EMBEDDED
    otlp_grpc_port: int = 0
    """Port of OTLP over gRPC; 0: none."""


def variables_of_engines(options: UpOptions) -> set[str]:
    """Return the variables that each role gets with the addresses and users of the engines.

    Their values in the environment of `tracemill up` do not matter.
    """
    names = {"TRACEMILL_BROKER", "TRACEMILL_CLICKHOUSE_URL"}
    if options.broker == EMBEDDED:
        names |= broker_environment(KafkaSettings.model_construct()).keys()
    return names


def role_command(role: str) -> list[str]:
    """Return the command line of a role; -P prevents imports from the working directory."""
    return [sys.executable, "-P", "-m", "deploy", role]


def embedded_broker(
    options: UpOptions, installation: Installation, credentials: Credentials
) -> EmbeddedKafka | None:
    """Return the broker to run; None if an external one is used."""
    if options.broker != EMBEDDED:
        return None
    ports = installation.ports
    return EmbeddedKafka(
        options.data_dir / "kafka",
        port=ports.broker,
        controller_port=ports.broker_controller,
        password=credentials.broker,
    )


def broker_of(options: UpOptions, installation: Installation) -> tuple[KafkaSettings, Path | None]:
    """Return the broker's settings, and the password file of an embedded one."""
    if options.broker != EMBEDDED:
        return KafkaSettings(broker=options.broker), None
    password = ensure_credentials(options.data_dir).broker
    return (
        broker_settings(installation.ports.broker, password),
        password_file(options.data_dir, "broker"),
    )


def processes(
    options: UpOptions,
    installation: Installation,
    credentials: Credentials,
    broker: EmbeddedKafka | None,
) -> Sequence[Process]:
    """Return all processes. They start concurrently, and each waits for its dependencies."""
    ports, settings = installation.ports, ProcessSettings()
    common = {
        **_parallelism(options),
        "TRACEMILL_DATA_DIR": str(options.data_dir),
        "TRACEMILL_BROKER": options.broker,
        "TRACEMILL_CLICKHOUSE_URL": _clickhouse_url(options, installation),
        **_watched_disks(options),
        **_own_ports(installation, options),
    }
    engines: list[Process] = []
    if broker is not None:
        common |= broker_environment(broker.client_settings())
        engines.append(
            Process(
                "broker",
                broker.command(),
                prepare=broker.prepare,
                environment=JAVA_ENVIRONMENT,
                is_ready=_broker_answers(broker.client_settings()),
                liveness=_engine_liveness(_broker_answers(broker.client_settings()), settings),
            )
        )
    if options.clickhouse == EMBEDDED:
        engines.append(
            Process(
                "store",
                role_command("store"),
                is_ready=_http_answers(ports.store, "/ping"),
                liveness=_engine_liveness(_http_answers(ports.store, "/ping"), settings),
                environment={
                    **common,
                    **store_passwords(credentials),
                    "TRACEMILL_STORE_PORT": str(ports.store),
                },
            )
        )

    def as_user(store_user: str) -> dict[str, str]:
        """Return the environment of a role that uses this user of the store."""
        if options.clickhouse != EMBEDDED:
            return common
        return {**common, **store_environment(ports.store, store_user, credentials)}

    needs = [each.name for each in engines]
    return [
        *engines,
        Process("migrate", role_command("migrate"), needs=needs, environment=as_user("migrate")),
        _worker("sink", ports.sink_metrics, as_user("ingest"), needs, settings),
        # Processes stop in the order of the event flow, so that all accepted events are stored.
        _worker("streams", ports.streams_metrics, as_user("ingest"), [*needs, "sink"], settings),
        Process(
            "edge",
            role_command("edge"),
            is_ready=_http_answers(
                installation.public_port, "/readyz", host=_reachable(options.host)
            ),
            fails_if_late=False,
            liveness=_role_liveness(
                installation.public_port, settings, host=_reachable(options.host)
            ),
            needs=[*needs, "streams"],
            environment={
                **as_user("query"),
                "TRACEMILL_HOST": options.host,
                "TRACEMILL_PORT": str(installation.public_port),
                "TRACEMILL_OTLP_GRPC_PORT": str(options.otlp_grpc_port),
                "TRACEMILL_ADMIN_SECRET_KEY": _admin_key(credentials),
                "TRACEMILL_CONSOLE_SECRET": console_secret(options.data_dir),
                "TRACEMILL_QUERY_MEDIA_DIR": os.environ.get("TRACEMILL_QUERY_MEDIA_DIR")
                or str(options.data_dir / "media"),
            },
        ),
    ]


def _admin_key(credentials: Credentials) -> str:
    """Return the admin key of the user, or else the generated one."""
    chosen = AdminSettings().secret_key.get_secret_value()
    return chosen or credentials.admin.get_secret_value()


def console_secret(data_dir: Path) -> str:
    """Return the secrets of the user that sign sessions, or else the generated one."""
    chosen = os.environ.get("TRACEMILL_CONSOLE_SECRET", "")
    return chosen or ensure_credentials(data_dir).console.get_secret_value()


def _clickhouse_url(options: UpOptions, installation: Installation) -> str:
    if options.clickhouse != EMBEDDED:
        return options.clickhouse
    return f"http://{LOOPBACK}:{installation.ports.store}"


def _parallelism(options: UpOptions) -> dict[str, str]:
    """Return the numbers of partitions of an embedded broker: the user's, or else small ones.

    There is only one worker, so more partitions would only make batches smaller.
    """
    if options.broker != EMBEDDED:
        return {}
    wanted = {"TRACEMILL_EVENT_PARTITIONS": "2", "TRACEMILL_PROJECT_PARTITIONS": "1"}
    return {name: os.environ.get(name, value) for name, value in wanted.items()}


def _own_ports(installation: Installation, options: UpOptions) -> dict[str, str]:
    """Return the ports that webhooks must not reach: this installation's and the user's."""
    ports = [installation.public_port, *installation.ports.model_dump().values()]
    if options.otlp_grpc_port:
        ports.append(options.otlp_grpc_port)
    named = os.environ.get("TRACEMILL_WEBHOOKS_FORBIDDEN_PORTS", "")
    return {"TRACEMILL_WEBHOOKS_FORBIDDEN_PORTS": ",".join([*map(str, ports), named])}


def _watched_disks(options: UpOptions) -> dict[str, str]:
    """Return the paths whose disks are watched: the embedded engines' and the user's."""
    engines = {"kafka": options.broker, "store": options.clickhouse}
    paths = [str(options.data_dir / name) for name, at in engines.items() if at == EMBEDDED]
    named = [each for each in os.environ.get("TRACEMILL_DISK_PATHS", "").split(os.pathsep) if each]
    return {"TRACEMILL_DISK_PATHS": os.pathsep.join([*paths, *named])}


def _worker(
    role: str,
    metrics_port: int,
    common: dict[str, str],
    needs: Sequence[str],
    settings: ProcessSettings,
) -> Process:
    return Process(
        role,
        role_command(role),
        is_ready=_http_answers(metrics_port, "/readyz"),
        fails_if_late=False,
        liveness=_role_liveness(metrics_port, settings),
        needs=needs,
        environment={**common, "TRACEMILL_METRICS_PORT": str(metrics_port)},
    )


def _broker_answers(kafka: KafkaSettings) -> Callable[[], Awaitable[bool]]:
    return lambda: broker_answers(kafka)


def _http_answers(port: int, path: str, *, host: str = LOOPBACK) -> Callable[[], Awaitable[bool]]:
    return lambda: http_answers(port, path, host=host)


def _engine_liveness(
    responds: Callable[[], Awaitable[bool]], settings: ProcessSettings
) -> Liveness:
    """Return a check that an engine responds, with a longer timeout, as it may be recovering."""

    async def probe() -> Health:
        return Health(await responds())

    return Liveness(probe, settings.engine_silent_after_s)


def _role_liveness(port: int, settings: ProcessSettings, *, host: str = LOOPBACK) -> Liveness:
    """Return a check that `/healthz` of a role responds and reports no stalls."""

    async def probe() -> Health:
        response = await http_get(port, "/healthz", host=host)
        return Health(False) if response is None else Health(True, stalls_in(*response))

    return Liveness(probe, settings.stalled_after_s)


def _reachable(host: str) -> str:
    """Return the address of a server that listens on `host`, which may be all addresses."""
    return LOOPBACK if host in {"0.0.0.0", "::"} else host  # noqa: S104  (compared, not bound)
