"""First pages are made of stored versions, and contain only the newest of each row."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clickhouse.rows import ObservationRow
from query_api.store.columns import OBSERVATION_COLUMNS
from query_api.store.conditions import Condition
from query_api.store.observation_pages import SUPERSEDED_EXPECTED
from query_api.store.queries.observations import CountObservations, FindObservations
from query_api.store.reader import Reader
from query_api.store.sql import StoreQuery
from tests.query_api.harness import DAY_US, NOON_US, PROJECT, Api, observation, trace

MINUTE_US = 60_000_000


class RecordedQueries:
    """The queries that were run."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.queries: list[StoreQuery] = []
        asked = Reader.rows

        async def rows(reader: Reader, query: StoreQuery, row_type: type[Any]) -> list[Any]:
            self.queries.append(query)
            return await asked(reader, query, row_type)

        monkeypatch.setattr(Reader, "rows", rows)

    @property
    def merging(self) -> list[StoreQuery]:
        """Those that make the store put all versions together."""
        return [
            each
            for each in self.queries
            if isinstance(each, CountObservations)
            or (isinstance(each, FindObservations) and each.merged)
        ]


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> RecordedQueries:
    return RecordedQueries(monkeypatch)


async def listed(api: Api, path: str = "/api/public/v2/observations", **params: Any) -> list[str]:
    answer = await api.client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return [f"{each['traceId']}/{each['id']}" for each in answer.json()["data"]]


async def test_superseded_versions_are_left_out_without_merging_all(
    api: Api, recorded: RecordedQueries
) -> None:
    await api.insert(*(observation("t", f"o{n}", NOON_US + n) for n in range(6)))
    await api.insert(
        observation("t", "o5", NOON_US - 9, row_version=2, name="moved to the minute before"),
        observation("t", "o5", NOON_US + 5, row_version=2, is_deleted=1),
        observation("t", "o4", NOON_US + 4, row_version=2, is_deleted=1),
        observation("t", "o3", NOON_US + 3, row_version=2, is_deleted=1),
        observation("t", "o3", NOON_US + DAY_US, row_version=2),
        observation("t", "o2", NOON_US + 2, row_version=2, level="ERROR"),
    )
    assert await listed(api) == ["t/o3", "t/o2", "t/o1", "t/o0", "t/o5"]
    assert await listed(api, limit=2) == ["t/o3", "t/o2"]
    assert await listed(api, level="ERROR") == ["t/o2"]
    assert await listed(api, level="DEFAULT") == ["t/o3", "t/o1", "t/o0", "t/o5"]
    assert recorded.merging == []


async def test_a_page_with_too_many_superseded_versions_is_merged_by_the_store(
    api: Api, recorded: RecordedQueries
) -> None:
    # Merging a day that is over, to compress it well, takes its superseded versions away.
    await api.store.command("SYSTEM STOP MERGES observations_slim")
    try:
        count = 2 * SUPERSEDED_EXPECTED + 4
        await api.insert(*(observation("t", f"new{n}", NOON_US + n) for n in range(count)))
        await api.insert(*(observation("t", f"old{n}", NOON_US - 1 - n) for n in range(3)))
        await api.insert(
            *(
                observation("t", f"new{n}", NOON_US + n, row_version=2, is_deleted=1)
                for n in range(count)
            )
        )
        assert await listed(api, limit=2) == ["t/old0", "t/old1"]
        assert recorded.merging
    finally:
        await api.store.command("SYSTEM START MERGES observations_slim")


async def test_a_list_that_fits_its_page_is_not_counted(
    api: Api, recorded: RecordedQueries
) -> None:
    await api.insert(
        trace("t", observation_count=3), *(observation("t", f"o{n}", NOON_US + n) for n in range(3))
    )
    for path in ("/api/public/observations", "/api/public/traces"):
        total = (await api.client.get(path)).json()["meta"]["totalItems"]
        assert total == (3 if path.endswith("observations") else 1)
    assert recorded.merging == []
    for page, expected in ((1, 2), (2, 1), (3, 0)):
        answer = await api.client.get("/api/public/observations", params={"limit": 2, "page": page})
        assert (len(answer.json()["data"]), answer.json()["meta"]["totalItems"]) == (expected, 3)


async def test_rows_that_an_index_finds_are_queried_once(
    api: Api, recorded: RecordedQueries
) -> None:
    await api.insert(observation("t", "o", NOON_US - 9 * DAY_US), trace("t", NOON_US - 9 * DAY_US))
    assert await listed(api, traceId="t") == ["t/o"]
    assert [type(each).__name__ for each in recorded.queries] == [
        "FindObservations",
        "ReadObservations",
        "ReadTraces",
    ]
    recorded.queries.clear()
    assert await listed(api) == ["t/o"]
    assert len(recorded.queries) == 5


versions = st.tuples(
    st.integers(0, 3),  # observation
    st.integers(0, 90),  # second of its start
    st.booleans(),
    st.sampled_from(["DEFAULT", "ERROR"]),
)


def stream_of(drawn: list[tuple[int, int, bool, str]]) -> list[ObservationRow]:
    """Rows as the streams write them: one content per version, and tombstones of moved rows."""
    written: dict[int, ObservationRow] = {}
    rows: list[ObservationRow] = []
    for number, second, is_deleted, level in drawn:
        identifier = f"o{number}"
        before = written.get(number)
        version = before.row_version + 1 if before else 1
        row = observation(
            "t", identifier, NOON_US + second * 1_000_000, row_version=version,
            is_deleted=int(is_deleted), level=level,
        )  # fmt: skip
        if before and before.start_us // MINUTE_US != row.start_us // MINUTE_US:
            rows.append(
                observation("t", identifier, before.start_us, row_version=version, is_deleted=1)
            )
        rows.append(row)
        written[number] = row
    return rows


@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(versions, max_size=10), st.integers(1, 4), st.sampled_from([None, "ERROR"]))
async def test_a_page_equals_the_one_that_the_store_merges(
    api: Api, drawn: list[tuple[int, int, bool, str]], limit: int, level: str | None
) -> None:
    await api.empty()
    for row in stream_of(drawn):
        await api.insert(row)
    conditions = (Condition(OBSERVATION_COLUMNS["level"], "eq", level),) if level else ()
    query = FindObservations(PROJECT, conditions, limit)
    text, params = query.sql()
    merged = await api.store.query(text, params)
    params_of_list = {"limit": limit} | ({"level": level} if level else {})
    expected = [f"{row['trace_id']}/{row['id']}" for row in merged]
    assert await listed(api, **params_of_list) == expected
    assert await listed(api, "/api/public/observations", **params_of_list) == expected
