"""The installation's admin sets the limits of projects; and sees what is left of deleted ones."""

from __future__ import annotations

from typing import Any

import pytest

from clickhouse.errors import StoreUnavailable
from producers.control.kinds.limits import Limits
from producers.control.kinds.project import Project
from tests.clickhouse.rows_for_tests import observation
from tests.query_api.harness import OTHER, PROJECT, Api

LIMITS = f"/v1/admin/projects/{PROJECT}/limits"
DEFAULTS = {
    "events_per_s": 0,
    "bytes_per_s": 0,
    "burst_s": 10,
    "quota_period": "month",
    "quota_events": 0,
    "quota_bytes": 0,
}
NONE = dict.fromkeys(DEFAULTS)
NEVER_SET = {"own": NONE, "in_force": DEFAULTS, "used": None}


async def test_limits_are_set_shown_and_taken_away(api: Api) -> None:
    assert (await api.admin.get(LIMITS)).json() == NEVER_SET
    body = {"events_per_s": 50, "burst_s": 2}
    answer = await api.admin.put(LIMITS, json=body)
    assert answer.json() == {
        "own": NONE | body,
        "in_force": DEFAULTS | body,
        "used": None,
    }
    assert (await api.admin.get(LIMITS)).json() == answer.json()
    assert api.control.view[Limits][PROJECT].events_per_s == 50
    stale = answer.headers["etag"]
    again = await api.admin.put(LIMITS, json={"bytes_per_s": 7}, headers={"If-Match": stale})
    assert again.json()["own"] == NONE | {"bytes_per_s": 7}
    late = await api.admin.put(LIMITS, json={}, headers={"If-Match": stale})
    assert late.status_code == 409
    for _ in range(2):
        assert (await api.admin.delete(LIMITS)).status_code == 204
    assert (await api.admin.get(LIMITS)).json() == NEVER_SET
    assert OTHER not in api.control.view[Limits]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"events_per_s": -1}, "events_per_s"),
        ({"bytes_per_s": "many"}, "bytes_per_s"),
        ({"burst_s": 0}, "burst_s"),
        ({"quota_period": "week"}, "quota_period"),
        ({"quota_events": 1.5}, "quota_events"),
        ({"bursts": 1}, "bursts"),
    ],
)
async def test_a_limit_that_cannot_hold_is_named(
    api: Api, body: dict[str, Any], field: str
) -> None:
    refused = await api.admin.put(LIMITS, json=body)
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, field)


async def test_what_was_used_of_a_quota_is_shown_until_its_period_ends(api: Api) -> None:
    answer = await api.admin.put(LIMITS, json={"quota_period": "day", "quota_events": 9})
    used = answer.json()["used"]
    assert (used["events"], used["bytes"]) == (0, 0)
    assert used["period_ends_at"].endswith("T00:00:00.000Z")


async def test_only_the_installation_sets_limits_of_projects_that_are_active(api: Api) -> None:
    assert (await api.client.put(LIMITS, json={})).status_code == 403
    assert (await api.client.get(LIMITS)).status_code == 403
    assert (await api.admin.put("/v1/admin/projects/none/limits", json={})).status_code == 404
    assert (await api.admin.delete(f"/v1/admin/projects/{OTHER}")).status_code == 202
    assert (await api.admin.put(f"/v1/admin/projects/{OTHER}/limits", json={})).status_code == 409


async def test_what_is_left_of_a_project_that_is_deleting_is_shown_by_table(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unavailable(*_: Any, **__: Any) -> Any:
        raise StoreUnavailable("for a moment")

    await api.insert(observation(project_id=OTHER), observation(project_id=PROJECT))
    path = f"/v1/admin/projects/{OTHER}"
    assert "rows_left" not in (await api.admin.get(path)).json()
    await api.admin.delete(path)
    shown = (await api.admin.get(path)).json()
    assert shown["state"] == "deleting"
    assert shown["rows_left"]["observations"] == shown["rows_left"]["observations_slim"] == 1
    assert shown["rows_left"]["traces"] == 0
    with monkeypatch.context() as patched:
        patched.setattr(api.store, "query", unavailable)
        without = (await api.admin.get(path)).json()
    assert (without["state"], "rows_left" in without) == ("deleting", False)
    deleted = api.control.view[Project][OTHER].model_copy(update={"state": "deleted"})
    api.control.keep(deleted)
    assert "rows_left" not in (await api.admin.get(path)).json()
