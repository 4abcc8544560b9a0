"""Events that are received long after they began are listed, in pages."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from clickhouse.rows import ObservationRow
from query_api.store.queries import late_events
from streams.core.observations.versions import VERSION_SHIFT, version_floor
from tests.query_api.harness import NOON_US, PROJECT, Api, Kept, opened

HOUR_US = 3_600_000_000


def row(id_: str, late_h: int, start_us: int = NOON_US) -> ObservationRow:
    return ObservationRow(
        project_id=PROJECT,
        trace_id="t",
        id=id_,
        start_us=start_us,
        name="call",
        total_cost_pico=5,
        row_version=version_floor(start_us + late_h * HOUR_US),
    )


@pytest.fixture(scope="module")
def stored_rows(kept: Kept) -> str:
    return kept(
        [row("soon", 0), row("a", 23), row("b", 24), row("c", 25), row("d", 48, NOON_US + 1)]
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(clickhouse_url: str, stored_rows: str) -> AsyncIterator[Api]:
    async with opened(clickhouse_url, stored_rows) as found:
        yield found


@pytest.mark.asyncio(loop_scope="module")
async def test_late_events_are_listed_in_pages_by_their_start(api: Api) -> None:
    around = {"from": "2026-11-21T00:00:00Z", "to": "2026-11-22T00:00:00Z"}
    answer = await api.client.get("/v1/late-events", params=around)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert [each["id"] for each in body["data"]] == ["d", "c", "b"]
    first = body["data"][0]
    assert first["late_s"] == pytest.approx(172_800, abs=0.01)
    assert first["cost_usd"] == "0.000000000005"
    found, cursor = [], None
    for _ in range(3):
        page = around | {"limit": "1"} | ({"cursor": cursor} if cursor else {})
        body = (await api.client.get("/v1/late-events", params=page)).json()
        found += [each["id"] for each in body["data"]]
        cursor = body["meta"]["cursor"]
    assert (found, cursor) == (["d", "c", "b"], None)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_range_of_durations_stays_that_of_the_first_page(api: Api) -> None:
    first = {"from": "-3000d", "limit": "1"}
    body = (await api.client.get("/v1/late-events", params=first)).json()
    later = first | {"from": "-1s", "cursor": body["meta"]["cursor"]}
    after = (await api.client.get("/v1/late-events", params=later)).json()
    assert [each["id"] for each in after["data"]] == ["c"]
    for bound in ("from", "to"):
        assert after["meta"][bound] == body["meta"][bound]


@pytest.mark.asyncio(loop_scope="module")
async def test_an_empty_range_is_refused(api: Api) -> None:
    refused = await api.client.get(
        "/v1/late-events", params={"from": "2026-11-22T00:00:00Z", "to": "2026-11-21T00:00:00Z"}
    )
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, "from")


def test_versions_are_read_as_they_are_written() -> None:
    assert late_events.VERSION_SHIFT == VERSION_SHIFT
