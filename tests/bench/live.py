"""`python -m tests.bench.live --seconds N`: the live Overview in Chromium, under load.

An installation receives spans at a fixed rate while a browser shows its Overview in live mode. Each
second, the values of the chart of observations are compared with those of a second before. Exits
with 1 if they changed in less than ``MOVED_SHARE_MIN`` of the seconds, or if the page's heap, read
after a garbage collection, grew by more than ``HEAP_GROWTH_MAX_BYTES`` after its first minute.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

from playwright.async_api import CDPSession, async_playwright

from tests.bench.decisions import send_traffic
from tests.bench.temporary_server import temporary_server
from tests.e2e.console.chromium import DESK, EXECUTABLE, MISSING, is_installed
from tests.e2e.console.tenants import Tenant
from tests.e2e.console.visit import Visit, visiting
from tests.fixtures.installation import Server

PROJECT = "default"
WARM_UP_S = 60.0
HEAP_EVERY_S = 60.0
MOVED_SHARE_MIN = 0.98
HEAP_GROWTH_MAX_BYTES = 4_000_000
WATCH = """
window.seconds = 0;
window.moved = 0;
window.longestPause = 0;
let last = '', still = 0;
setInterval(() => {
    const chart = document.querySelector('[data-live="observations"]')?.chart;
    const now = JSON.stringify(chart?.series.map(each => each.values));
    seconds += 1;
    if (now !== last) { moved += 1; still = 0; }
    else longestPause = Math.max(longestPause, still += 1);
    last = now;
}, 1_000);
"""


@dataclass
class Watched:
    """What the browser saw: seconds, those in which the chart changed, and heaps in bytes."""

    seconds: int = 0
    moved: int = 0
    longest_pause_s: int = 0
    heap_bytes: list[float] = field(default_factory=list)


async def heap_bytes(session: CDPSession) -> float:
    """Return the size of the live objects of the page."""
    await session.send("HeapProfiler.collectGarbage")
    found = await session.send("Performance.getMetrics")
    return float({each["name"]: each["value"] for each in found["metrics"]}["JSHeapUsedSize"])


async def watch(viewer: Visit, seconds: float) -> Watched:
    """Watch the live Overview for a time, after the first minute of the load."""
    session = await viewer.page.context.new_cdp_session(viewer.page)
    await session.send("Performance.enable")
    await viewer.open("?live=1")
    await asyncio.sleep(WARM_UP_S)
    await viewer.page.evaluate(WATCH)
    watched = Watched(heap_bytes=[await heap_bytes(session)])
    clock = asyncio.get_running_loop().time
    end_s = clock() + seconds
    while (left_s := end_s - clock()) > 0:
        await asyncio.sleep(min(left_s, HEAP_EVERY_S))
        watched.heap_bytes.append(await heap_bytes(session))
    watched.seconds, watched.moved, watched.longest_pause_s = await viewer.page.evaluate(
        "[seconds, moved, longestPause]"
    )
    return watched


async def measured(server: Server, spans_per_s: int, seconds: float) -> Watched:
    """Return what a browser sees while another process sends spans."""
    tenant = Tenant(server, PROJECT, server.public_key, server.secret_key)
    keys = (server.url, server.public_key, server.secret_key)
    with (
        tempfile.TemporaryDirectory(prefix="tracemill-bench-") as screenshots,
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool,
    ):
        traffic = asyncio.get_running_loop().run_in_executor(
            pool, send_traffic, keys, spans_per_s, WARM_UP_S + seconds + 5
        )
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=EXECUTABLE)
            async with visiting(browser, tenant, DESK, Path(screenshots)) as viewer:
                watched = await watch(viewer, seconds)
            await browser.close()
        await traffic
    return watched


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.live", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--spans-per-s", type=int, default=1_000)
    options = parser.parse_args()
    if not is_installed():
        print(MISSING, file=sys.stderr)
        return 0
    with temporary_server() as server:
        watched = asyncio.run(measured(server, options.spans_per_s, options.seconds))
    first, *_, last = watched.heap_bytes
    print(
        f"{options.spans_per_s:,} spans/s: the chart moved in {watched.moved} of {watched.seconds}"
        f" seconds, its longest pause took {watched.longest_pause_s} s; heap"
        f" {' → '.join(f'{each / 1e6:.1f}' for each in watched.heap_bytes)} MB"
    )
    is_moving = watched.moved >= MOVED_SHARE_MIN * watched.seconds
    return int(not (is_moving and last - first <= HEAP_GROWTH_MAX_BYTES))


if __name__ == "__main__":
    sys.exit(main())
