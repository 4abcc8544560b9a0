"""The small HTTP server beside every process: ``/metrics``, ``/healthz`` (alive) and ``/readyz`` (doing its work)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deploy.serving import serving

Probe = Callable[[], Awaitable[str | None]]
"""``None`` when all is well, else what is missing."""
STALLED: Final = "stalled"
RETRY_AFTER_S: Final = 1
"""When to ask again whether a process is ready that was not."""


async def report(probes: Mapping[str, Probe], timeout_s: float = 2.0) -> dict[str, str]:
    """What each probe found: ``ok`` or what is missing."""

    async def ask(probe: Probe) -> str:
        try:
            async with asyncio.timeout(timeout_s):
                return await probe() or "ok"
        except TimeoutError:
            return f"no answer within {timeout_s:g} s"

    found = await asyncio.gather(*(ask(probe) for probe in probes.values()))
    return dict(zip(probes, found, strict=True))


Report = Callable[[], Awaitable[Mapping[str, str]]]
"""By check: ``ok`` or what is missing."""


def probe_routes(report_readiness: Report, stalls: Callable[[], list[str]] = list) -> list[Route]:
    """Routes for ``/metrics``, ``/healthz`` and ``/readyz``.

    ``stalls`` tells in a line each what should move and does not: then ``/healthz`` is 503, and the
    process should be killed and started again.
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


@asynccontextmanager
async def serve_probes(host: str, port: int, probes: Mapping[str, Probe]) -> AsyncIterator[None]:
    """Serve the probes on ``host:port`` while the block runs; port 0 serves nothing."""
    if port == 0:
        yield
        return
    app = Starlette(routes=probe_routes(lambda: report(probes)))
    async with serving(app, host, port):
        yield
