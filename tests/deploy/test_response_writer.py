"""The head of a response is written together with its body, and never waits for long."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from deploy.response_writer import ResponseWriter


class Written:
    """A transport that records its writes."""

    def __init__(self) -> None:
        self.data: list[bytes] = []
        self.is_closed = False

    def write(self, data: bytes) -> None:
        assert not self.is_closed
        self.data.append(data)

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed


@pytest.fixture
def written() -> Written:
    return Written()


@pytest.fixture
async def writer(written: Any) -> ResponseWriter:
    return ResponseWriter(written, asyncio.get_running_loop())


async def test_head_and_body_are_one_write(written: Written, writer: ResponseWriter) -> None:
    writer.write(b"head ")
    writer.write(b"body")
    assert written.data == [b"head body"]


async def test_a_head_does_not_wait_for_a_late_body(
    written: Written, writer: ResponseWriter
) -> None:
    writer.write(b"head ")
    await asyncio.sleep(0)
    assert written.data == [b"head "]
    writer.write(b"body")
    await asyncio.sleep(0)
    assert written.data == [b"head ", b"body"]


async def test_a_response_without_a_body_is_written(
    written: Written, writer: ResponseWriter
) -> None:
    writer.write(b"head")
    writer.flush()
    await asyncio.sleep(0)
    assert written.data == [b"head"]


async def test_everything_is_written_before_the_connection_is_closed(
    written: Written, writer: ResponseWriter
) -> None:
    writer.write(b"head")
    writer.close()
    assert writer.is_closing()
    await asyncio.sleep(0)
    assert written.data == [b"head"]
