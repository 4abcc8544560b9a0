"""`python -m tests.bench.prompts --seconds N`: read prompts at a fixed rate.

An installation gets 100 prompts with 2 versions each, some of which include others. Requests start
at fixed times, however long earlier ones take, and latencies count from these times. Exits with 1
if a response is wrong, or if the 99th percentile is above the limit.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import json
import random
import statistics
import sys
from typing import Any
from urllib.parse import quote

from tests.bench.decisions import connected
from tests.bench.temporary_server import temporary_server
from tests.fixtures.installation import Server

PROMPTS = 100
VERSIONS = 2
CONNECTIONS = 16
TEXT = "Answer {{question}} in {{language}}. " * 60
"""Two kilobytes, like usual system prompts."""


def body_of(number: int, version: int) -> dict[str, Any]:
    rules = "" if number < 10 else f"@@@langfusePrompt:name=f/{number % 10}|label=production@@@"
    return {
        "name": f"f/{number}",
        "prompt": f"{number} {version} {TEXT}{rules}",
        "labels": ["production"],
        "config": {"model": "gpt-4o-mini"},
    }


async def create_prompts(server: Server) -> None:
    async with server.client() as client:
        for number in range(PROMPTS):
            for version in range(VERSIONS):
                body = body_of(number, version)
                answer = await client.post("/api/public/v2/prompts", json=body)
                assert answer.status_code == 201, answer.text


async def ask(server: Server, rate: int, seconds: float) -> tuple[list[float], int]:
    """Ask ``rate`` times per second; return the latencies and the number of wrong responses."""
    clock = asyncio.get_running_loop().time
    begun_s, numbers, chosen = clock() + 0.1, itertools.count(), random.Random(1)
    total = int(rate * seconds)
    latencies_s: list[float] = []
    wrong = 0

    async def one_after_the_other() -> None:
        nonlocal wrong
        async with connected(server) as get:
            while (number := next(numbers)) < total:
                due_s = begun_s + number / rate
                await asyncio.sleep(max(0.0, due_s - clock()))
                prompt = chosen.randrange(PROMPTS)
                status, body = await get(f"/api/public/v2/prompts/{quote(f'f/{prompt}', safe='')}")
                latencies_s.append(clock() - due_s)
                text = json.loads(body).get("prompt", "")
                wrong += status != 200 or not text.startswith(f"{prompt} {VERSIONS - 1} ")
                wrong += "@@@" in text

    await asyncio.gather(*(one_after_the_other() for _ in range(CONNECTIONS)))
    return latencies_s, wrong


async def measure(server: Server, options: argparse.Namespace) -> tuple[list[float], int]:
    await create_prompts(server)
    gc.collect()
    gc.freeze()
    await ask(server, options.rate, 3)
    cpu_s = server.usage()["edge"].cpu_s
    found = await ask(server, options.rate, options.seconds)
    used_s = server.usage()["edge"].cpu_s - cpu_s
    print(f"edge: {used_s / len(found[0]) * 1e6:.0f} µs of CPU per request")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.prompts", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=int, default=500, help="requests per second")
    parser.add_argument("--p99-max-ms", type=float, default=5)
    options = parser.parse_args()
    with temporary_server() as server:
        latencies_s, wrong = asyncio.run(measure(server, options))
    cuts = statistics.quantiles(latencies_s, n=1000)
    p50, p99 = cuts[499] * 1e3, cuts[989] * 1e3
    print(
        f"{len(latencies_s):,} prompts at {options.rate}/s, {wrong} wrong: p50 {p50:.2f} ms,"
        f" p99 {p99:.2f} ms, max {max(latencies_s) * 1e3:.1f} ms"
    )
    return int(wrong > 0 or p99 > options.p99_max_ms)


if __name__ == "__main__":
    sys.exit(main())
