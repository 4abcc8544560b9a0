"""A worker whose event loop is blocked reports where, is killed, and is restarted."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from deploy.embedded.ports import free_ports
from deploy.embedded.readiness import http_answers, http_get
from deploy.liveness import Health, Liveness, stalls_in
from deploy.supervisor import Process, Supervisor

WITHIN_S = 60.0
WORKER = """
import asyncio, sys
from pathlib import Path
from deploy.probes import ProbeServer
from deploy.settings import ProcessSettings
from producers.progress import PartitionProgress

marker = Path(sys.argv[1])
settings = ProcessSettings(
    metrics_port=int(sys.argv[2]), stalled_after_s=2, loop_blocked_after_s=1
)

def work():
    return [PartitionProgress("streams", "tracemill.events", 1, 42, has_input=True)]

async def fold_that_never_returns():
    await asyncio.sleep(0.5)
    while True:
        pass

async def main():
    async with ProbeServer(settings, {}, work).running():
        if not marker.exists():
            marker.touch()
            await fold_that_never_returns()
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_an_endless_event_is_named_and_its_process_killed_and_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.liveness.PROBE_INTERVAL_S", 0.2)
    (port,) = free_ports(1)
    lines: list[str] = []
    ready = asyncio.Event()

    async def health() -> Health:
        answer = await http_get(port, "/healthz")
        return Health(False) if answer is None else Health(True, stalls_in(*answer))

    worker = Process(
        "streams",
        [sys.executable, "-c", WORKER, str(tmp_path / "marker"), str(port)],
        is_ready=lambda: http_answers(port, "/healthz"),
        liveness=Liveness(health, timeout_s=WITHIN_S),
    )
    supervisor = Supervisor([worker], log_dir=tmp_path, print_line=lines.append)
    run = asyncio.create_task(supervisor.run(on_ready=ready.set))
    try:
        async with asyncio.timeout(WITHIN_S):
            while not any(line.startswith("streams is back") for line in lines):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    finally:
        supervisor.request_stop()
        await run
    (hangs,) = [line for line in lines if line.startswith("streams hangs")]
    assert "while it worked on offset 42 of partition 1 of tracemill.events; killing it" in hangs
    assert "streams was killed by SIGKILL; starting it again in 0.2 s" in lines
    assert "in fold_that_never_returns" in (tmp_path / "streams.log").read_text()
