"""A `tracemill up` of its own for a measurement, and what its processes use."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
READY_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 30.0
ROLES = ("broker", "store", "edge", "streams", "sink")


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds since its start, and resident bytes, of one process."""

    cpu_s: float
    rss_bytes: int


class Server:
    """A running installation: its address, its processes by role."""

    def __init__(self, url: str, process: subprocess.Popen[bytes], ready_s: float) -> None:
        self.url = url
        self.public_key, self.secret_key = "pk-tm-dev", "sk-tm-dev"
        self.process = process
        self.ready_s = ready_s

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=self.url, auth=(self.public_key, self.secret_key), timeout=30
        )

    def pids(self) -> dict[str, int]:
        """Process ids by role, of the direct children of `tracemill up`."""
        found: dict[str, int] = {"up": self.process.pid}
        for pid in _children(self.process.pid):
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            words = {word.decode(errors="replace") for word in command}
            role = (
                "broker" if "kafka.Kafka" in words else next((r for r in ROLES if r in words), "")
            )
            if role:
                found[role] = pid
        return found

    def usage(self) -> dict[str, Usage]:
        return {role: usage_of(pid) for role, pid in self.pids().items()}


def usage_of(pid: int) -> Usage:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    rss_pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return Usage((int(fields[11]) + int(fields[12])) / TICKS_PER_S, rss_pages * PAGE_BYTES)


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(word) for task in tasks for word in (task / "children").read_text().split()]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_server(data_dir: Path, **environment: str) -> Iterator[Server]:
    """`tracemill up` on ``data_dir`` until the block ends."""
    port = free_port()
    log = (data_dir.parent / f"{data_dir.name}.up.log").open("ab")
    begun_s = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "deploy", "up", "--port", str(port), "--data-dir", str(data_dir)],
        stdout=log,
        stderr=subprocess.STDOUT,
        env={**os.environ, **environment},
        start_new_session=True,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_ready(url, process, begun_s + READY_TIMEOUT_S)
        yield Server(url, process, time.monotonic() - begun_s)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.close()


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], deadline_s: float) -> None:
    while True:
        if process.poll() is not None:
            raise AssertionError(f"tracemill up ended with {process.returncode}")
        try:
            if httpx.get(f"{url}/api/public/ready", timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline_s, "tracemill up is not ready in time"
        time.sleep(0.05)
