"""Records of a full worker wait without delaying those of others, and keep their order."""

from __future__ import annotations

import asyncio

from streams.runtime.overflow import Overflow
from streams.runtime.partition_worker import SourceMessage


def message(offset: int) -> SourceMessage:
    return SourceMessage(offset, 0, b"", lambda: None)


async def test_waiting_records_are_passed_on_in_order_and_fetching_is_resumed() -> None:
    queue: asyncio.Queue[SourceMessage] = asyncio.Queue(1)
    calls: list[str] = []
    overflow = Overflow(
        queue.put, pause=lambda: calls.append("pause"), resume=lambda: calls.append("resume")
    )
    for offset in range(3):
        overflow.add(message(offset))
    assert [(await queue.get()).offset for _ in range(2)] == [0, 1]
    assert not overflow.has_ended
    overflow.add(message(3))
    assert [(await queue.get()).offset for _ in range(2)] == [2, 3]
    await overflow.task
    assert overflow.has_ended
    assert calls == ["pause"] * 4 + ["resume"]
