"""A reader that fails unexpectedly is restarted, and does not end the others."""

from __future__ import annotations

import asyncio

from prometheus_client import REGISTRY

from streams.alerting.readers import running_readers
from streams.alerting.settings import AlertingSettings

SETTINGS = AlertingSettings(restart_pause_s=0.001, restart_pause_max_s=0.002)
WITHIN_S = 60.0


def restarts(reader: str) -> float:
    name = "tracemill_alerting_reader_restarts_total"
    return REGISTRY.get_sample_value(name, {"reader": reader}) or 0.0


async def test_a_reader_that_fails_is_restarted_and_counted() -> None:
    runs, is_reading, is_cancelled = 0, asyncio.Event(), asyncio.Event()

    async def failing() -> None:
        nonlocal runs
        runs += 1
        if runs <= 2:
            raise ZeroDivisionError
        is_reading.set()
        await asyncio.Event().wait()

    async def steady() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            is_cancelled.set()

    before = restarts("failing"), restarts("steady")
    async with running_readers({"failing": failing, "steady": steady}, 0, SETTINGS):
        async with asyncio.timeout(WITHIN_S):
            await is_reading.wait()
        assert not is_cancelled.is_set()
    assert is_cancelled.is_set()
    assert (restarts("failing"), restarts("steady")) == (before[0] + 2, before[1])
