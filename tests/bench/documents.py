"""`python -m tests.bench.documents --items N`: create items of a dataset one after the other.

The Langfuse SDK for Python creates the items in a process of its own, and then reads the dataset,
which must have all of them, also from another query process. Then the same without the SDK. Exits
with 1 if an item is missing, or if the median of the SDK is above the limit.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from deploy.embedded.launch import bound_to_this_process
from deploy.embedded.ports import free_ports
from tests.bench.temporary_server import temporary_server
from tests.compat.environments import Environments
from tests.compat.sdk_runs import run_program
from tests.fixtures.installation import READY_TIMEOUT_S, STOP_TIMEOUT_S, Server

PROGRAM = "tests/compat/sdk_programs/datasets_v4.py"
ITEMS = "/api/public/dataset-items"


def of_sdk(server: Server, sdk: str, count: int) -> tuple[float, int]:
    """Return the median of the SDK's calls in milliseconds, and the number of items it read."""
    python = Environments().python(sdk)
    report = json.loads(run_program(server, [str(python), PROGRAM, str(count)]))
    return float(report["median_ms"]), len(report["inputs"])


@contextmanager
def another_query_process(server: Server) -> Iterator[str]:
    """Run a second process of the query API; yield its address."""
    environ = Path(f"/proc/{server.pids()['edge']}/environ").read_bytes().split(b"\0")
    environment = dict(os.fsdecode(each).partition("=")[::2] for each in environ if each)
    (port,) = free_ports(1)
    process = subprocess.Popen(
        bound_to_this_process([sys.executable, "-P", "-m", "deploy", "query"]),
        env={**environment, "TRACEMILL_PORT": str(port)},
    )
    try:
        url = f"http://127.0.0.1:{port}"
        await_http(url)
        yield url
    finally:
        process.terminate()
        process.wait(STOP_TIMEOUT_S)


def await_http(url: str) -> None:
    deadline_s = time.monotonic() + READY_TIMEOUT_S
    while not _answers(url):
        assert time.monotonic() < deadline_s, "the second query process is not ready"
        time.sleep(0.1)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz").is_success
    except httpx.TransportError:
        return False


def listed(server: Server, url: str, dataset: str) -> int:
    """Return the number of items that another process lists."""
    found: set[str] = set()
    auth = (server.public_key, server.secret_key)
    with httpx.Client(base_url=url, auth=auth, timeout=30) as client:
        for page in itertools.count(1):
            parameters = {"datasetName": dataset, "limit": 100, "page": page}
            data = client.get(ITEMS, params=parameters).raise_for_status().json()["data"]
            found |= {each["id"] for each in data}
            if not data:
                return len(found)
    raise AssertionError


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
    with temporary_server() as server:
        major = options.sdk.partition("==")[2].partition(".")[0]
        with another_query_process(server) as url:
            median_ms, found = of_sdk(server, options.sdk, options.items)
            elsewhere = listed(server, url, f"folder/set of v{major}")
        edge_s = server.usage()["edge"].cpu_s
        with_ids_ms = of_requests(server, options.items // 4, with_ids=True)
        edge_s = (server.usage()["edge"].cpu_s - edge_s) / (options.items // 4)
        without_ids_ms = of_requests(server, options.items // 4, with_ids=False)
    print(
        f"{options.items:,} items by {options.sdk}: median {median_ms:.1f} ms, {found:,} read back,"
        f" {elsewhere:,} by another process;"
        f" requests with an id {with_ids_ms:.1f} ms ({edge_s * 1e3:.1f} ms of CPU of the edge),"
        f" without {without_ids_ms:.1f} ms"
    )
    return int(found != options.items or elsewhere != found or median_ms > options.median_max_ms)


if __name__ == "__main__":
    sys.exit(main())
