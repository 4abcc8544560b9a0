"""`python -m tests.bench.overview`: measure the overview over 5 million observations of 7 days.

The store is that of ``tests.bench.metrics``. The page is requested again and again as a browser
does, with its compression; the sizes are those on the wire.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import time
from typing import Any, Final

import httpx
from rich.console import Console
from rich.table import Table

from query_api.console.links import SIGN_IN
from tests.bench.metrics import _filled, _store
from tests.bench.rollups import serving
from tests.fixtures.store import administered_store
from tests.query_api.harness import PROJECT

PAGES: Final = {
    "7 days": "?range=7d",
    "24 hours": "?range=24h",
    "7 days, a model": "?range=7d&filter=model:model-1",
    "7 days, largest by errors": "?range=7d&by=errors",
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.overview", description=__doc__)
    parser.add_argument("--observations", type=int, default=5_000_000)
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--requests", type=int, default=20, help="requests of each page")
    parser.add_argument("--data-dir", help="keep the store there, and use it again")
    options = parser.parse_args()
    console = Console(width=110)
    with administered_store(options.data_dir) as (url, _):
        asyncio.run(_filled(url, options))
        table = Table("page", "p50, ms", "p95, ms", "max, ms", "page, kB", "with its files, kB")
        with serving(_store(url)) as client:
            base = str(client.base_url)
            with httpx.Client(
                base_url=base, headers={"accept": "text/html"}, timeout=60
            ) as browser:
                keys = {"public_key": f"pk-{PROJECT}", "secret_key": f"sk-{PROJECT}"}
                assert browser.post(SIGN_IN, data=keys).status_code == 303
                for name, query in PAGES.items():
                    times_s = _times_s(browser, query, options.requests)
                    cells = (times_s[len(times_s) // 2], times_s[int(0.95 * (len(times_s) - 1))])
                    shown = (f"{each * 1000:,.0f}" for each in (*cells, times_s[-1]))
                    sizes = (f"{each / 1000:,.1f}" for each in _wire_bytes(browser, query))
                    table.add_row(name, *shown, *sizes)
        console.print(table)


def _times_s(browser: httpx.Client, query: str, requests: int) -> list[float]:
    times_s = []
    for _ in range(requests):
        began_s = time.perf_counter()
        answer = browser.get(f"/project/{PROJECT}{query}")
        times_s.append(time.perf_counter() - began_s)
        assert answer.status_code == 200, answer.text
    return sorted(times_s)


def _wire_bytes(browser: httpx.Client, query: str) -> tuple[int, int]:
    """Return the compressed bytes of the page, and of the page with its files."""
    page = browser.get(f"/project/{PROJECT}{query}")
    paths = set(re.findall(r'(?:href|src)="(/console/static/[^"]+)"', page.text))
    files = [browser.get(path, headers={"accept-encoding": "br"}) for path in sorted(paths)]
    return _length(page), sum(map(_length, (page, *files)))


def _length(answer: Any) -> int:
    return int(answer.headers["content-length"])


if __name__ == "__main__":
    main()
