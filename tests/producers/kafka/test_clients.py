"""Every client of the broker has the credentials and certificates of the settings."""

from __future__ import annotations

import ast
import logging
from collections.abc import Iterator
from pathlib import Path

import faust
import pytest
from pydantic import ValidationError

from deploy.variables import invalid_variables
from producers.errors import BrokerUnavailableError
from producers.kafka.clients import client_options, started
from producers.settings import KafkaSettings
from streams.runtime.app import create_app

ROOT = Path(__file__).parents[3]
PACKAGES = ("producers", "streams", "clickhouse", "query_api", "deploy")
CONSTRUCTORS = {"AIOKafkaConsumer", "AIOKafkaProducer", "AIOKafkaAdminClient", "AIOKafkaClient"}
ALLOWED = {Path("producers/kafka/clients.py"), Path("producers/sdk/tracemill/shipping.py")}


def constructing_files() -> Iterator[Path]:
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Name)
                    and node.func.id in CONSTRUCTORS
                ):
                    yield path.relative_to(ROOT)


def test_clients_are_constructed_in_one_place_and_in_the_sdk() -> None:
    assert set(constructing_files()) <= ALLOWED


class ClientOfNoBroker:
    """Fails like aiokafka's producer if the metadata of the cluster are empty."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.is_stopped = False

    async def start(self) -> None:
        assert self.failures == 0, "Did we not perform bootstrap?"

    async def stop(self) -> None:
        self.is_stopped = True


async def test_a_client_that_knows_no_broker_yet_is_started_again() -> None:
    clients = [ClientOfNoBroker(1), ClientOfNoBroker(0)]
    last = clients[-1]
    assert await started(lambda: clients.pop(0), KafkaSettings(broker_wait_s=30)) is last
    never = ClientOfNoBroker(1)
    with pytest.raises(BrokerUnavailableError):
        await started(lambda: never, KafkaSettings(broker_wait_s=0.01))
    assert never.is_stopped


def test_without_a_user_nothing_is_authenticated() -> None:
    assert client_options(KafkaSettings(broker="kafka:9092", broker_username="")) == {
        "bootstrap_servers": "kafka:9092",
        "security_protocol": "PLAINTEXT",
    }


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_user_and_password_reach_clients_and_faust(mechanism: str) -> None:
    kafka = KafkaSettings(
        broker="kafka:9092",
        broker_username="ada",
        broker_password="s3cret",  # type: ignore[arg-type]
        broker_sasl_mechanism=mechanism,  # type: ignore[arg-type]
    )
    options = client_options(kafka)
    assert options["security_protocol"] == "SASL_PLAINTEXT"
    assert options["sasl_mechanism"] == mechanism
    assert (options["sasl_plain_username"], options["sasl_plain_password"]) == ("ada", "s3cret")
    credentials = create_app(kafka).conf.broker_credentials
    assert isinstance(credentials, faust.SASLCredentials)
    assert (credentials.username, credentials.password) == ("ada", "s3cret")
    assert credentials.protocol.value == "SASL_PLAINTEXT"
    assert credentials.mechanism.value == mechanism


def test_tls_is_used_where_it_is_asked_for() -> None:
    kafka = KafkaSettings(broker_username="ada", broker_security_protocol="SASL_SSL")
    options = client_options(kafka)
    assert options["ssl_context"].check_hostname
    assert create_app(kafka).conf.broker_credentials.ssl_context is options["ssl_context"]


def test_a_password_is_not_shown_by_its_settings() -> None:
    assert "s3cret" not in repr(KafkaSettings(broker_password="s3cret"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        (
            {"SECURITY_PROTOCOL": "SASL_SSL", "USERNAME": ""},
            (
                "TRACEMILL_BROKER_SECURITY_PROTOCOL 'SASL_SSL' cannot be used: "
                "SASL needs TRACEMILL_BROKER_USERNAME (default auto)"
            ),
        ),
        (
            {"SECURITY_PROTOCOL": "PLAINTEXT", "USERNAME": "ada"},
            (
                "TRACEMILL_BROKER_SECURITY_PROTOCOL 'PLAINTEXT' cannot be used: "
                "with TRACEMILL_BROKER_USERNAME: auto, SASL_PLAINTEXT or SASL_SSL (default auto)"
            ),
        ),
        (
            {"SSL_KEYFILE": __file__},
            (
                f"TRACEMILL_BROKER_SSL_KEYFILE {__file__!r} cannot be used: "
                "set TRACEMILL_BROKER_SSL_CERTFILE as well (default empty)"
            ),
        ),
        (
            {"SSL_CAFILE": "/nowhere.pem"},
            (
                "TRACEMILL_BROKER_SSL_CAFILE '/nowhere.pem' cannot be used: "
                "it must be a path (default empty)"
            ),
        ),
    ],
)
def test_what_does_not_fit_together_is_refused_by_name(
    environment: dict[str, str], line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(f"TRACEMILL_BROKER_{name}", value)
    with pytest.raises(ValidationError) as refused:
        KafkaSettings()
    assert invalid_variables(refused.value) == [line]


def test_a_file_without_certificates_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACEMILL_BROKER_SSL_CAFILE", __file__)
    with pytest.raises(ValidationError) as refused:
        KafkaSettings()
    assert "TRACEMILL_BROKER_SSL_CAFILE" in invalid_variables(refused.value)[0]
    assert "contains no certificates" in invalid_variables(refused.value)[0]


@pytest.mark.parametrize(
    ("broker", "warns"),
    [("127.0.0.1:9092", False), ("localhost:9092,[::1]:9093", False)],
)
def test_a_plain_password_on_loopback_is_not_warned_about(
    broker: str, warns: bool, caplog: pytest.LogCaptureFixture
) -> None:
    client_options(KafkaSettings(broker=broker, broker_username="ada"))
    logging.getLogger("aiokafka.conn").warning("Sending username and password in the clear")
    assert bool(caplog.records) is warns
