"""Of a failing batch, only rows that the store cannot accept are refused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import cast

import pytest

from clickhouse.errors import QueryLimitReached, QueryRejected, StoreUnavailable, TooManyRefusals
from clickhouse.feeds import FEEDS
from clickhouse.sink.isolation import IsolatingInserts
from clickhouse.sink.refusals import RefusalGuard
from clickhouse.sink.settings import SinkSettings
from clickhouse.store import Store
from deploy.embedded.ports import free_ports
from tests.clickhouse.sink_for_tests import observation
from tests.fixtures.store import StoreAt

SETTINGS = SinkSettings(retry_backoff_s=0.001, retry_backoff_max_s=0.002)
ROWS = [observation(number) for number in range(64)]
POISON = observation(99, name="poison")


class StoreOfTests:
    """Takes rows unless ``answer`` raises; answers pings."""

    def __init__(self, answer: Callable[[bytes], None]) -> None:
        self.answer = answer
        self.rows: set[bytes] = set()
        self.inserts: list[int] = []

    async def insert_lines(
        self, table: str, columns: Sequence[str], values: bytes | Sequence[bytes]
    ) -> None:
        body = values if isinstance(values, bytes) else b"\n".join(values)
        lines = body.split(b"\n") if body else []
        self.inserts.append(len(lines))
        self.answer(body)
        self.rows.update(lines)

    async def ping(self) -> None:
        return None


def inserts_into(store: StoreOfTests) -> IsolatingInserts:
    return IsolatingInserts(cast("Store", store), SETTINGS, FEEDS)


async def test_a_row_that_crashes_the_store_is_found_and_the_others_are_stored() -> None:
    def ends_by_poison(body: bytes) -> None:
        if b"poison" in body:
            raise StoreUnavailable("connection lost", has_dropped=True)

    store = StoreOfTests(ends_by_poison)
    inserts = inserts_into(store)

    async def others() -> None:
        while True:
            await inserts.insert("spend", [b"{}"])
            await asyncio.sleep(0.001)

    beside = asyncio.create_task(others())
    refused = await inserts.insert("observations", [*ROWS[:20], POISON, *ROWS[20:]])
    beside.cancel()
    assert [(row.number, row.line, row.code) for row in refused] == [
        (20, POISON, "failed_in_store")
    ]
    assert set(ROWS) < store.rows
    assert store.inserts[:3].count(65) + store.inserts.count(65) >= SETTINGS.insert_attempts_max


async def test_while_the_store_accepts_nothing_no_row_is_refused() -> None:
    failures = iter(range(40))

    def recovers(body: bytes) -> None:
        if next(failures, None) is not None:
            raise StoreUnavailable("connection lost", has_dropped=True)

    store = StoreOfTests(recovers)
    assert await inserts_into(store).insert("observations", ROWS) == []
    assert store.rows == set(ROWS)


async def test_a_store_that_reports_why_it_accepts_nothing_is_waited_for_with_the_whole_batch() -> (
    None
):
    failures = iter(range(20))

    def is_full(body: bytes) -> None:
        if next(failures, None) is not None:
            raise StoreUnavailable("code 243: no space left")

    store = StoreOfTests(is_full)
    assert await inserts_into(store).insert("observations", ROWS) == []
    assert set(store.inserts) == {64}


async def test_a_batch_that_exceeds_memory_is_stored_in_parts() -> None:
    def is_small(body: bytes) -> None:
        if body.count(b"\n") >= 8:
            raise QueryLimitReached(241, "memory limit exceeded")

    store = StoreOfTests(is_small)
    assert await inserts_into(store).insert("observations", ROWS) == []
    assert store.rows == set(ROWS)


async def test_if_the_statement_without_rows_is_refused_no_row_is() -> None:
    failures = iter(range(9))

    def lacks_a_column(body: bytes) -> None:
        if next(failures, None) is not None:
            raise QueryRejected(16, "no such column")

    store = StoreOfTests(lacks_a_column)
    assert await inserts_into(store).insert("observations", ROWS) == []
    assert store.rows == set(ROWS)


async def test_an_unknown_error_loses_its_row_only() -> None:
    def fails(body: bytes) -> None:
        if b"poison" in body:
            raise ZeroDivisionError

    store = StoreOfTests(fails)
    refused = await inserts_into(store).insert("observations", [POISON, *ROWS])
    assert [row.line for row in refused] == [POISON]
    assert store.rows == set(ROWS)


async def test_many_malformed_rows_cost_few_inserts() -> None:
    def parses(body: bytes) -> None:
        for line in body.split(b"\n"):
            if line:
                json.loads(line)

    lines = [line for row in ROWS for line in (row, row[:-9])]
    store = StoreOfTests(parses)
    refused = await inserts_into(store).insert("observations", lines)
    assert [row.number for row in refused] == list(range(1, 128, 2))
    assert store.rows == set(ROWS)
    assert len(store.inserts) < 70


def test_a_table_that_refuses_most_rows_stops_the_sink() -> None:
    guard = RefusalGuard("traces", SinkSettings(refused_rows_sample=100))
    for _ in range(9):
        guard.observe(accepted=4, refused=6, reason="code 53: type mismatch")
    with pytest.raises(TooManyRefusals, match="60 of the last 100 rows of traces: code 53"):
        guard.observe(accepted=4, refused=6, reason="code 53: type mismatch")


def test_refused_rows_between_accepted_ones_stop_nothing() -> None:
    guard = RefusalGuard("traces", SinkSettings(refused_rows_consecutive_max=10))
    for _ in range(100):
        guard.observe(accepted=0, refused=9, reason="bad")
        guard.observe(accepted=30, refused=0, reason="")


async def test_a_dropped_connection_differs_from_a_refused_one(
    store_at: StoreAt,
) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"spend" in head or b"POST" in head:
            await reader.read(1)
        writer.close()

    port, silent = free_ports(2)
    server = await asyncio.start_server(hang_up, "127.0.0.1", port)
    async with server:
        with pytest.raises(StoreUnavailable) as broken:
            await store_at(port).insert_lines("spend", ("project_id",), b"{}")
    assert broken.value.has_dropped
    with pytest.raises(StoreUnavailable) as unreached:
        await store_at(silent).insert_lines("spend", ("project_id",), b"{}")
    assert not unreached.value.has_dropped
