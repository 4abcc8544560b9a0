"""Every role has the ports of its installation that webhooks must not reach."""

from pathlib import Path

import pytest

from clickhouse.settings import StoreSettings
from deploy.embedded.credentials import ensure_credentials
from deploy.embedded.data_dir import Installation, InternalPorts
from deploy.embedded.roles import UpOptions, processes
from deploy.own_ports import forbidden_ports
from deploy.settings import ProcessSettings
from producers.control.own_endpoints import own_endpoints
from producers.settings import KafkaSettings, OtlpGrpcSettings

PORTS = InternalPorts(
    broker=20_001,
    broker_controller=20_002,
    store=20_003,
    streams_metrics=20_004,
    sink_metrics=20_005,
)
NAME = "TRACEMILL_WEBHOOKS_FORBIDDEN_PORTS"


def test_up_gives_its_roles_every_port_it_listens_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(NAME, "9999,vault.test:8200")
    options = UpOptions(
        data_dir=tmp_path,
        broker="127.0.0.1:1",
        clickhouse="http://127.0.0.1:2",
        otlp_grpc_port=4399,
    )
    installation = Installation(public_port=7711, ports=PORTS)
    for role in processes(options, installation, ensure_credentials(tmp_path), None):
        own = own_endpoints(role.environment[NAME])
        assert own.ports == {7711, 4399, *PORTS.model_dump().values(), 9999}, role.name
        assert own.hosts == {("vault.test", 8200)}


def test_a_role_adds_its_own_ports_its_broker_and_its_store() -> None:
    text = forbidden_ports(
        ProcessSettings(port=7712, metrics_port=7713),
        KafkaSettings(broker="k1.test:9092, k2.test ,[2001:db8::1]:9094"),
        StoreSettings(clickhouse_url="https://store.test:8443"),
        OtlpGrpcSettings(port=4318),
        "9999",
    )
    own = own_endpoints(text)
    assert own.ports == {7712, 7713, 4318, 9999}
    assert own.hosts == {
        ("k1.test", 9092),
        ("k2.test", 9092),
        ("2001:db8::1", 9094),
        ("store.test", 8443),
    }
