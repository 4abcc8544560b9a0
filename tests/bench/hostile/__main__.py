"""`python -m tests.bench.hostile`: measure how long a project waits while another is hostile.

It starts its own installation with two projects. The exit code is 1 if the quiet project waited for
longer than the limit, a request was answered 500, or an event was lost.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table

from tests.bench.hostile.inputs import HOSTILE, Call, Hostile
from tests.bench.hostile.watch import QuietProject, Seen
from tests.fixtures.installation import Server, running_server

QUIET = ("pk-quiet", "sk-quiet")
BAR_S = 2.0
SETTLE_S = 3.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.hostile", description=__doc__)
    parser.add_argument("--only", default="", help="inputs whose name contains this")
    options = parser.parse_args()
    chosen = [each for each in HOSTILE if options.only in each.name]
    root = Path(tempfile.mkdtemp(prefix="tracemill-hostile-"))
    try:
        data_dir = root / "data"
        with with_two_projects(data_dir) as server:
            return asyncio.run(_measure(server, chosen))
    finally:
        shutil.rmtree(root, ignore_errors=True)


def with_two_projects(data_dir: Path):
    """An installation whose first start creates the quiet project, and the second the usual one."""
    quiet_id, (public_key, secret_key) = "quiet", QUIET
    with running_server(
        data_dir,
        TRACEMILL_INIT_PROJECT_ID=quiet_id,
        TRACEMILL_INIT_PUBLIC_KEY=public_key,
        TRACEMILL_INIT_SECRET_KEY=secret_key,
    ):
        pass
    return running_server(
        data_dir,
        TRACEMILL_INIT_PROJECT_ID="default",
        TRACEMILL_INIT_PUBLIC_KEY="pk-tm-dev",
        TRACEMILL_INIT_SECRET_KEY="sk-tm-dev",
    )


async def attack(server: Server, hostile: Hostile) -> Counter[int]:
    """Send all of it; how often each status was answered (0: no answer)."""
    statuses: Counter[int] = Counter()
    async with httpx.AsyncClient(
        base_url=server.url, auth=(server.public_key, server.secret_key), timeout=120
    ) as client:
        for call in hostile.calls():
            for first in range(0, call.times, call.together):
                count = min(call.together, call.times - first)
                statuses.update(
                    await asyncio.gather(*(_status(client, call) for _ in range(count)))
                )
    return statuses


async def _status(client: httpx.AsyncClient, call: Call) -> int:
    try:
        return (await client.post(call.path, content=call.body, headers=call.headers)).status_code
    except httpx.TransportError:
        return 0


async def _measure(server: Server, chosen: list[Hostile]) -> int:
    console = Console(width=150)
    table = Table("input", "answers", "seconds", "quiet project: longest wait, s", "busy", "lost")
    failed = False
    async with httpx.AsyncClient(base_url=server.url, auth=QUIET, timeout=60) as client:
        quiet = QuietProject(client)
        async with quiet.sending() as seen:
            await asyncio.sleep(SETTLE_S)
        _row(table, "(nothing)", Counter(), SETTLE_S, seen)
        for hostile in chosen:
            begun_s = time.monotonic()
            async with quiet.sending() as seen:
                statuses = await attack(server, hostile)
                await asyncio.sleep(SETTLE_S)
            _row(table, hostile.name, statuses, time.monotonic() - begun_s, seen)
            console.print(f"{hostile.name}: longest wait {seen.longest_s:.2f} s, {dict(statuses)}")
            failed |= bool(statuses[500] or seen.lost or seen.longest_s > BAR_S)
    console.print(table)
    return int(failed)


def _row(table: Table, name: str, statuses: Counter[int], took_s: float, seen: Seen) -> None:
    answers = ", ".join(f"{count} × {status}" for status, count in sorted(statuses.items()))
    table.add_row(
        name,
        answers,
        f"{took_s:.1f}",
        f"{seen.longest_s:.2f}",
        str(seen.refused),
        str(seen.lost),
    )


if __name__ == "__main__":
    sys.exit(main())
