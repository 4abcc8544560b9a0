"""Serve ``/metrics``, ``/healthz`` (liveness) and ``/readyz`` (readiness) of a process."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deploy.liveness import STALLED
from deploy.serving import serving
from deploy.settings import ProcessSettings
from deploy.stalls import CHECK_INTERVAL_S, LoopHeartbeat, StallDetector
from producers.progress import PartitionProgress

Probe = Callable[[], Awaitable[str | None]]
"""Return None if the check passes, or else a description of the failure."""
STOP_SEEN_WITHIN_S: Final = 0.2
RETRY_AFTER_S: Final = 1
"""Value of ``Retry-After`` in responses of a process that is not ready."""


async def report(probes: Mapping[str, Probe], timeout_s: float = 2.0) -> dict[str, str]:
    """Run all probes concurrently; return ``ok`` or the failure of each, by name."""

    async def run(probe: Probe) -> str:
        try:
            async with asyncio.timeout(timeout_s):
                return await probe() or "ok"
        except TimeoutError:
            return f"no response within {timeout_s:g} s"

    found = await asyncio.gather(*(run(probe) for probe in probes.values()))
    return dict(zip(probes, found, strict=True))


Report = Callable[[], Awaitable[Mapping[str, str]]]
"""Return the result of each check by name: ``ok`` or the failure."""


def probe_routes(report_readiness: Report, stalls: Callable[[], list[str]] = list) -> list[Route]:
    """Return routes for ``/metrics``, ``/healthz`` and ``/readyz``.

    ``stalls`` returns a line for each stalled partition or event loop. If there are any,
    ``/healthz`` answers 503, and the process should be killed and restarted.
    """

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    async def healthz(_: Request) -> Response:
        found = stalls()
        if found:
            return JSONResponse({"status": STALLED, "stalls": found}, status_code=503)
        return JSONResponse({"status": "OK"})

    async def readyz(_: Request) -> Response:
        found = {**await report_readiness()}
        found.update({f"progress {number}": stall for number, stall in enumerate(stalls(), 1)})
        ready = all(state == "ok" for state in found.values())
        return JSONResponse(
            {"status": "OK" if ready else "not ready", "checks": found},
            status_code=200 if ready else 503,
            headers={} if ready else {"Retry-After": str(RETRY_AFTER_S)},
        )

    return [
        Route("/metrics", metrics),
        Route("/healthz", healthz),
        Route("/readyz", readyz),
    ]


class ProbeServer:
    """A server of probes in a thread, so that it responds while the worker's loop is blocked."""

    def __init__(
        self,
        process: ProcessSettings,
        probes: Mapping[str, Probe],
        work: Callable[[], list[PartitionProgress]],
    ) -> None:
        self._process = process
        self._probes = probes
        self._heartbeat = LoopHeartbeat(process.loop_blocked_after_s)
        self._detector = StallDetector(
            work,
            self._heartbeat,
            stalled_after_s=process.stalled_after_s,
            blocked_after_s=process.loop_blocked_after_s,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve ``metrics_host:metrics_port`` while the block runs; if the port is 0, do nothing.

        Raises:
            PortInUseError: another process listens on the port.
        """
        if self._process.metrics_port == 0:
            yield
            return
        loop = asyncio.get_running_loop()
        stop, listening = threading.Event(), loop.create_future()
        serve = asyncio.to_thread(asyncio.run, self._serve(loop, stop, listening))
        async with self._heartbeat.running():
            task = asyncio.create_task(serve)
            await asyncio.wait({task, listening}, return_when=asyncio.FIRST_COMPLETED)
            try:
                if task.done():
                    task.result()
                yield
            finally:
                stop.set()
                await task

    async def _serve(
        self,
        main: asyncio.AbstractEventLoop,
        stop: threading.Event,
        listening: asyncio.Future[None],
    ) -> None:
        async def found() -> Mapping[str, str]:
            return await report(
                {name: _run_in(main, probe) for name, probe in self._probes.items()}
            )

        routes = probe_routes(found, lambda: self._detector.stalls)
        app = Starlette(routes=routes)
        async with serving(app, self._process.metrics_host, self._process.metrics_port):
            main.call_soon_threadsafe(listening.set_result, None)
            next_check_s = 0.0
            while not stop.is_set():
                if time.monotonic() >= next_check_s:
                    next_check_s = time.monotonic() + CHECK_INTERVAL_S
                    self._detector.check(time.monotonic())
                await asyncio.sleep(STOP_SEEN_WITHIN_S)


def _run_in(main: asyncio.AbstractEventLoop, probe: Probe) -> Probe:
    """Return a probe that runs ``probe`` in the loop ``main``, and that any loop can await."""

    async def in_main() -> str | None:
        async def run() -> str | None:
            return await probe()

        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(run(), main))

    return in_main
