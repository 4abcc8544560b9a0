"""`python -m tests.bench.console`: measure long traces in Chromium.

It opens traces of 3,000 and of 10,000 observations, and closes, opens, searches and scrolls their
trees. Exits with 1 if a first paint or a task of the page takes longer than its limit.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from playwright.async_api import Browser, async_playwright

from tests.bench.temporary_server import temporary_server
from tests.e2e.console.chromium import DESK, EXECUTABLE, MISSING, is_installed
from tests.e2e.console.shop import Events
from tests.e2e.console.tenants import Tenant, new_tenant
from tests.e2e.console.visit import visiting

CHILDREN = 60
LOADS = 5
SCROLLS = 40
SEARCH = "step 59"
FIRST_PAINT_MAX_MS = 500
TASK_MAX_MS = 100
OBSERVE = """
window.longTasks = [];
new PerformanceObserver(list => longTasks.push(...list.getEntries().map(each => each.duration)))
    .observe({type: 'longtask', buffered: true});
"""
PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
LONGEST = "Math.max(0, ...longTasks.splice(0))"


@dataclass(frozen=True, slots=True)
class Measured:
    """Times in milliseconds. The tasks are the longest ones; 0 if none took 50 ms."""

    first_paint_ms: float
    load_task_ms: float
    use_task_ms: float


def long_trace(trace_id: str, observations: int) -> Events:
    """Return a trace of chains, each with ``CHILDREN`` steps at two levels."""
    events = Events(trace_id)
    length_s = 600.0
    events.trace("long", length_s, id=trace_id, input="a question", output="an answer")
    root = events.step("span", trace_id, "agent", length_s, length_s)
    chain, step_s = root, length_s / observations
    for number in range(observations - 1):
        ago_s = length_s - number * step_s
        if number % CHILDREN == 0:
            chain = events.step(
                "span", trace_id, f"chain {number // CHILDREN}", ago_s, step_s * CHILDREN,
                parentObservationId=root,
            )  # fmt: skip
        else:
            events.step(
                "generation", trace_id, f"step {number % CHILDREN}", ago_s, step_s * 0.9,
                parentObservationId=chain, model="gpt-4o-mini", usage={"input": 100, "output": 9},
            )  # fmt: skip
    return events


async def measured(browser: Browser, tenant: Tenant, path: str) -> Measured:
    """Open a trace several times; use its tree in the last of them."""
    paints: list[float] = []
    load_task_ms = 0.0
    with tempfile.TemporaryDirectory(prefix="tracemill-bench-") as screenshots:
        async with visiting(browser, tenant, DESK, Path(screenshots)) as viewer:
            page = viewer.page
            await page.add_init_script(OBSERVE)
            for _ in range(LOADS):
                await viewer.open(path)
                await viewer.settled()
                paints.append(await page.evaluate(PAINT))
                load_task_ms = max(load_task_ms, await page.evaluate(LONGEST))
            rows = page.locator("[data-tree-rows]")
            for _ in range(4):
                await rows.locator("[data-toggle]").first.click()
            for _ in range(SCROLLS):
                await rows.hover()
                await page.mouse.wheel(0, 1_500)
            await page.locator("[data-tree-search]").press_sequentially(SEARCH, delay=30)
            await rows.get_by_text(SEARCH, exact=True).first.wait_for()
            await viewer.settled()
            use_task_ms = await page.evaluate(LONGEST)
    return Measured(statistics.median(paints), load_task_ms, use_task_ms)


async def run(tenant: Tenant, sizes: list[int]) -> bool:
    """Print the times of each trace; return whether all are within their limits."""
    is_good = True
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=EXECUTABLE)
        for size in sizes:
            found = await measured(browser, tenant, f"/traces/long-{size}")
            print(
                f"trace of {size:,} observations: first paint {found.first_paint_ms:.0f} ms"
                f" (median of {LOADS}), longest task of the load {found.load_task_ms:.0f} ms,"
                f" of closing, opening, scrolling and searching {found.use_task_ms:.0f} ms"
            )
            is_good &= found.first_paint_ms <= FIRST_PAINT_MAX_MS
            is_good &= found.use_task_ms <= TASK_MAX_MS
        await browser.close()
    return is_good


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.console", description=__doc__)
    parser.add_argument("--observations", type=int, nargs="+", default=[3_000, 10_000])
    options = parser.parse_args()
    if not is_installed():
        print(MISSING, file=sys.stderr)
        return 0
    with temporary_server() as server:
        tenant = new_tenant(server, "long", "Long traces")
        for size in options.observations:
            events = long_trace(f"long-{size}", size)
            tenant.ingest(events.events)
            tenant.wait_for_observation(events.events[-1]["body"]["id"])
        return int(not asyncio.run(run(tenant, options.observations)))


if __name__ == "__main__":
    sys.exit(main())
