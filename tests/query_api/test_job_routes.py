"""Jobs of a project are listed with their states and last results."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from query_api.jobs.states import JobStates
from streams.core.jobs.state import JobState as Written
from streams.core.notifications.groups import SealedState
from tests.query_api.harness import NOON_US, OTHER, PROJECT, Api

JOBS = "/v1/jobs"


def written(number: int, **fields: Any) -> bytes:
    given = {"project_id": PROJECT, "created_us": NOON_US, "updated_us": NOON_US + number} | fields
    return msgspec.json.encode(Written(**given))


@pytest.mark.asyncio(loop_scope="module")
async def test_jobs_are_listed_by_their_last_change_page_by_page(refusing_api: Api) -> None:
    jobs = refusing_api.jobs
    jobs.apply("trace_deletion/a/1", written(1, next_attempt_us=NOON_US + 60_000_000))
    jobs.apply("alert_test/b", written(2, attempts=2, detail="no answer"))
    jobs.apply("prompt_event/c", written(3, status="exhausted", attempts=5, detail="<b>"))
    jobs.apply("alert_test/d", written(4, status="done", attempts=1))
    jobs.apply("alert_test/theirs", written(5, project_id=OTHER))
    jobs.apply("alert_test/d", written(0, status="done", attempts=1))
    found = (await refusing_api.client.get(JOBS)).json()["data"]
    assert [(each["id"], each["state"]) for each in found] == [
        ("c", "failed"), ("b", "retrying"), ("a/1", "waiting"), ("d", "done"),
    ]  # fmt: skip
    assert found[2] == {
        "id": "a/1", "kind": "trace_deletion", "state": "waiting", "attempts": 0,
        "created_at": "2026-11-21T12:00:00.000Z", "updated_at": "2026-11-21T12:00:00.000001Z",
        "next_attempt_at": "2026-11-21T12:01:00.000Z", "detail": "",
    }  # fmt: skip
    assert found[0]["next_attempt_at"] is None
    pages, cursor = [], {}
    while True:
        answer = (await refusing_api.client.get(JOBS, params={"limit": 1, **cursor})).json()
        pages += [each["id"] for each in answer["data"]]
        if not answer["meta"]["has_more"]:
            break
        cursor = {"cursor": answer["meta"]["cursor"]}
    assert pages == ["c", "b", "a/1", "d"]
    for query, ids in (({"kind": "alert_test"}, ["b", "d"]), ({"state": "failed"}, ["c"])):
        listed = (await refusing_api.client.get(JOBS, params=query)).json()["data"]
        assert [each["id"] for each in listed] == ids
    assert (await refusing_api.client.get(JOBS, params={"state": "x"})).status_code == 422
    (other,) = (await refusing_api.other.get(JOBS)).json()["data"]
    assert other["id"] == "theirs"


def test_a_project_with_many_jobs_does_not_displace_those_of_others() -> None:
    states = JobStates(jobs_max=3)
    states.apply("alert_test/theirs", written(1, project_id=OTHER))
    for number in range(10):
        states.apply(f"alert_test/{number}", written(number + 2))
    assert [each.id for each in states.of(OTHER)] == ["theirs"]
    assert [each.id for each in states.of(PROJECT)] == ["9", "8"]


def test_states_are_removed_bounded_and_those_of_deliveries_left_out() -> None:
    states = JobStates(jobs_max=2)
    states.apply("alert_test/a", written(1))
    states.apply("channel_delivery/x", msgspec.json.encode(SealedState(state=Written())))
    states.apply("alert_test/old", msgspec.json.encode(Written(updated_us=1)))
    assert [each.id for each in states.of(PROJECT)] == ["a"]
    states.apply("alert_test/b", written(2))
    states.apply("alert_test/a", written(3))
    states.apply("alert_test/c", written(4))
    assert [each.id for each in states.of(PROJECT)] == ["c", "a"], "b changed the longest ago"
    for each in ("a", "c", "unknown"):
        states.apply(f"alert_test/{each}", None)
    assert states.of(PROJECT) == []
    with pytest.raises(msgspec.DecodeError):
        states.apply("alert_test/bad", b"{")
