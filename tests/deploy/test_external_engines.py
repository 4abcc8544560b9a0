"""`tracemill up` reports unusable engines in one line, soon, and starts nothing."""

from __future__ import annotations

import contextlib
import http.server
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from deploy.embedded.ports import free_ports
from deploy.embedded.roles import UpOptions
from deploy.embedded.up import up
from tests.fixtures.engines import new_broker, running

WITHIN_S: Final = 60.0


@contextlib.contextmanager
def silent() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


class Page(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.send_error(501)

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def some_web_server() -> Iterator[int]:
    server = http.server.HTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def failure_of_up(tmp_path: Path, capsys: pytest.CaptureFixture[str], **engines: str) -> str:
    """The one line that a failed start ends with."""
    (port,) = free_ports(1)
    begun_s = time.monotonic()
    assert up(UpOptions(tmp_path / "data", port=port, **engines), startup_message=lambda _: "") == 1  # type: ignore[arg-type]
    assert time.monotonic() - begun_s < WITHIN_S
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("tracemill: ")
    return lines[0]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:1", "cannot connect"),
        ("http://no-such-host.invalid:8123", "no-such-host.invalid"),
        ("127.0.0.1:8123", "is not a URL like http://HOST:8123"),
        ("ftp://127.0.0.1:8123", "is not a URL like http://HOST:8123"),
        ("", "is not a URL like http://HOST:8123"),
    ],
)
def test_an_address_without_a_clickhouse_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], url: str, reason: str
) -> None:
    assert reason in failure_of_up(tmp_path, capsys, clickhouse=url)


def test_a_server_that_is_not_clickhouse_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with silent() as port:
        assert f"no ClickHouse server answers at http://127.0.0.1:{port}: " in failure_of_up(
            tmp_path, capsys, clickhouse=f"http://127.0.0.1:{port}"
        )
    with some_web_server() as port:
        for scheme in ("http", "https"):
            assert (
                f"no ClickHouse server answers at {scheme}://127.0.0.1:{port}: "
                in failure_of_up(tmp_path, capsys, clickhouse=f"{scheme}://127.0.0.1:{port}")
            )


def test_a_refused_password_is_named(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    clickhouse_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TRACEMILL_CLICKHOUSE_PASSWORD", "wrong")
    assert "refuses TRACEMILL_CLICKHOUSE_USER and TRACEMILL_CLICKHOUSE_PASSWORD" in failure_of_up(
        tmp_path, capsys, clickhouse=clickhouse_url
    )


def test_a_broker_that_cannot_be_used_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for address, reason in (
        ("127.0.0.1:1", "no Kafka broker answers at 127.0.0.1:1"),
        ("no-such-host.invalid:9092", "no-such-host.invalid:9092: "),
    ):
        assert reason in failure_of_up(tmp_path, capsys, broker=address)
    with silent() as port:
        assert f"127.0.0.1:{port}: " in failure_of_up(tmp_path, capsys, broker=f"127.0.0.1:{port}")
    with some_web_server() as port:
        assert f"127.0.0.1:{port}: " in failure_of_up(tmp_path, capsys, broker=f"127.0.0.1:{port}")
    broker = new_broker(tmp_path / "kafka")
    with running(broker):
        monkeypatch.setenv("TRACEMILL_BROKER_PASSWORD", "wrong")
        assert "refuses TRACEMILL_BROKER_USERNAME and TRACEMILL_BROKER_PASSWORD" in failure_of_up(
            tmp_path, capsys, broker=broker.address
        )
