"""The data directory: one process at a time, and later runs reuse what the first chose."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from deploy.embedded.data_dir import (
    BROKER_PORT_OFFSET,
    DEFAULT_PUBLIC_PORT,
    Installation,
    data_dir_lock,
    open_installation,
)
from deploy.embedded.ports import free_ports, is_free_and_not_ephemeral, require_free, reserve
from deploy.embedded.roles import UpOptions
from deploy.embedded.up import up
from deploy.errors import AlreadyRunningError, DeployError, PortInUseError


def test_the_error_of_a_second_instance_has_the_id_of_the_first(tmp_path: Path) -> None:
    with (
        data_dir_lock(tmp_path),
        pytest.raises(AlreadyRunningError, match=rf"already running .*process {os.getpid()}\)"),
        data_dir_lock(tmp_path),
    ):
        pass


def test_the_directory_is_free_again_afterwards(tmp_path: Path) -> None:
    with data_dir_lock(tmp_path):
        pass
    with data_dir_lock(tmp_path):
        assert (tmp_path / "lock").read_text().strip() == str(os.getpid())


def test_a_directory_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(DeployError, match="cannot use the data directory"),
        data_dir_lock(tmp_path / "file" / "data"),
    ):
        pass


def opened(path: Path, *, public_port: int | None = None) -> Installation:
    """On an address of loopback where nobody else has the default port."""
    return open_installation(path, public_port=public_port, host="127.0.0.77")


def public_port_with_free_neighbour() -> int:
    while True:
        (port,) = free_ports(1)
        neighbour = port + BROKER_PORT_OFFSET
        if is_free_and_not_ephemeral(neighbour) and reserve(neighbour):
            return port


def test_a_second_run_finds_the_ports_of_the_first(tmp_path: Path) -> None:
    first = opened(tmp_path)
    assert first.public_port == DEFAULT_PUBLIC_PORT
    assert opened(tmp_path) == first


def test_an_explicit_port_is_remembered(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    opened(tmp_path, public_port=port)
    assert opened(tmp_path).public_port == port


def test_applications_find_the_broker_nine_above_the_public_port(tmp_path: Path) -> None:
    port = public_port_with_free_neighbour()
    assert opened(tmp_path, public_port=port).ports.broker == port + 9


def test_a_broker_whose_usual_port_is_taken_has_another_and_keeps_it(tmp_path: Path) -> None:
    port = public_port_with_free_neighbour()
    with socket.create_server(("127.0.0.1", port + 9)):
        first = opened(tmp_path, public_port=port)
    assert first.ports.broker != port + 9
    assert opened(tmp_path) == first


def test_the_broker_keeps_its_port_when_the_public_one_changes(tmp_path: Path) -> None:
    first = opened(tmp_path, public_port=public_port_with_free_neighbour())
    second = opened(tmp_path, public_port=public_port_with_free_neighbour())
    assert second.ports == first.ports


def test_only_an_internal_port_that_is_in_use_is_replaced(tmp_path: Path) -> None:
    first = opened(tmp_path)
    with socket.create_server(("127.0.0.1", first.ports.store)):
        second = opened(tmp_path)
    assert second.ports.store != first.ports.store
    assert second.ports.model_dump(exclude={"store"}) == first.ports.model_dump(exclude={"store"})


def test_a_configuration_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"version": 2}')
    with pytest.raises(DeployError, match="cannot be used by this version"):
        open_installation(tmp_path, public_port=None)


def test_the_error_for_a_port_in_use_names_its_purpose() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortInUseError, match=f"port {port} is in use: the public API needs it"):
            require_free(port, purpose="the public API")


def test_up_reports_a_port_in_use_in_one_line_and_creates_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert up(UpOptions(tmp_path / "new", port=port), startup_message=lambda _: "") == 1
    assert capsys.readouterr().err == (
        f"tracemill: port {port} is in use: the public API needs it\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_port_that_is_in_use_is_not_remembered(tmp_path: Path) -> None:
    first = opened(tmp_path)
    with (
        socket.create_server(("127.0.0.77", 0)) as taken,
        pytest.raises(PortInUseError, match="the public API needs it"),
    ):
        opened(tmp_path, public_port=taken.getsockname()[1])
    assert opened(tmp_path) == first


def test_up_reports_in_one_line_that_it_is_running_already(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with data_dir_lock(tmp_path):
        assert up(UpOptions(tmp_path), startup_message=lambda _: "") == 1
    assert capsys.readouterr().err == (
        f"tracemill: already running on {tmp_path} (process {os.getpid()})\n"
    )


def test_up_reports_in_one_line_that_an_external_broker_does_not_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (port,) = free_ports(1)
    options = UpOptions(tmp_path, port=port, broker="127.0.0.1:1")
    assert up(options, startup_message=lambda _: "") == 1
    assert capsys.readouterr().err == "tracemill: no Kafka broker answers at 127.0.0.1:1\n"
