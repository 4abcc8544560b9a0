"""The port of OTLP over gRPC, if it is in use, configured or disabled."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.embedded.otlp_port import otlp_grpc_port
from deploy.embedded.ports import free_ports
from deploy.embedded.roles import UpOptions
from deploy.embedded.up import up
from deploy.errors import PortInUseError
from deploy.grpc_port import serving_otlp_grpc
from deploy.startup_message import startup_message
from producers.settings import KafkaSettings, OtlpGrpcSettings

VARIABLE = "TRACEMILL_OTLP_GRPC_PORT"


def test_if_a_configured_port_is_in_use_up_fails_with_one_line_and_creates_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (public,) = free_ports(1)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv(VARIABLE, str(port))
        options = UpOptions(tmp_path / "new", port=public)
        assert up(options, startup_message=lambda *_: "") == 1
    assert capsys.readouterr().err == f"tracemill: port {port} is in use: OTLP over gRPC needs it\n"
    assert not options.data_dir.exists()


def test_if_the_default_port_is_in_use_up_starts_without_it_and_prints_a_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(OtlpGrpcSettings.model_fields["port"], "default", port)
        OtlpGrpcSettings.model_rebuild(force=True)
        try:
            assert otlp_grpc_port("127.0.0.1", print_line=lines.append) == 0
        finally:
            monkeypatch.undo()
            OtlpGrpcSettings.model_rebuild(force=True)
    assert lines == [
        f"OTLP over gRPC is not served: port {port} is in use; set {VARIABLE} to another port"
    ]


def test_zero_turns_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "0")
    assert otlp_grpc_port("127.0.0.1", print_line=print) == 0


@pytest.mark.parametrize(
    ("port", "expected"),
    [(0, f"but not over gRPC (see {VARIABLE})"), (4317, "over gRPC to http://127.0.0.1:4317,")],
)
def test_the_message_of_up_says_where_it_is_served(
    monkeypatch: pytest.MonkeyPatch, port: int, expected: str
) -> None:
    monkeypatch.setattr("deploy.startup_message._first_public_key", lambda *_: None)  # no broker
    (public,) = free_ports(1)
    kafka = KafkaSettings(broker="127.0.0.1:1")
    text = startup_message("127.0.0.1", public, port, kafka, None, "secret" * 8)
    assert expected in text


async def test_the_error_of_a_role_names_the_port_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortInUseError, match=f"cannot listen on 127.0.0.1:{port}: Address"):
            async with serving_otlp_grpc(None, "127.0.0.1", OtlpGrpcSettings(port=port), {}):  # type: ignore[arg-type]
                raise AssertionError


def test_a_process_that_does_not_serve_it_does_not_import_grpcio() -> None:
    program = (
        "import sys, deploy.processes.edge, deploy.processes.streams, deploy.processes.sink\n"
        "sys.exit('grpc' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
