"""`python -m tests.bench.documents --items N`: create items of a dataset one after the other.

The Langfuse SDK for Python creates the items in a process of its own, and then reads the dataset,
which must have all of them. Then the same without the SDK. Exits with 1 if an item is missing, or
if the median of the SDK is above the limit.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import httpx

from tests.compat.environments import Environments
from tests.compat.sdk_runs import run_program
from tests.fixtures.installation import Server, running_server

PROGRAM = "tests/compat/sdk_programs/datasets_v4.py"
ITEMS = "/api/public/dataset-items"


def of_sdk(server: Server, sdk: str, count: int) -> tuple[float, int]:
    """Return the median of the SDK's calls in milliseconds, and the number of items it read."""
    python = Environments().python(sdk)
    report = json.loads(run_program(server, [str(python), PROGRAM, str(count)]))
    return float(report["median_ms"]), len(report["inputs"])


def of_requests(server: Server, count: int, *, with_ids: bool) -> float:
    """Return the median of single requests in milliseconds."""
    auth = (server.public_key, server.secret_key)
    took_s = []
    with httpx.Client(base_url=server.url, auth=auth, timeout=30) as client:
        client.post("/api/public/v2/datasets", json={"name": "of requests"}).raise_for_status()
        for number in range(count):
            body = {"datasetName": "of requests", "input": {"n": number}}
            if with_ids:
                body["id"] = f"item-{number}"
            begun_s = time.perf_counter()
            client.post(ITEMS, json=body).raise_for_status()
            took_s.append(time.perf_counter() - begun_s)
    return statistics.median(took_s) * 1e3


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.documents", description=__doc__)
    parser.add_argument("--items", type=int, default=1_000)
    parser.add_argument("--sdk", default="langfuse==5.0.4")
    parser.add_argument("--median-max-ms", type=float, default=15)
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="tracemill-bench-"))
    try:
        with running_server(root / "data") as server:
            median_ms, found = of_sdk(server, options.sdk, options.items)
            edge_s = server.usage()["edge"].cpu_s
            with_ids_ms = of_requests(server, options.items // 4, with_ids=True)
            edge_s = (server.usage()["edge"].cpu_s - edge_s) / (options.items // 4)
            without_ids_ms = of_requests(server, options.items // 4, with_ids=False)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    print(
        f"{options.items:,} items by {options.sdk}: median {median_ms:.1f} ms, {found:,} read back;"
        f" requests with an id {with_ids_ms:.1f} ms ({edge_s * 1e3:.1f} ms of CPU of the edge),"
        f" without {without_ids_ms:.1f} ms"
    )
    return int(found != options.items or median_ms > options.median_max_ms)


if __name__ == "__main__":
    sys.exit(main())
