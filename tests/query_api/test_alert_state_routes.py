from decimal import Decimal
from typing import Any

import msgspec
import pytest

from clickhouse.alert_rows import row_of_alert
from clickhouse.rows import AlertRow, AlertStateRow, ControlLogRow
from producers.control.kinds.acknowledgement import Acknowledgement
from producers.control.kinds.silence import Silence
from producers.control.state import value_of
from producers.notifications.alert import Alert
from producers.notifications.registry import EVENT_TYPES
from producers.notifications.rule_change import RuleChange
from query_api.settings import QuerySettings
from tests.query_api.harness import NOON_US, OTHER, PROJECT, Api, make_api
from tests.query_api.test_alert_routes import pages
from tests.query_api.test_alert_rule_routes import created, held


def state(rule_id: str = "r1", **fields: Any) -> AlertStateRow:
    given = {
        "project_id": PROJECT, "group": '{"model":"m1"}', "state": "firing", "severity": "critical",
        "labels": {"team": "search"}, "episode_id": "e1", "sequence": 1, "started_us": NOON_US,
        "since_us": NOON_US, "value": Decimal("5.5"), "threshold": Decimal(5), "row_version": 1,
        "window_start_us": NOON_US - 60 * 10**6, "window_end_us": NOON_US,
        "exemplars": ("t/1", "t2"), "reason": "why", "updated_us": NOON_US,
    }  # fmt: skip
    return AlertStateRow(rule_id=rule_id, **(given | fields))


def alert(number: int, **fields: Any) -> AlertRow:
    event = "alert.resolved" if number % 2 else "alert.firing"
    change = RuleChange(
        metric="avg_latency", group={"model": "m1"}, comparison=">", window_start_us=NOON_US,
        window_end_us=NOON_US, exemplars=("t/1",), annotations={"summary": "slow"}, reason="why",
    )  # fmt: skip
    given: dict[str, Any] = {
        "project_id": PROJECT, "id": f"a{number}", "event": event, "rule_kind": "alert_rule",
        "rule_id": "r1", "name": "slow", "episode": "e1", "value": Decimal("5.5"),
        "state": event.removeprefix("alert."), "limit": Decimal(5), "created_us": NOON_US + number,
        "payload": msgspec.Raw(msgspec.json.encode(change)),
    }  # fmt: skip
    found = Alert(**(given | fields))
    return row_of_alert(found, EVENT_TYPES[found.event])


async def test_the_current_states_are_listed_page_by_page(api: Api) -> None:
    rule = await created(api)
    await api.insert(
        *(state(f"r{n}", since_us=NOON_US + n // 2, group=f'{{"model":"m{n}"}}') for n in range(5)),
        state(rule["id"], since_us=NOON_US + 9),
        state("r8", state="pending"),
        state("r9", state="firing", is_deleted=1),
        state("r1", project_id=OTHER),
    )
    found = await pages(api, "/v1/alerts", state="firing", limit=2)
    assert len(found) == 6
    assert found[0] == {
        "id": "e1", "type": "alert.firing", "unit": "s", "annotations": {}, "delivered": True,
        "not_delivered_reason": None, "test": False, "created_at": "2026-11-21T12:00:00.000009Z",
        "episode_id": "e1", "rule_id": rule["id"], "rule_name": "slow", "rule_version": 0,
        "state": "firing", "severity": "critical", "labels": {"team": "search"},
        "group": {"model": "m1"}, "metric": "avg_latency", "comparison": ">", "value": 5.5,
        "threshold": 5.0, "window_start": "2026-11-21T11:59:00.000Z",
        "window_end": "2026-11-21T12:00:00.000Z", "since": "2026-11-21T12:00:00.000009Z",
        "started_at": "2026-11-21T12:00:00.000Z", "exemplars": ["t/1", "t2"],
        "exemplar_urls": ["/v1/traces/t%2F1/tree", "/v1/traces/t2/tree"], "silenced": False,
        "suppressed_by": None, "acknowledged_by": None, "incomplete": False,
        "complete_since": None, "reason": "why", "updated_at": "2026-11-21T12:00:00.000Z",
    }  # fmt: skip
    assert sorted({each["rule_id"] for each in found[1:]}) == ["r0", "r1", "r2", "r3", "r4"]
    assert len(await pages(api, "/v1/alerts", state="firing, pending")) == 7
    (one,) = await pages(api, "/v1/alerts", state="firing", rule_id="r3")
    assert (one["rule_name"], one["metric"]) == ("", None)


async def test_current_states_have_all_members_of_past_alerts(api: Api) -> None:
    rule = await created(api, annotations={"summary": "{{ value }} {{ unit }}"})
    await api.insert(state(rule["id"]), alert(0, rule_id=rule["id"]))
    (past,) = (await api.client.get("/v1/alerts")).json()["data"]
    (now,) = (await api.client.get("/v1/alerts", params={"state": "firing"})).json()["data"]
    assert past.keys() <= now.keys()
    assert (past["type"], now["type"]) == ("alert.firing", "alert.firing")
    assert now["annotations"] == {"summary": "5.5 s"}


async def test_an_episode_began_no_later_than_its_state(api: Api) -> None:
    end_of_pane_us = NOON_US + 10 * 10**6
    await api.insert(state("r1", started_us=end_of_pane_us))
    (found,) = (await api.client.get("/v1/alerts", params={"state": "firing"})).json()["data"]
    assert found["started_at"] == found["since"] == "2026-11-21T12:00:00.000Z"


async def test_a_firing_silence_has_the_time_until_now(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("query_api.v1.alerts.now_us", lambda: NOON_US + 600 * 10**6)
    rule = await created(api, metric="silence", comparison=">=", threshold=300, group_by=[])
    await api.insert(state(rule["id"], group="{}", value=Decimal(300)))
    (found,) = (await api.client.get("/v1/alerts", params={"state": "firing"})).json()["data"]
    assert (found["value"], found["unit"]) == (660, "s")
    assert found["window_end"] == "2026-11-21T12:10:00.000Z"


async def test_silences_that_match_nothing_known_are_created_with_warnings(api: Api) -> None:
    await created(api, labels={"team": "search"}, group_by=["model"])
    await api.insert(state("gone", labels={"team": "old"}))

    async def warnings(matchers: dict[str, str]) -> list[str]:
        body = {"matchers": matchers, "duration": "1h"}
        answer = await api.client.post("/v1/silences", json=body)
        assert answer.status_code == 201, answer.text
        found: list[str] = answer.json()["warnings"]
        return found

    assert await warnings({"team": "search", "model": "any", "metric": "avg_latency"}) == []
    assert await warnings({"team": "old"}) == [], "of a recent alert"
    (unknown,) = await warnings({"team": "search", "tema": "search"})
    assert unknown.startswith("matchers.1: no alert rule or recent alert has the label 'tema'")
    (value,) = await warnings({"team": "serach"})
    assert "team = serach" in value


async def test_a_rule_that_cannot_be_evaluated_is_listed_with_the_error(api: Api) -> None:
    row = state(
        "r1", state="error", group="", episode_id="", value=None, threshold=None, started_us=0,
        window_start_us=0, window_end_us=0, exemplars=(), reason="KeyError: 'nope'",
    )  # fmt: skip
    await api.insert(row)
    (found,) = (await api.client.get("/v1/alerts", params={"state": "error"})).json()["data"]
    assert (found["group"], found["value"], found["window_start"]) == ({}, None, None)
    assert (found["reason"], found["episode_id"]) == ("KeyError: 'nope'", None)


async def test_groups_whose_alerts_are_withheld_are_listed_as_silenced(api: Api) -> None:
    await api.insert(
        state("r1", silenced=1, suppressed_by="sil_1"),
        state("r2", silenced=1, state="no_data"),
        state("r3", silenced=1, state="resolved"),
        state("r4", state="pending"),
        state("r5"),
    )
    found = await pages(api, "/v1/alerts", state="silenced")
    assert {each["rule_id"] for each in found} == {"r1", "r2"}
    both = await pages(api, "/v1/alerts", state="silenced,pending")
    assert {each["rule_id"] for each in both} == {"r1", "r2", "r4"}


async def test_an_episode_is_also_named_by_one_of_its_alerts(api: Api) -> None:
    await api.insert(state(), alert(0), alert(1))
    episode = (await api.client.get("/v1/alerts/e1")).json()
    for listed in (await api.client.get("/v1/alerts")).json()["data"]:
        assert (await api.client.get(f"/v1/alerts/{listed['id']}")).json() == episode
    path = "/v1/alerts/a0/acknowledge"
    assert (await api.client.post(path)).json()["episode_id"] == "e1"
    assert (await api.client.delete(path)).status_code == 204
    assert (await api.client.delete(path)).status_code == 404
    assert (await api.other.get("/v1/alerts/a0")).status_code == 404


async def test_an_alert_without_a_rule_names_no_episode(api: Api) -> None:
    await api.insert(state(), alert(0), alert(5, rule_id="", episode=""))
    assert (await api.client.get("/v1/alerts/a5")).status_code == 404
    assert (await api.client.post("/v1/alerts/a5/acknowledge")).status_code == 404


@pytest.mark.parametrize("name", ["burning", "", "firing,", "Firing"])
async def test_an_unknown_state_is_refused_with_those_that_exist(api: Api, name: str) -> None:
    refused = await api.client.get("/v1/alerts", params={"state": name})
    assert refused.status_code == 422
    error = refused.json()["error"]
    assert error["field"] == "state"
    assert "firing" in error["allowed"]


async def test_an_episode_has_its_state_its_history_and_links_to_traces(api: Api) -> None:
    await api.insert(
        state(), alert(0), alert(1), alert(2, episode="e2"), alert(3, project_id=OTHER)
    )
    episode = (await api.client.get("/v1/alerts/e1")).json()
    assert [each["id"] for each in episode["history"]] == ["a0", "a1"]
    assert (episode["state"], episode["rule_id"]) == ("firing", "r1")
    assert episode["current"]["group"] == {"model": "m1"}
    assert episode["exemplar_urls"] == ["/v1/traces/t%2F1/tree", "/v1/traces/t2/tree"]
    older = (await api.client.get("/v1/alerts/e2")).json()
    assert (older["state"], older["current"], older["exemplars"]) == ("firing", None, ["t/1"])
    assert older["rule_name"] == "slow"
    assert (await api.client.get("/v1/alerts/e3")).status_code == 404
    assert (await api.other.get("/v1/alerts/e2")).status_code == 404
    listed = await pages(api, "/v1/alerts", episode_id="e1")
    assert [each["id"] for each in listed] == ["a1", "a0"]


async def test_an_episode_is_acknowledged_and_that_is_taken_back(api: Api) -> None:
    await api.insert(state())
    path = "/v1/alerts/e1/acknowledge"
    body = {"author": "ada", "note": "looking"}
    answer = await api.client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    assert {name: answer.json()[name] for name in body} == body
    assert (await api.client.get("/v1/alerts/e1")).json()["acknowledgement"] == answer.json()
    again = await api.client.post(path, json={"author": "bob"})
    assert (again.json()["author"], len(api.control.view[Acknowledgement])) == ("bob", 1)
    assert (await api.other.post(path, json=body)).status_code == 404
    assert (await api.other.delete(path)).status_code == 404
    assert (await api.client.delete(path)).status_code == 204
    assert (await api.client.delete(path)).status_code == 404
    assert (await api.client.post(path)).json()["author"] == ""
    assert (await api.client.delete(path)).status_code == 204
    assert (await api.client.get("/v1/alerts/e1")).json()["acknowledgement"] is None


async def test_the_oldest_acknowledgements_make_way_for_new_ones(api: Api) -> None:
    settings = QuerySettings(acknowledgements_per_project_max=2)
    small, clients = make_api(api.store, settings)
    await api.insert(*(state(f"r{n}", episode_id=f"e{n}") for n in range(4)))
    for n in range(4):
        assert (await small.client.post(f"/v1/alerts/e{n}/acknowledge", json={})).status_code == 200
    kept = small.control.view.in_project(Acknowledgement, PROJECT).values()
    assert sorted(each.episode_id for each in kept) == ["e2", "e3"]
    for client in clients:
        await client.aclose()


SILENCE: dict[str, Any] = {
    "matchers": [{"name": "team", "op": "=", "value": "search"}],
    "author": "ada",
    "reason": "load test",
    "duration": "2h",
}


async def silenced(api: Api, **fields: object) -> dict[str, Any]:
    answer = await api.client.post("/v1/silences", json=SILENCE | fields)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_silence_is_created_changed_expired_and_deleted(api: Api) -> None:
    silence = await silenced(api)
    assert silence.pop("warnings")
    assert (silence["state"], silence["matchers"]) == ("active", SILENCE["matchers"])
    path = f"/v1/silences/{silence['id']}"
    assert (await api.client.get(path)).json() == silence
    changed = await api.client.patch(path, json={"reason": "longer"})
    assert changed.json() == silence | {"reason": "longer"}
    assert (await api.other.post(f"{path}/expire")).status_code == 404
    expired = (await api.client.post(f"{path}/expire")).json()
    assert expired["state"] == "expired"
    assert (await api.client.post(f"{path}/expire")).json() == expired
    assert (await api.client.delete(path)).status_code == 204
    assert not api.control.view[Silence]


async def test_a_mute_window_recurs_and_needs_no_end(api: Api) -> None:
    hours = {"days": ["sun", "sat"], "start": "22:00", "end": "06:00", "time_zone": "Asia/Tokyo"}
    silence = await silenced(api, duration=0, recurring=hours, matchers={"team": "search"})
    assert silence["recurring"] == hours | {"days": ["sat", "sun"]}
    assert (silence["ends_at"], silence["matchers"]) == (None, SILENCE["matchers"])
    later = await silenced(api, starts_at="2200-01-01T00:00:00Z")
    assert (later["state"], later["ends_at"]) == ("pending", "2200-01-01T02:00:00.000Z")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"matchers": []}, "matchers"), ({"matchers": [{"name": "a b", "value": ""}]},
            "matchers.0.name"), ({"matchers": [{"name": "a"}]}, "matchers.0.value"),
        ({"matchers": [{"name": "a", "op": "~", "value": ""}]}, "matchers.0.op"),
        ({"matchers": [{"name": "a", "op": "=~", "value": "("}]}, "matchers.0"),
        ({"matchers": [{"name": "a", "op": "=~", "value": "(?=x)"}]}, "matchers.0"),
        ({"duration": 0}, "ends_at"), ({"ends_at": "2200-01-01T00:00:00Z"}, "duration"),
        ({"duration": "2y"}, "duration"), ({"duration": "366d"}, "duration"),
        ({"duration": 0, "ends_at": "2020-01-01T00:00:00Z"}, "ends_at"),
        ({"duration": 0, "ends_at": "soon"}, "ends_at"),
        ({"starts_at": "2020-01-01T00:00:00Z"}, "duration"),
        ({"recurring": {"days": []}}, "recurring.days"),
        ({"recurring": {"days": ["funday"]}}, "recurring.days.0"),
        ({"recurring": {"start": "25:00"}}, "recurring.start"),
        ({"recurring": {"time_zone": "Mars"}}, "recurring.time_zone"),
    ],
)  # fmt: skip
async def test_the_error_for_an_invalid_silence_names_its_field(
    api: Api, fields: dict[str, object], field: str
) -> None:
    refused = await api.client.post("/v1/silences", json=SILENCE | fields)
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, field), refused.text


async def test_the_versions_of_a_rule_are_listed_newest_first(api: Api) -> None:
    rule = await created(api)
    path = f"/v1/alert-rules/{rule['id']}"
    records = [held(api, rule["id"])]
    await api.client.patch(path, json={"threshold": 6})
    records.append(held(api, rule["id"]))
    await api.insert(
        *(
            ControlLogRow(
                log_offset=n, log_key=f"alert_rule/{rule['id']}/x", kind="alert_rule",
                id=rule["id"], record=value_of(record, None).decode(), appended_us=NOON_US + n,
            )
            for n, record in enumerate(records)
        )
    )  # fmt: skip
    versions = (await api.client.get(f"{path}/versions")).json()["data"]
    assert [(each["version"], each["rule"]["threshold"]) for each in versions] == [(2, 6), (1, 5)]
    assert versions[1] == {"version": 1, "stored_at": "2026-11-21T12:00:00.000Z", "rule": rule}
    await api.client.delete(path)
    assert len((await api.client.get(f"{path}/versions")).json()["data"]) == 2
    assert (await api.other.get(f"{path}/versions")).status_code == 404
