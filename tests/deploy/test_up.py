"""`tracemill up` restarts killed processes separately, and leaves none behind."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.fixtures.installation import ROLES, Server, running_server
from tests.fixtures.waiting import until

WITHIN_S = 40.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("up") / "data") as server:
        yield server


def data_dir(server: Server) -> Path:
    arguments = Path(f"/proc/{server.process.pid}/cmdline").read_bytes().split(b"\0")
    return Path(os.fsdecode(arguments[arguments.index(b"--data-dir") + 1]))


def is_ready(server: Server) -> bool:
    try:
        return httpx.get(f"{server.url}/api/public/ready", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def printed_lines(server: Server) -> list[str]:
    """What it has printed so far."""
    return data_dir(server).with_name("data.up.log").read_text().splitlines()


@pytest.mark.parametrize("role", ROLES)
def test_only_a_killed_process_is_restarted(server: Server, role: str) -> None:
    before = server.pids()
    os.kill(before[role], signal.SIGKILL)
    until(
        lambda: any(line.startswith(f"{role} is back") for line in printed_lines(server)),
        f"{role} is back",
        within_s=WITHIN_S,
    )
    until(lambda: is_ready(server), f"ready after {role} was killed", within_s=WITHIN_S)
    after = server.pids()
    assert [name for name in before if after[name] != before[name]] == [role]
    again = f"{role} was killed by SIGKILL; starting it again in "  # longer if it ended before
    assert any(line.startswith(again) for line in printed_lines(server))


def test_a_second_instance_on_the_same_data_is_refused(server: Server) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "deploy", "up", "--data-dir", str(data_dir(server))],
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    assert second.returncode == 1
    assert second.stderr == (
        f"tracemill: already running on {data_dir(server)} (process {server.process.pid})\n"
    )


def test_ctrl_c_stops_everything_and_the_next_start_has_its_data(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        pids = server.pids()
        configuration = (tmp_path / "data" / "config.json").read_text()
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(WITHIN_S) == 0
        assert [role for role, pid in pids.items() if is_alive(pid)] == []
    assert (tmp_path / "data" / "config.json").read_text() == configuration


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_the_admin_key_is_printed_once_and_kept_in_a_private_file(server: Server) -> None:
    file = data_dir(server) / "credentials" / "admin"
    secret = file.read_text().strip()
    assert (len(secret) >= 32, file.stat().st_mode & 0o777) == (True, 0o600)
    shown = [line for line in printed_lines(server) if secret in line]
    assert shown == [f"    export TRACEMILL_ADMIN_SECRET_KEY={secret}"]
    basic = base64.b64encode(f"admin:{secret}".encode()).decode()
    for authorization in (f"Bearer {secret}", f"Basic {basic}"):
        headers = {"authorization": authorization}
        assert httpx.get(f"{server.url}/v1/storage", headers=headers).status_code == 200
        assert httpx.get(f"{server.url}/api/public/traces", headers=headers).status_code == 403
    logs = (data_dir(server) / "logs").rglob("*")
    assert not [path for path in logs if path.is_file() and secret.encode() in path.read_bytes()]
