"""Prepare the embedded broker for its first start: `python -m deploy.embedded.warm_up`.

This downloads the jars and creates Java's start-up cache, which halves the time of later starts.
`make setup` runs it; `tracemill up` does the same if the cache is missing.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import mkdtemp

from deploy.broker_probe import broker_answers
from deploy.embedded.credentials import new_password
from deploy.embedded.jars import ensure_jars, kafka_cache_dir
from deploy.embedded.kafka import EmbeddedKafka, startup_cache
from deploy.embedded.launch import bound_to_this_process
from deploy.embedded.ports import free_ports
from deploy.errors import DeployError, EngineError

READY_TIMEOUT_S = 60
STOP_TIMEOUT_S = 120
PROBE_INTERVAL_S = 0.1
STARTUP_CACHES_KEPT = 6
"""Maximum start-up caches in the directory, one per virtual environment; older ones are deleted."""


def warm_up(cache_dir: Path) -> None:
    """Download the jars and create the start-up cache, unless they exist.

    Raises:
        DownloadError: a jar could not be downloaded.
        EngineError: the cache could not be created; the broker works without it.
    """
    ensure_jars(cache_dir)
    wanted = startup_cache(cache_dir)
    if wanted.exists():
        wanted.touch()
        return
    print("creating the embedded broker's start-up cache (once)", file=sys.stderr, flush=True)
    staging = Path(mkdtemp(prefix=".staging-", dir=cache_dir))
    try:
        recorded = staging / wanted.name
        _record(staging, cache_dir, recorded)
        recorded.replace(wanted)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    caches = sorted(cache_dir.glob("startup-*.aot"), key=lambda path: path.stat().st_mtime)
    for old in caches[:-STARTUP_CACHES_KEPT]:
        old.unlink(missing_ok=True)


def _record(staging: Path, cache_dir: Path, recorded: Path) -> None:
    """Start a broker that records its start, then stop it; Java writes the cache when it ends."""
    port, controller_port = free_ports(2)
    broker = EmbeddedKafka(
        staging / "data",
        port=port,
        controller_port=controller_port,
        password=new_password(),
        cache_dir=cache_dir,
    )
    broker.prepare()
    java, *arguments = broker.command()
    process = subprocess.Popen(
        bound_to_this_process([java, f"-XX:AOTCacheOutput={recorded}", *arguments]),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        asyncio.run(_await_ready(broker, process))
        process.terminate()
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise EngineError(f"the embedded broker did not stop within {STOP_TIMEOUT_S} s") from error
    finally:
        process.kill()
        process.wait()
    if not recorded.exists():
        raise EngineError("Java did not create the embedded broker's start-up cache")


async def _await_ready(broker: EmbeddedKafka, process: subprocess.Popen[bytes]) -> None:
    try:
        async with asyncio.timeout(READY_TIMEOUT_S):
            while process.poll() is None:
                if await broker_answers(broker.client_settings()):
                    return
                await asyncio.sleep(PROBE_INTERVAL_S)
    except TimeoutError as error:
        raise EngineError(
            f"the embedded broker was not ready within {READY_TIMEOUT_S} s"
        ) from error


def main() -> int:
    try:
        warm_up(kafka_cache_dir())
    except DeployError as error:
        # Not fatal: the broker starts without the cache, and another broker can be used.
        print(f"tracemill: {error}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
