# ruff: noqa: PLC0415  # imports follow the registration of the dimensions
"""Dimensions that are defined here: one of observations, one of traces, from an event to the API.

Dimensions are compiled in at import, so a process of its own registers them before anything else.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from producers.dimensions.dimension import Dimension
from producers.dimensions.registry import REGISTRY

if TYPE_CHECKING:
    from clickhouse.store import Store

ROOT = Path(__file__).parents[2]
START_US = 1_795_262_400_000_000
TIER = Dimension(
    name="service",
    observation_field="service_name",
    in_windows=True,
    in_spend=True,
    default="standard",
)
RELEASE = Dimension(name="release", trace_field="release", in_windows=True, in_spend=True)


async def add_columns(store: Store) -> None:
    """Add the columns of both dimensions to both tables."""
    for table in ("windows", "spend"):
        [row] = await store.query(
            "SELECT sorting_key FROM system.tables"
            f" WHERE database = currentDatabase() AND name = '{table}'"
        )
        await store.command(
            f"ALTER TABLE {table} ADD COLUMN service String, ADD COLUMN release String,"
            f" MODIFY ORDER BY ({row['sorting_key']}, service, release)"
        )


def test_new_dimensions_work_from_an_event_to_the_api(clickhouse_url: str) -> None:
    child = subprocess.run(
        [sys.executable, "-m", "tests.streams.test_toy_dimensions"],
        cwd=ROOT,
        env=os.environ | {"TOY_STORE": clickhouse_url},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    assert child.stdout.splitlines()[-1] == "all of it holds"


def events() -> list:
    """Twelve generations of three traces; a late update moves the first trace to release s9."""
    from tracemill.contract import Observation, TraceAttributes, TraceUpdate

    made: list = [
        Observation(
            project_id="acme",
            trace_id=f"t{n % 3}",
            id=f"o{n}",
            ts_us=START_US + n,
            start_us=START_US + n,
            end_us=START_US + n + 1_000,
            type="GENERATION",
            name="answer",
            service_name="flex" if n % 2 else None,
            cost={"input": 1_000_000 * (n + 1)},
            trace=TraceAttributes(release=f"s{n % 3}", user_id="u"),
        )
        for n in range(12)
    ]
    late = TraceAttributes(release="s9")
    made.append(TraceUpdate(project_id="acme", trace_id="t0", ts_us=START_US + 100, trace=late))
    return made


def rows_of(batches: list[list]) -> tuple:
    """Fold events, each batch a record of its own, to the totals of windows and spend."""
    import msgspec

    from streams.core.observations.reading import SourceRecord, read
    from streams.core.rollups.delta_record import read_deltas
    from streams.core.rollups.fold import ProjectFold, first_checkpoint
    from tests.bench.stages.stage1 import _new_fold
    from tracemill.contract import encode_event

    stage1 = _new_fold()
    stage2 = ProjectFold(first_checkpoint(0, 0, 0), lateness_s=86_400)
    for offset, batch in enumerate(batches):
        value = b"\n".join(map(encode_event, batch))
        records = [read(SourceRecord(offset, START_US, value))]
        deltas = stage1.fold(records, stage1.needs(records), offset + 1).deltas
        for again in range(2):  # the second time changes nothing
            lines = map(without_unpriced if again else msgspec.json.encode, deltas)
            record = read_deltas(b"\n".join(lines))
            assert not record.failed
            assert record.deltas == deltas
            sent = record.deltas
            stage2.apply(2 * offset + again, sent, START_US // 1_000_000)
    flush = stage2.flush()
    assert not flush.failed
    rows = [msgspec.json.decode(line) for line in (*flush.windows, *flush.spend)]
    totals = [row | {"row_version": 0} for row in rows if row.get("total_cost_pico")]
    return sorted(map(str, totals)), flush


def without_unpriced(delta: Any) -> bytes:
    """Return a delta in the form of versions that did not count calls without a price."""
    import msgspec

    from streams.core.rollups.deltas import SpendDelta

    unpriced = SpendDelta.__struct_fields__.index("unpriced")
    fields = msgspec.to_builtins(delta)
    for change in fields[4]:
        assert change.pop(unpriced) == 0
    return msgspec.json.encode(fields)


async def check() -> None:
    import uuid

    from clickhouse.migrate import migrate
    from clickhouse.rows import SpendRow, WindowRow
    from clickhouse.settings import StoreSettings, TieringSettings
    from clickhouse.store import Store
    from tests.query_api.harness import make_api

    expected, flush = rows_of([events()])
    chance = Random(7)
    for _ in range(30):
        shuffled = events() + chance.sample(events(), 5)
        chance.shuffle(shuffled)
        batches, at = [], 0
        while at < len(shuffled):
            size = chance.randint(1, 5)
            batches.append(shuffled[at : at + size])
            at += size
        assert rows_of(batches)[0] == expected, batches

    database = f"toy_{uuid.uuid4().hex[:12]}"
    settings = StoreSettings(clickhouse_url=os.environ["TOY_STORE"], clickhouse_database=database)
    store = Store(settings)
    await migrate(store, TieringSettings(hot_days=7))
    await add_columns(store)
    for table, row, lines in (
        ("windows", WindowRow, flush.windows),
        ("spend", SpendRow, flush.spend),
    ):
        await store.insert_lines(
            table, list(row.__struct_fields__), [line + b"\n" for line in lines]
        )

    api, clients = make_api(store)
    span = {"from": "2026-11-21T12:00:00Z", "to": "2026-11-21T12:01:00Z", "step": "1m"}
    answer = await api.client.get("/v1/windows", params=span | {"group_by": "release,service"})
    assert answer.status_code == 200, answer.text
    found = {(w["release"], w["service"]): w["count"] for w in answer.json()["data"]}
    assert found == {
        (release, tier): 2 for release in ("s1", "s2", "s9") for tier in ("flex", "standard")
    }
    only = await api.client.get("/v1/windows", params=span | {"release": "s9"})
    assert [window["count"] for window in only.json()["data"]] == [4]
    body = {"name": "n", "period": "day", "limit_usd": "1", "scope": {"release": "s9"}}
    created = await api.client.post("/v1/budgets", json=body)
    assert created.status_code == 201, created.text
    assert created.json()["scope"] == {"release": "s9"}
    check_budget()
    for client in clients:
        await client.aclose()
    await store.command(f"DROP DATABASE {database} SYNC", use_database=False)
    await store.close()


def check_budget() -> None:
    """A budget of a release and a tier counts their spend alone."""
    from tests.streams.budgets.budget_world import Running, budget, spend

    running = Running(budget(scope={"release": "s9", "service": "flex"}, limit_pico=4))
    running.settle()
    for release, service in (("s9", "standard"), ("s1", "flex"), ("s9", "flex")):
        running.add(spend(3, more={"release": release, "service": service}))
    running.flush()
    assert running.spent() == {"{}": 3}


if __name__ == "__main__":
    REGISTRY.register(TIER)
    REGISTRY.register(RELEASE)
    asyncio.run(check())
    print("all of it holds")
