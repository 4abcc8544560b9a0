"""The demo waits while the server asks for it, for a limited time, and reports what it does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from typer.testing import CliRunner

from deploy.cli import app
from deploy.demo import send
from deploy.embedded.data_dir import Installation, InternalPorts

Answer = tuple[int, dict[str, str]]
OK: Answer = (200, {})


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """Answer requests with these statuses and headers, and then with 200; return the address."""
    servers: list[ThreadingHTTPServer] = []

    def started(*answers: Answer) -> str:
        remaining = list(answers)

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                status, headers = remaining.pop(0) if remaining else OK
                body = json.dumps({"error": {"message": "too\nmany \x1b[2J events"}}).encode()
                self.send_response(status)
                for name, value in {**headers, "content-length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        Thread(target=server.serve_forever).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield started
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waited: list[float] = []
    monkeypatch.setattr(send.time, "sleep", waited.append)
    return waited


def demo(url: str) -> tuple[int, str]:
    words = ("demo", "--url", url, "--traces", "1", "--rate", "0")
    ended = CliRunner().invoke(app, words, env={"COLUMNS": "300"})
    return ended.exit_code, ended.output


def test_it_waits_for_as_long_as_the_server_asks(
    serve: Callable[..., str], waits: list[float]
) -> None:
    code, output = demo(serve((429, {"retry-after": "3"}), (503, {"retry-after": "1"})))
    assert code == 0
    assert waits == [3, 1]
    assert "too many �[2J events; try again in 3 s (429): waiting 3 s (1 of 7)" in output
    assert "sent 1 traces" in output


def test_it_gives_up_after_some_attempts(serve: Callable[..., str], waits: list[float]) -> None:
    code, output = demo(serve(*[(503, {})] * 8))
    assert code == 1
    assert waits == [0.5, 1, 1.5, 2, 2.5, 3, 3.5]
    assert output.splitlines()[-1] == "tracemill demo: too many �[2J events (503)"


@pytest.mark.parametrize("retry_after", ["43200"])
def test_it_does_not_wait_for_hours(
    serve: Callable[..., str], waits: list[float], retry_after: str
) -> None:
    code, output = demo(serve((429, {"retry-after": retry_after})))
    assert (code, waits) == (1, [])
    assert "try again in 43200 s (429)" in output


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        ((401, {}), "refuses the public key pk-tm-dev with this secret"),
        ((403, {}), "too many �[2J events (403)"),
        ((404, {}), "too many �[2J events (404)"),
        ((409, {}), "too many �[2J events (409)"),
        ((500, {}), "too many �[2J events (500)"),
        ((302, {"location": "http://x"}), "redirects to http://x; set that with --url"),
    ],
)
def test_another_error_is_one_line(serve: Callable[..., str], answer: Answer, line: str) -> None:
    code, output = demo(serve(answer))
    assert code == 1
    assert output.splitlines()[-1].endswith(line)


def test_it_finds_the_server_of_the_local_installation(
    serve: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    port = int(serve().rpartition(":")[2])
    monkeypatch.delenv("TRACEMILL_URL", raising=False)
    monkeypatch.setenv("TRACEMILL_DATA_DIR", str(tmp_path))
    ports = InternalPorts(broker=1, broker_controller=2, store=3, streams_metrics=4, sink_metrics=5)
    installation = Installation(public_port=port, ports=ports)
    (tmp_path / "config.json").write_text(installation.model_dump_json())
    ended = CliRunner().invoke(app, ("demo", "--traces", "1", "--rate", "0"))
    assert ended.exit_code == 0, ended.output
    assert f"http://127.0.0.1:{port}/v1/windows" in ended.output
