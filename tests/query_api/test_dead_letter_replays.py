"""Dead letters are counted, read one by one, and replayed on request."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import msgspec
import pytest
import pytest_asyncio

from clickhouse.rows import DeadLetterRow
from producers.control.kinds.dead_letter_replay import DeadLetterReplay
from query_api import metrics
from tests.query_api.harness import NOON_US, OTHER, PROJECT, Api, Kept, opened

REPLAYS = "/v1/dead-letters/replays"
pytestmark = pytest.mark.asyncio(loop_scope="module")


def letter(letter_id: str, **fields: str) -> DeadLetterRow:
    given = {
        "project_id": PROJECT, "stage": "observations", "reason": "processing_failed",
        "source_topic": "tracemill.events", "payload": "{}",
    }  # fmt: skip
    return DeadLetterRow(id=letter_id, created_us=NOON_US, **(given | fields))


@pytest.fixture(scope="module")
def database(kept: Kept) -> str:
    return kept(
        [
            letter("a"), letter("b"), letter("theirs", project_id=OTHER),
            letter("request", stage="gateway", source_topic=""),
            letter("garbage", reason="not_json"),
            letter("cut", detail="x (the payload is cut: the first 3 of 9 characters)"),
            letter("row", stage="sink", source_topic="tracemill.observations"),
            letter("alert/1 2", stage="jobs", reason="alert_test_exhausted", source_topic=""),
        ]
    )  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(clickhouse_url: str, database: str) -> AsyncIterator[Api]:
    async with opened(clickhouse_url, database) as found:
        yield found


async def test_reasons_are_counted_and_one_dead_letter_is_read(api: Api) -> None:
    counted = (await api.client.get("/v1/dead-letters/reasons")).json()["data"]
    first = {"stage": "observations", "reason": "processing_failed", "count": 3}
    assert counted[0] == {**first, "last_at": "2026-11-21T12:00:00.000Z"}
    assert sum(each["count"] for each in counted) == 7
    one = (await api.client.get("/v1/dead-letters/alert%2F1%202")).json()
    assert one["id"] == "alert/1 2"
    assert "only events can be replayed" in one["not_replayable"]
    assert (await api.client.get("/v1/dead-letters/a")).json()["not_replayable"] is None
    assert (await api.client.get("/v1/dead-letters/theirs")).status_code == 404


async def test_a_replay_is_requested_once_per_key_and_listed(api: Api) -> None:
    key = {"idempotency-key": "k"}
    asked = await api.client.post(REPLAYS, json={"ids": ["b", "a", "b"]}, headers=key)
    assert asked.status_code == 202
    assert asked.json()["dead_letter_ids"] == ["b", "a"]
    assert asked.json()["state"] == "queued"
    again = await api.client.post(REPLAYS, json={"ids": ["b", "a"]}, headers=key)
    assert again.json() == asked.json()
    assert (await api.client.get(REPLAYS)).json()["data"] == [asked.json()]
    assert (await api.other.get(REPLAYS)).json()["data"] == []
    replay = api.control.view[DeadLetterReplay][asked.json()["id"]]
    failed = {"status": "exhausted", "project_id": PROJECT}
    api.jobs.apply(f"dead_letter_replay/{replay.id}", msgspec.json.encode(failed))
    (shown,) = (await api.client.get(REPLAYS)).json()["data"]
    assert shown["state"] == "failed", "no attempt is left"
    api.control.keep(
        replay.model_copy(update={"state": "done", "sent": 2, "ended_us": NOON_US, "created_us": 1})
    )
    (shown,) = (await api.client.get(REPLAYS)).json()["data"]
    assert (shown["state"], shown["sent"], shown["ended_at"]) == (
        "done", 2, "2026-11-21T12:00:00.000Z",
    )  # fmt: skip
    await api.client.post(REPLAYS, json={"ids": ["a"]})
    listed = (await api.client.get(REPLAYS)).json()["data"]
    assert [each["dead_letter_ids"] for each in listed] == [["a"]], "the old one is removed"


@pytest.mark.parametrize(
    ("ids", "status", "text"),
    [
        (["request"], 409, "the client must resend"), (["garbage"], 409, "is not an event"),
        (["a", "cut"], 409, "not stored completely"), (["row"], 409, "only events"),
        (["theirs"], 422, "no dead letter"), ([], 422, "ids"), (["x"] * 101, 422, "ids"),
    ],
)  # fmt: skip
async def test_what_cannot_be_replayed_is_refused(
    api: Api, ids: Sequence[str], status: int, text: str
) -> None:
    refused = await api.client.post(REPLAYS, json={"ids": list(ids)})
    assert refused.status_code == status
    assert text in refused.json()["error"]["message"]


async def test_only_the_admin_key_reads_the_pipeline_and_the_limits_that_were_reached(
    api: Api,
) -> None:
    assert (await api.client.get("/v1/pipeline")).status_code == 403
    metrics.LIMITS_REACHED.labels("window_rows_max").inc()
    found = (await api.admin.get("/v1/pipeline")).json()
    assert (found["data"], found["stored_until"]) == ([], None)
    reached = {each["limit"]: each["count"] for each in found["limits_reached"]}
    assert reached["window_rows_max"] > 0
