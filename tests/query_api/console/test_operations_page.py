"""Operations in the console: stages, jobs, dead letters and their replay, limits and storage."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import httpx
import msgspec
import pytest
import pytest_asyncio

from clickhouse.delivery_rows import DeliveryAttemptRow
from clickhouse.rows import DeadLetterRow, ObservationRow
from producers.control.kinds.dead_letter_replay import DeadLetterReplay
from producers.control.kinds.project import Project
from query_api import metrics
from query_api.console.operation_data import tables_of
from query_api.health.topic_rates import TopicProgress
from query_api.v1.storage import Storage, VolumeOfTable
from streams.core.jobs.state import JobState
from streams.core.observations.versions import version_floor
from tests.query_api.console.browser import HOME, csrf_in, signed_in_with, text_of
from tests.query_api.harness import OTHER, PROJECT, Api, Kept
from tracemill.clock import now_us

OPERATIONS = f"{HOME}/operations"
LETTERS = f"{OPERATIONS}/dead-letters"
REPLAYS = f"{HOME}/dead-letter-replays"
MARKUP = "<script>alert(1)</script>"
NOW_US = now_us()
HOUR_US = 3_600_000_000
EVENT = {"stage": "observations", "reason": "processing_failed", "source_topic": "t.events"}

pytestmark = pytest.mark.asyncio(loop_scope="module")


def letter(letter_id: str, age_us: int, **fields: str) -> DeadLetterRow:
    given = {
        "project_id": PROJECT, "stage": "gateway", "reason": "invalid", "detail": MARKUP,
        "payload": f'{{"id": "{MARKUP}"}}',
    }  # fmt: skip
    return DeadLetterRow(id=letter_id, created_us=NOW_US - age_us, **(given | fields))


def delivery(delivery_id: str, status: str) -> DeliveryAttemptRow:
    return DeliveryAttemptRow(
        project_id=PROJECT, delivery_id=delivery_id, attempt=1, alert_ids=("a",),
        target_kind="webhook", target_id="w", status=status, detail=f"{status}: {MARKUP}",
        created_us=NOW_US, attempted_us=NOW_US, row_version=1,
    )  # fmt: skip


@pytest.fixture(scope="module")
def database(kept: Kept) -> str:
    return kept(
        [
            *(letter(f"l{n}", n) for n in range(30)),
            letter("l1", 1, project_id=OTHER, detail="theirs"),
            letter("sink", 99, stage="sink", detail="of the sink"),
            letter("job/1 2", 0, **EVENT, payload="x" * 30_000),
            letter("e2", 0, **EVENT),
            delivery("waits", "pending"), delivery("gave-up", "exhausted"),
            delivery("went", "delivered"),
            ObservationRow(
                project_id=PROJECT, trace_id="late", id="o1", start_us=NOW_US - 50 * HOUR_US,
                name=MARKUP, row_version=version_floor(NOW_US),
            ),
        ]
    )  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def admin(filled_api: Api) -> AsyncIterator[httpx.AsyncClient]:
    async with signed_in_with(filled_api, "read", "admin") as found:
        yield found


async def test_the_pipeline_is_shown_with_what_was_refused_or_late(
    client: httpx.AsyncClient, admin: httpx.AsyncClient, filled_api: Api
) -> None:
    page = await client.get(OPERATIONS)
    assert MARKUP not in page.text
    assert "theirs" not in page.text
    assert "of the sink" not in page.text, "on the next page"
    assert "/traces/late" in page.text
    assert "Limits of this project" not in page.text
    assert "Limits of this project" in (await admin.get(OPERATIONS)).text
    following = re.findall(r'rel="next" href="([^"]+)"', page.text)[0].replace("&amp;", "&")
    assert "of the sink" in (await client.get(f"{OPERATIONS}{following}")).text
    assert "30 invalid gateway" in text_of(page.text)
    of_sink = await client.get(f"{OPERATIONS}?stage=sink&reason=invalid")
    assert "of the sink" in of_sink.text
    assert "/dead-letters/l1" not in of_sink.text
    filled_api.missing["store"] = "a reason that names other projects"
    try:
        shown = await client.get(OPERATIONS)
        assert "not ready" in text_of(shown.text)
        assert "other projects" not in shown.text
    finally:
        filled_api.missing.clear()
    assert (await client.get(f"{OPERATIONS}?cursor=x")).status_code == 400


async def test_jobs_that_wait_or_were_given_up_have_their_last_result(
    client: httpx.AsyncClient, filled_api: Api
) -> None:
    for kind, fields in (
        ("trace_deletion", {"next_attempt_us": NOW_US, "detail": MARKUP}),
        ("alert_test", {"status": "exhausted", "attempts": 3, "detail": "no answer"}),
    ):
        given = {"project_id": PROJECT, "created_us": NOW_US, "updated_us": NOW_US} | fields
        filled_api.jobs.apply(f"{kind}/j", msgspec.json.encode(JobState(**given)))
    page = await client.get(OPERATIONS)
    assert f"waiting {MARKUP}" not in page.text
    shown = re.sub(r"\w+ \d+ [\d:]{8}", "T", text_of(page.text))
    assert f"Erasure of traces waiting T T {MARKUP}" in shown
    assert "Test alert given up T – no answer" in shown
    assert "/deliveries/waits" in page.text
    assert "/deliveries/gave-up" in page.text
    assert "/deliveries/went" not in page.text
    assert f"exhausted: {MARKUP}" in text_of(page.text)


async def test_events_are_replayed_from_the_list_and_one_by_one(
    client: httpx.AsyncClient, filled_api: Api
) -> None:
    page = await client.get(OPERATIONS)
    assert "Replay 2 events of this page" in page.text
    one = await client.get(f"{LETTERS}/job%2F1%202")
    assert one.text.count("x" * 20_000) == 1
    assert "x" * 20_001 not in one.text
    assert MARKUP not in one.text
    refused = await client.get(f"{LETTERS}/l1")
    assert "the client must resend" in refused.text
    assert "dead-letter-replays" not in refused.text
    assert (await client.get(f"{LETTERS}/nowhere")).status_code == 404
    assert (await client.get(f"{LETTERS}/{'x' * 513}")).status_code == 400
    form = {"csrf": csrf_in(page.text), "ids": "job/1 2\r\ne2", "from": "list"}
    asked = await client.post(REPLAYS, data=form)
    assert asked.headers["location"] == f"{OPERATIONS}?requested=1"
    asked = await client.post(REPLAYS, data={"csrf": form["csrf"], "ids": "job/1 2"})
    assert asked.headers["location"] == f"{LETTERS}/job%2F1%202?requested=1"
    both, single = filled_api.control.view.in_project(DeadLetterReplay, PROJECT).values()
    assert both.dead_letter_ids == ("job/1 2", "e2")
    assert single.author == f"pk-{PROJECT}"
    filled_api.control.keep(both.model_copy(update={"state": "done", "sent": 2, "ended_us": 1}))
    shown = text_of((await client.get(OPERATIONS)).text)
    assert "Replay of dead letters: 2 sent again" in shown
    assert "2 events were sent again" in shown
    for ids, status in (("l1", 409), ("nowhere", 400), ("", 400)):
        refused = await client.post(REPLAYS, data={"csrf": form["csrf"], "ids": ids})
        assert refused.status_code == status, ids


async def test_a_reader_sees_no_button_that_it_may_not_press(filled_api: Api) -> None:
    async with signed_in_with(filled_api, "read") as reader:
        for path in (OPERATIONS, f"{LETTERS}/e2"):
            assert "dead-letter-replays" not in (await reader.get(path)).text


async def test_lag_and_storage_are_shown_only_where_they_are_of_one_project(
    client: httpx.AsyncClient, filled_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def progress() -> list[TopicProgress]:
        return [
            TopicProgress(
                stage=stage, topic=f"t.{name}", arrived_per_s=12.34, processed_per_s=11.0,
                lag_records=1_234, oldest_s=2.5,
            )
            for stage, name in (
                ("streams", "events"), ("streams", "deltas"), ("sink", "rows"), ("sink", "others"),
            )
        ]  # fmt: skip

    monkeypatch.setattr("query_api.console.operation_data.read_pipeline", lambda _: Of(progress()))
    metrics.LIMITS_REACHED.labels("jobs_max").inc()
    hidden = await client.get(OPERATIONS)
    assert "t.events" not in hidden.text
    assert "jobs_max" not in hidden.text
    assert "TRACEMILL_CONSOLE_OPERATOR_PROJECTS" in hidden.text
    assert "Cold volume" not in hidden.text
    other = filled_api.control.view[Project][OTHER]
    filled_api.control.keep(other.model_copy(update={"state": "deleted"}))
    try:
        shown = text_of((await client.get(OPERATIONS)).text)
    finally:
        filled_api.control.keep(other)
    assert "OPERATOR_PROJECTS" not in shown
    assert "12.3 11 1,234 2.5 s" in shown
    assert "24.7 22 2,468 2.5 s" in shown, "of both topics of rows"
    assert "Cold volume 0 B" in shown
    assert "dead_letters" in shown
    assert "jobs_max query_limits_reached" in shown


class Of:
    """Progress of the stages."""

    def __init__(self, data: list[TopicProgress]) -> None:
        self.data = data


def use(table: str, volume: str, size: int) -> VolumeOfTable:
    return VolumeOfTable(
        table=table, volume=volume, parts=1, rows=2, bytes=size, first_day=None, last_day=None,
        overdue_parts=0, overdue_rows=0,
    )  # fmt: skip


async def test_tables_are_in_order_of_their_size() -> None:
    uses = [use("a", "hot", 5), use("b", "cold", 9), use("b", "hot", 1)]
    rows = tables_of(Storage(uses, {}))
    assert [(each.table, each.hot_bytes, each.cold_bytes, each.rows) for each in rows] == [
        ("b", 1, 9, 4), ("a", 5, 0, 2),
    ]  # fmt: skip
