"""Rows that are old move to the bucket automatically, and queries still find them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clickhouse.migrate import migrate
from clickhouse.settings import TieringSettings
from clickhouse.store import Store
from clickhouse.tiering import VolumeUse, storage_report
from deploy.embedded.ports import free_ports
from tests.clickhouse.rows_for_tests import DAY_US, observation, write
from tests.fixtures.s3 import ACCESS_KEY, REGION, SECRET_KEY, S3Server
from tests.fixtures.store import ROOT, StoreAt, running_store
from tracemill.clock import now_us

BUCKET, PREFIX = "cold-rows", "tracemill/rows"
MOVED_WITHIN_S = 120.0
DAYS = (*range(6), *range(7, 11))
"""Ages of rows. None is on its last hot day, which could end while a test runs at midnight."""
HOT_AND_COLD = {"default": 120, "cold": 80}
ANSWER = (
    "SELECT count() AS n, sum(total_cost) AS cost,"
    " sum(cityHash64(id, input, toString(start_time))) AS content"
    " FROM observations FINAL SETTINGS do_not_merge_across_partitions_select_final = 1"
)


@pytest.fixture(scope="module")
def bucket(s3_server: S3Server) -> Any:
    client = s3_server.client()
    client.create_bucket(Bucket=BUCKET)
    return client


@pytest.fixture(scope="module")
def store_with_bucket(
    s3_server: S3Server, bucket: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[int]:
    """The port of an embedded store whose cold volume is the bucket."""
    (port,) = free_ports(1)
    environment = {
        "TRACEMILL_COLD_URL": f"s3://{BUCKET}/{PREFIX}",
        "AWS_ENDPOINT_URL": s3_server.endpoint,
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
    }
    with running_store(tmp_path_factory.mktemp("tiered"), port, environment):
        yield port


def objects_in(bucket: Any) -> list[str]:
    pages = bucket.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=PREFIX)
    return [item["Key"] for page in pages for item in page.get("Contents", [])]


async def write_ten_days(store: Store) -> None:
    start = now_us()
    await write(
        store,
        "observations",
        *(
            observation(
                id=f"o{day}-{number}",
                start_us=start - day * DAY_US,
                input=f"text {day} {number}",
                total_cost_pico=number,
            )
            for day in DAYS
            for number in range(20)
        ),
    )


async def disks(store: Store, table: str = "observations") -> dict[str, int]:
    rows = await store.query(
        "SELECT disk_name, sum(rows) AS rows FROM system.parts"
        " WHERE active AND database = {database:String} AND table = {table:String}"
        " GROUP BY disk_name",
        {"database": store.database, "table": table},
    )
    return {row["disk_name"]: row["rows"] for row in rows}


def use_of(report: list[VolumeUse], volume: str) -> VolumeUse:
    (use,) = [u for u in report if u.table == "observations" and u.volume == volume]
    return use


async def test_rows_that_are_old_at_insertion_are_written_to_the_bucket(
    store_with_bucket: int, bucket: Any, store_at: StoreAt
) -> None:
    store = store_at(store_with_bucket, clickhouse_database="straight")
    await migrate(store, TieringSettings(hot_days=7))
    await write_ten_days(store)
    assert await disks(store) == HOT_AND_COLD
    assert await disks(store, "observations_slim") == HOT_AND_COLD
    assert objects_in(bucket)
    (counted,) = await store.query(
        "SELECT count() AS n FROM observations FINAL WHERE input LIKE 'text 9 %'"
    )
    assert counted == {"n": 20}


async def test_rows_move_when_they_are_old_and_queries_find_them(
    store_with_bucket: int, bucket: Any, store_at: StoreAt
) -> None:
    store = store_at(store_with_bucket, clickhouse_database="grown_old")
    await migrate(store, TieringSettings(hot_days=365))
    await write_ten_days(store)
    assert await disks(store) == {"default": 200}
    before = await store.query(ANSWER)
    objects_before = len(objects_in(bucket))
    # Lowering the limit has the same effect as waiting for a week.
    await migrate(store, TieringSettings(hot_days=7))
    deadline = time.monotonic() + MOVED_WITHIN_S
    while await disks(store) != HOT_AND_COLD:
        assert time.monotonic() < deadline, await disks(store)
        await asyncio.sleep(0.2)
    assert await store.query(ANSWER) == before
    assert len(objects_in(bucket)) > objects_before


async def test_the_report_lists_rows_by_table_and_volume(
    store_with_bucket: int, store_at: StoreAt
) -> None:
    store = store_at(store_with_bucket, clickhouse_database="reported")
    await migrate(store, TieringSettings(hot_days=7))
    await write_ten_days(store)
    report = await storage_report(store)
    hot, cold = use_of(report, "hot"), use_of(report, "cold")
    assert (hot.rows, cold.rows) == (120, 80)
    assert (hot.parts, cold.parts) == (6, 4)
    assert hot.first_day is not None
    assert hot.last_day is not None
    assert cold.last_day is not None
    assert cold.last_day < hot.first_day <= hot.last_day
    assert hot.bytes > 0
    assert cold.bytes > 0
    assert (hot.overdue_parts, hot.overdue_rows) == (0, 0)


async def test_parts_that_should_have_moved_are_reported_overdue(
    store_with_bucket: int, store_at: StoreAt
) -> None:
    store = store_at(store_with_bucket, clickhouse_database="overdue")
    await migrate(store, TieringSettings(hot_days=365))
    await write_ten_days(store)
    await store.command("SYSTEM STOP MOVES observations")
    await migrate(store, TieringSettings(hot_days=7))
    hot = use_of(await storage_report(store), "hot")
    assert (hot.overdue_parts, hot.overdue_rows) == (4, 80)
    await store.command("SYSTEM START MOVES observations")


async def test_without_a_bucket_the_cold_volume_is_a_directory(clickhouse_store: Store) -> None:
    await write_ten_days(clickhouse_store)
    assert await disks(clickhouse_store) == HOT_AND_COLD


async def test_cold_rows_survive_a_restart(
    s3_server: S3Server, bucket: Any, tmp_path: Path, store_at: StoreAt
) -> None:
    (port,) = free_ports(1)
    environment = {
        "TRACEMILL_COLD_URL": f"s3://{BUCKET}/other",
        "AWS_ENDPOINT_URL": s3_server.endpoint,
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
    }
    store = store_at(port, clickhouse_database="restarted")
    with running_store(tmp_path, port, environment):
        await migrate(store, TieringSettings(hot_days=7))
        await write_ten_days(store)
        before = await store.query(ANSWER)
    with running_store(tmp_path, port, environment):
        assert await store.query(ANSWER) == before
        assert await disks(store) == HOT_AND_COLD


def test_a_bucket_whose_server_does_not_answer_is_reported_at_once(tmp_path: Path) -> None:
    port, nobody_there = free_ports(2)
    endpoint = f"http://127.0.0.1:{nobody_there}"
    environment = {"TRACEMILL_COLD_URL": "s3://bucket/rows", "AWS_ENDPOINT_URL": endpoint}
    ended = subprocess.run(
        [sys.executable, "-m", "clickhouse.embedded", str(tmp_path), str(port)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    line = f"tracemill store: the cold volume's S3 server {endpoint} does not respond: "
    assert ended.stderr.startswith(line)
    assert ended.stderr.count("\n") == 1
