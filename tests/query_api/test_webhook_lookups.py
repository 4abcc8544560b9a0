"""Concurrent lookups of webhooks' host names are limited."""

import asyncio
import socket
import threading

import pytest
from prometheus_client import REGISTRY

from producers.control.resolver import LOOKUPS_MAX
from tests.query_api.harness import Api


async def test_lookups_of_names_that_hang_use_a_bounded_number_of_threads(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs = threading.Event()
    asked: list[str] = []

    def lookup(host: str, *_: object, **__: object) -> list[object]:
        asked.append(host)
        hangs.wait(20)
        raise socket.gaierror(f"no {host}")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    name, labels = "tracemill_producers_limit_reached_total", {"limit": "lookups_max"}
    before = REGISTRY.get_sample_value(name, labels) or 0

    async def create(number: int) -> int:
        url = f"https://h{number}.example.test/"
        body = {"url": url, "events": ["budget.threshold_crossed"]}
        return (await api.client.post("/v1/webhooks", json=body)).status_code

    waiting = [asyncio.create_task(create(number)) for number in range(LOOKUPS_MAX)]
    async with asyncio.timeout(10):
        while len(asked) < LOOKUPS_MAX:  # noqa: ASYNC110  # threads say it, no event of the loop
            await asyncio.sleep(0.01)
        assert await create(LOOKUPS_MAX) == 422
    assert len(asked) == LOOKUPS_MAX
    assert REGISTRY.get_sample_value(name, labels) == before + 1
    hangs.set()
    assert set(await asyncio.gather(*waiting)) == {422}
