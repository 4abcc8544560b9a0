"""Clients need the password of the embedded broker; only the node uses its controller."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.conn import create_conn
from aiokafka.errors import KafkaError
from aiokafka.protocol.admin import ApiVersionRequest
from pydantic import SecretStr

from clickhouse.all_topics import ensure_topics
from deploy.broker_probe import broker_answers, topics_of
from deploy.embedded import kafka as embedded_kafka
from deploy.embedded.credentials import (
    Credentials,
    ensure_credentials,
    new_password,
    password_file,
    read_credentials,
)
from deploy.embedded.kafka import USERNAME, EmbeddedKafka, broker_settings
from deploy.embedded.launch import bound_to_this_process
from deploy.embedded.ports import free_ports
from deploy.local import local_environment
from producers.kafka.clients import client_options
from producers.settings import KafkaSettings
from tests.fixtures.engines import new_broker, running, stop

STRANGE_PASSWORD = SecretStr('a "quoted" \\back\\slash ünïcode 𝄞 $x ; = # !')
PATIENCE_MS = 3_000


@pytest.fixture(scope="module")
def ports() -> tuple[int, int]:
    port, controller_port = free_ports(2)
    return port, controller_port


@pytest.fixture(scope="module")
def broker(
    tmp_path_factory: pytest.TempPathFactory, ports: tuple[int, int]
) -> Iterator[EmbeddedKafka]:
    embedded = EmbeddedKafka(
        tmp_path_factory.mktemp("kafka") / "data",
        port=ports[0],
        controller_port=ports[1],
        password=STRANGE_PASSWORD,
    )
    embedded.fetch()
    embedded.prepare()
    with running(embedded):
        yield embedded


def unauthorized_clients(broker: EmbeddedKafka) -> dict[str, KafkaSettings]:
    address = broker.address
    port = int(address.rpartition(":")[2])
    return {
        "nobody": KafkaSettings(broker=address, broker_username=""),
        "wrong password": broker_settings(port, SecretStr("wrong")),
        "empty password": broker_settings(port, SecretStr("")),
        "other user": KafkaSettings(
            broker=address, broker_username="admin", broker_password=STRANGE_PASSWORD
        ),
        "scram": KafkaSettings(
            broker=address,
            broker_username=USERNAME,
            broker_password=STRANGE_PASSWORD,
            broker_sasl_mechanism="SCRAM-SHA-256",
        ),
    }


async def test_a_password_may_have_any_characters(broker: EmbeddedKafka) -> None:
    assert await broker_answers(broker.client_settings())


@pytest.mark.parametrize(
    "who", ["nobody", "wrong password", "empty password", "other user", "scram"]
)
async def test_without_the_password_a_client_cannot_list_produce_or_consume(
    broker: EmbeddedKafka, who: str
) -> None:
    settings = unauthorized_clients(broker)[who]
    assert not await broker_answers(settings)
    options = client_options(settings) | {"request_timeout_ms": PATIENCE_MS}
    for client in (
        AIOKafkaProducer(**options),
        AIOKafkaConsumer("tracemill.events", **options),
        AIOKafkaAdminClient(**options),
    ):
        with pytest.raises(KafkaError):
            await client.start()
        await (client.close() if isinstance(client, AIOKafkaAdminClient) else client.stop())


async def answers_as(port: int, login: tuple[str, str] | None) -> bool:
    """Whether a listener takes a request from who logs in so, or does not log in at all."""
    options: dict[str, str] = {}
    if login is not None:
        options = {
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "PLAIN",
            "sasl_plain_username": login[0],
            "sasl_plain_password": login[1],
        }
    try:
        connection = await create_conn("127.0.0.1", port, request_timeout_ms=PATIENCE_MS, **options)
        await connection.send(ApiVersionRequest())
    except (KafkaError, OSError, TimeoutError):
        return False
    connection.close()
    return True


async def test_only_the_node_itself_can_use_the_controller(
    broker: EmbeddedKafka, ports: tuple[int, int]
) -> None:
    port, controller_port = ports
    client = (USERNAME, STRANGE_PASSWORD.get_secret_value())
    properties = (broker.data_dir / "server.properties").read_text()
    node = ("node", re.findall(r'user_node="([^"]+)"', properties)[0])
    assert await answers_as(port, client)
    assert not await answers_as(controller_port, client)
    assert await answers_as(controller_port, node)


@pytest.mark.parametrize("listener", [0, 1])
def test_a_request_without_a_login_is_cut_off(
    broker: EmbeddedKafka, ports: tuple[int, int], listener: int
) -> None:
    metadata_v1 = b"\x00\x03\x00\x01\x00\x00\x00\x07\x00\x01x\xff\xff\xff\xff"
    with socket.create_connection(("127.0.0.1", ports[listener]), timeout=10) as connection:
        connection.sendall(len(metadata_v1).to_bytes(4) + metadata_v1)
        assert connection.recv(1) == b""


def test_a_log_of_a_version_without_passwords_is_kept_and_gets_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    protected = embedded_kafka._SERVER_PROPERTIES
    open_to_all = "\n".join(
        line for line in protected.splitlines() if not line.startswith(("sasl.", "listener.name."))
    ).replace("SASL_PLAINTEXT", "PLAINTEXT")
    with monkeypatch.context() as before:
        before.setattr(embedded_kafka, "_SERVER_PROPERTIES", open_to_all)
        broker = new_broker(tmp_path / "kafka")
    process = subprocess.Popen(bound_to_this_process(broker.command()), process_group=0)
    try:
        anybody = KafkaSettings(broker=broker.address, broker_username="", topic_prefix="kept")
        asyncio.run(ensure_topics(anybody))
    finally:
        stop(process)

    broker.prepare()
    with running(broker):
        assert "kept.events" in (asyncio.run(topics_of(broker.client_settings())) or ())
        assert asyncio.run(topics_of(anybody)) is None


def test_only_the_owner_can_read_the_files_of_the_broker(broker: EmbeddedKafka) -> None:
    assert broker.data_dir.stat().st_mode & 0o777 == 0o700
    assert (broker.data_dir / "server.properties").stat().st_mode & 0o777 == 0o600


def test_the_password_is_on_no_command_line_and_in_no_log(broker: EmbeddedKafka) -> None:
    password = STRANGE_PASSWORD.get_secret_value()
    assert not any(password in word for word in broker.command())
    assert "quoted" not in (broker.data_dir / "broker.log").read_text()


def test_passwords_are_generated_once_and_readable_only_by_their_owner(tmp_path: Path) -> None:
    assert read_credentials(tmp_path) is None
    first = ensure_credentials(tmp_path)
    assert ensure_credentials(tmp_path) == first == read_credentials(tmp_path)
    values = {value.get_secret_value() for _, value in first}
    assert len(values) == len(Credentials.model_fields)  # no two alike
    assert min(map(len, values)) >= 32
    assert (tmp_path / "credentials").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "credentials").iterdir()} == {0o600}
    assert not any(value in repr(first) for value in values)


def test_two_processes_that_generate_passwords_at_once_agree(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from deploy.embedded.credentials import *;"
        "print(ensure_credentials(Path(sys.argv[1])).broker.get_secret_value())"
    )
    racing = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    assert len({process.communicate()[0] for process in racing}) == 1


def test_without_an_installation_there_is_no_local_environment(tmp_path: Path) -> None:
    assert local_environment(tmp_path, store_user="migrate") == {}


def test_a_new_password_needs_no_quoting() -> None:
    assert set(new_password().get_secret_value()) <= set(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
    )


def test_the_session_of_the_tests_logs_in_as_applications_do() -> None:
    if "TRACEMILL_TEST_BROKER" not in os.environ:
        assert os.environ["TRACEMILL_BROKER_USERNAME"] == USERNAME


def test_an_installation_from_before_the_admin_key_is_read_without_one(tmp_path: Path) -> None:
    first = ensure_credentials(tmp_path)
    password_file(tmp_path, "admin").unlink()
    before = read_credentials(tmp_path)
    assert before == first.model_copy(update={"admin": SecretStr("")})
    assert len(ensure_credentials(tmp_path).admin.get_secret_value()) >= 32
