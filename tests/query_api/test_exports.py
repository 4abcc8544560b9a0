"""``/v1/export`` returns all rows of a range, page by page, as lines of JSON, CSV or Parquet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

import pyarrow.parquet as pq
import pytest

from query_api.settings import QuerySettings
from query_api.times import iso
from query_api.v1 import export_parquet, export_rows
from query_api.v1.export_slots import ExportSlots
from tests.query_api.console.browser import signed_in
from tests.query_api.harness import NOON_US, PROJECT, Api, make_api, observation, trace
from tracemill.clock import now_us

DAY = {"from": "2026-11-21T00:00:00Z", "to": "2026-11-22T00:00:00Z"}
NUMBER = 25


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_rows, "PAGE_ROWS", 10)


async def fill(api: Api, start_us: int = NOON_US) -> None:
    rows = [
        trace(
            f"t{n:02}", start_us - n, name='say "hi",\n=1+1', user_id="ada" if n % 2 else "三月",
            total_cost_pico=n * 10**12 + 1, usage={"input": n}, unpriced_count=n, tags=("a,b",),
            input="" if n == 3 else f"question {n}",
        )
        for n in range(NUMBER)
    ]  # fmt: skip
    calls = [
        # Several observations of a page start at the same time.
        observation(f"t{n:02}", "o", start_us - n // 7, model="m", end_us=start_us + 1_000,
                    input=f"call {n}", completion_start_us=0)
        for n in range(NUMBER)
    ]  # fmt: skip
    others = [trace("x", start_us, project_id="globex"), trace("y", start_us - 10**12)]
    await api.insert(*rows, *calls, *others)


async def test_every_trace_of_the_range_is_one_line_with_exact_amounts(api: Api) -> None:
    await fill(api)
    answer = await api.client.get("/v1/export/traces", params=DAY)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.headers["tracemill-rows"] == str(NUMBER)
    assert "attachment" in answer.headers["content-disposition"]
    rows = [json.loads(line) for line in answer.text.splitlines()]
    assert [row["id"] for row in rows] == [f"t{n:02}" for n in range(NUMBER)]
    assert rows[5]["cost_usd"] == "5.000000000001"
    assert (rows[5]["tokens"]["input"], rows[5]["unpriced"]) == (5, 5)
    assert rows[4]["user_id"] == "三月"
    assert rows[3]["input"] == ""


async def test_csv_has_the_same_rows(api: Api) -> None:
    await fill(api)
    answer = await api.client.get("/v1/export/traces", params={**DAY, "format": "csv"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert [row["id"] for row in rows] == [f"t{n:02}" for n in range(NUMBER)]
    assert rows[0]["name"] == 'say "hi",\n=1+1'
    assert json.loads(rows[0]["tags"]) == ["a,b"]
    assert rows[0]["cost_usd"] == "0.000000000001"


async def test_every_observation_is_there_once_although_several_start_together(api: Api) -> None:
    await fill(api)
    answer = await api.client.get("/v1/export/observations", params=DAY)
    rows = [json.loads(line) for line in answer.text.splitlines()]
    assert sorted(row["trace_id"] for row in rows) == [f"t{n:02}" for n in range(NUMBER)]
    assert answer.headers["tracemill-rows"] == str(NUMBER)
    assert rows[0]["latency_ms"] >= 1
    assert rows[0]["ttft_ms"] is None


async def test_filters_are_those_of_queries(api: Api) -> None:
    await fill(api)
    filters = [{"field": "user_id", "operator": "=", "value": "三月"}]
    answer = await api.client.get(
        "/v1/export/traces", params={**DAY, "filters": json.dumps(filters)}
    )
    assert len(answer.text.splitlines()) == int(answer.headers["tracemill-rows"]) == 13


async def test_an_export_without_rows_is_empty_and_csv_has_the_names(api: Api) -> None:
    assert (await api.client.get("/v1/export/traces")).text == ""
    answer = await api.client.get("/v1/export/observations", params={"format": "csv"})
    assert answer.text.startswith("id,trace_id,parent_id,type")
    assert answer.text.count("\n") == 1


@pytest.mark.parametrize(
    ("path", "parameters", "field"),
    [
        ("traces", {"format": "xml"}, "format"),
        ("traces", {"from": "2026-11-21T00:00:00Z", "to": "2026-11-20T00:00:00Z"}, "from"),
        ("traces", {"filters": "{}"}, "filters"),
        ("traces", {"filters": "["}, "filters"),
        ("traces", {"filters": '[{"field":"no","operator":"=","value":"1"}]'}, "filters.0.field"),
        ("traces", {"filters": '[{"field":"name"}]'}, "filters.0.operator"),
        ("traces", {"filters": '[{"field":"name","operator":"=","x":1}]'}, "filters.0.x"),
        ("traces", {"limit": "1"}, "limit"),
    ],
)
async def test_what_cannot_be_exported_is_named(
    refusing_api: Api, path: str, parameters: dict[str, str], field: str
) -> None:
    answer = await refusing_api.client.get(f"/v1/export/{path}", params=parameters)
    assert answer.status_code == 422, answer.text
    assert answer.json()["error"]["field"] == field


async def test_an_export_with_too_many_rows_is_refused_before_it_begins(api: Api) -> None:
    await fill(api)
    small, clients = make_api(api.store, QuerySettings(export_rows_max=NUMBER - 1))
    answer = await small.client.get("/v1/export/traces", params=DAY)
    for client in clients:
        await client.aclose()
    assert answer.status_code == 422
    assert f"{NUMBER} rows" in answer.json()["error"]["message"]


@asynccontextmanager
async def limited(api: Api, **settings: int) -> AsyncIterator[Api]:
    """The same store with other limits."""
    other, clients = make_api(api.store, QuerySettings(**settings))
    yield other
    for client in clients:
        await client.aclose()


@pytest.mark.parametrize("table", ["traces", "observations"])
async def test_long_texts_are_exported_in_smaller_parts(api: Api, table: str) -> None:
    text = "x" * 20_000
    rows = [trace(f"t{n}", NOON_US - n, input=text) for n in range(7)]
    calls = [observation(f"t{n}", "o", NOON_US - n, input=text) for n in range(7)]
    await api.insert(*rows, *calls)
    async with limited(api, result_bytes_max=100_000) as small:
        answer = await small.client.get(f"/v1/export/{table}", params=DAY)
    ids = [json.loads(line) for line in answer.text.splitlines()]
    of_trace = "id" if table == "traces" else "trace_id"
    assert [each[of_trace] for each in ids] == [f"t{n}" for n in range(7)]
    assert all(each["input"] == text for each in ids)


async def test_a_request_without_a_body_reads_no_rows(api: Api) -> None:
    await api.insert(trace("t", NOON_US, input="x" * 20_000))
    async with limited(api, result_bytes_max=10_000) as small:
        answer = await small.client.head("/v1/export/traces", params=DAY)
        failed = await small.client.get("/v1/export/traces", params=DAY)
    assert failed.text == "", "its row is longer than the limit"
    assert failed.headers["tracemill-rows"] == answer.headers["tracemill-rows"] == "1"


async def test_exports_at_the_same_time_are_limited_until_they_end(api: Api) -> None:
    async with limited(api, exports_per_project_max=1) as small:
        context = small.client._transport.app.state.context  # type: ignore[attr-defined]
        release = context.shared(ExportSlots, lambda: ExportSlots(context.settings)).take(PROJECT)
        refused = await small.client.get("/v1/export/traces", params=DAY)
        assert refused.status_code == 503
        assert "exports_per_project_max" in refused.json()["error"]["message"]
        assert (await small.other.get("/v1/export/traces", params=DAY)).status_code == 200
        release()
        for _ in range(2):
            answer = await small.client.get("/v1/export/traces", params=DAY)
            assert answer.status_code == 200


async def test_the_console_downloads_what_its_list_shows(api: Api) -> None:
    await fill(api, now_us() - 10**9)
    async with signed_in(api) as client:
        page = await client.get(f"/project/{PROJECT}/traces?q=user:ada")
        assert f"/console/project/{PROJECT}/export?q=user%3Aada" in page.text
        path = f"/console/project/{PROJECT}/export"
        answer = await client.get(path, params={"list": "traces", "format": "csv", "q": "user:ada"})
        rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
        assert {row["user_id"] for row in rows} == {"ada"}
        assert len(rows) == 12


@pytest.mark.parametrize("table", ["traces", "observations"])
async def test_parquet_has_the_same_rows_in_typed_columns(
    api: Api, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_parquet, "GROUP_ROWS_MAX", 20)
    await fill(api)
    path = f"/v1/export/{table}"
    answer = await api.client.get(path, params={**DAY, "format": "parquet"})
    lines = (await api.client.get(path, params=DAY)).text.splitlines()
    assert answer.headers["content-type"] == "application/vnd.apache.parquet"
    assert answer.headers["tracemill-rows"] == str(NUMBER)
    file = pq.ParquetFile(io.BytesIO(answer.content))
    rows = file.read().to_pylist(maps_as_pydicts="strict")
    for row in rows:
        row["cost_usd"] = f"{row['cost_usd']:f}".rstrip("0").rstrip(".")
        for time in ("start", "end"):
            row[time] = None if row[time] is None else iso(round(row[time].timestamp() * 10**6))
    assert rows == [json.loads(line) for line in lines]
    types = {each.name: str(each.type) for each in file.schema_arrow}
    assert types["start"] == types["end"] == "timestamp[us, tz=UTC]"
    assert types["cost_usd"] == "decimal128(38, 12)"
    assert types["tokens"].startswith("map<string, int64")
    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [20, 5]


async def test_amounts_in_parquet_are_exact_and_an_empty_export_is_a_file(api: Api) -> None:
    path, parameters = "/v1/export/traces", {**DAY, "format": "parquet"}
    empty = pq.read_table(io.BytesIO((await api.client.get(path, params=parameters)).content))
    assert empty.num_rows == 0
    assert empty.column_names[:2] == ["id", "name"]
    await api.insert(trace("t", NOON_US, total_cost_pico=9_007_199_254_740_993))
    found = pq.read_table(io.BytesIO((await api.client.get(path, params=parameters)).content))
    assert found["cost_usd"].to_pylist() == [Decimal("9007.199254740993")]


async def test_long_texts_fill_row_groups_before_there_are_many_rows(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_parquet, "GROUP_BYTES", 100_000)
    await api.insert(*(trace(f"t{n:02}", NOON_US - n, input=f"{n}" * 5_000) for n in range(30)))
    answer = await api.client.get("/v1/export/traces", params={**DAY, "format": "parquet"})
    file = pq.ParquetFile(io.BytesIO(answer.content))
    assert (file.num_row_groups, file.metadata.num_rows) == (2, 30)


async def test_cells_of_csv_are_never_formulas(api: Api) -> None:
    texts = ["=1+1", "+a", "-a", "@a", "\ta", "\ra", "-12.5", "a=1"]
    await api.insert(*(trace(f"t{n}", NOON_US - n, name=name) for n, name in enumerate(texts)))
    answer = await api.client.get("/v1/export/traces", params={**DAY, "format": "csv"})
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert [row["name"] for row in rows] == [*(f"'{text}" for text in texts[:6]), "-12.5", "a=1"]
