"""Alert rules, alerts and silences in the console."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import pytest

from clickhouse.alert_rows import row_of_alert
from clickhouse.rows import ControlLogRow, WindowRow
from producers.alerting.registry import METRICS
from producers.control.kinds.acknowledgement import Acknowledgement
from producers.control.kinds.alert_rule import AlertRule
from producers.control.kinds.alert_test import AlertTest
from producers.control.kinds.silence import Silence
from producers.notifications.alert import Alert
from producers.notifications.event_types.budget_threshold_crossed import ThresholdCrossed
from producers.notifications.registry import EVENT_TYPES
from producers.notifications.rule_change import RuleChange
from tests.query_api.console.browser import HOME, csrf_in, text_of
from tests.query_api.console.form_fields import faults_of, fields_of
from tests.query_api.harness import OTHER, PROJECT, Api, Kept, trace
from tests.query_api.test_alert_state_routes import alert, state
from tests.query_api.test_rule_backtests import key_of, state_hex
from tracemill.clock import now_us

NOW_US = now_us()
NOW_S = NOW_US // 10**7 * 10
RULES, ALERTS, SILENCES = f"{HOME}/alert-rules", f"{HOME}/alerts", f"{HOME}/silences"
MARKUP = "<script>alert(1)</script>"
BUDGET_EPISODE = f"bud_1/{NOW_US}"

pytestmark = pytest.mark.asyncio(loop_scope="module")


def window(seconds_ago: int, latency_s: float, **fields: Any) -> WindowRow:
    given: dict[str, Any] = {
        "project_id": PROJECT, "environment": "production", "model": MARKUP, "name": "n",
        "observation_count": 4, "row_version": 1,
        "latency_state_hex": state_hex({key_of(latency_s * 10**6): 4}),
    }  # fmt: skip
    return WindowRow(window_s=NOW_S - seconds_ago, **(given | fields))


def crossed() -> msgspec.Struct:
    payload = ThresholdCrossed(
        scope=msgspec.Raw(b"{}"), period_start_us=NOW_US, threshold="0.8",
        spent_pico=8 * 10**12, limit_pico=10 * 10**12, trace_id="t/9", period="day",
    )  # fmt: skip
    found = Alert(
        project_id=PROJECT, id="crossed", event="budget.threshold_crossed", rule_kind="budget",
        rule_id="bud_1", name="Whole", episode=BUDGET_EPISODE, value=None, state="firing",
        limit=None, created_us=NOW_US, payload=msgspec.Raw(msgspec.json.encode(payload)),
    )  # fmt: skip
    return row_of_alert(found, EVENT_TYPES[found.event])


@pytest.fixture(scope="module")
def database(kept: Kept) -> str:
    """A store with a slow quarter of an hour, a firing alert, and those of the past."""
    return kept(
        [
            *(window(n * 10, 9.0 if 120 <= n < 210 else 1.0) for n in range(1, 360)),
            state(reason=MARKUP, group=f'{{"model":"{MARKUP}"}}', updated_us=NOW_US),
            state("r2", state="resolved", episode_id="e2"),
            state(project_id=OTHER, episode_id="theirs"),
            *(alert(n, created_us=NOW_US - n) for n in range(60)),
            crossed(),
        ]
    )


async def filled(client: httpx.AsyncClient, **fields: str) -> dict[str, str]:
    page = await client.get(f"{RULES}/new")
    given = {"name": "Slow", "threshold": "4", "preview_range": "6h"}
    return fields_of(page.text) | given | fields


async def test_the_preview_shows_when_the_rule_would_have_fired(client: httpx.AsyncClient) -> None:
    async def preview(**fields: str) -> str:
        form = await filled(client, **fields)
        answer = await client.post(f"{RULES}/preview", data=form, headers={"hx-request": "true"})
        assert answer.status_code == 200
        assert MARKUP not in answer.text
        assert "<html" not in answer.text
        return text_of(answer.text)

    assert "fired 1 time" in await preview()
    assert "did not fire" in await preview(threshold="20")
    assert "Enter a threshold" in await preview(threshold="", name="")
    assert "no data" in await preview(**{"filter.model": "another"})
    grouped = await preview(
        **{"group_by.model": "on", "annotations": "summary = {{ group.model }}!"}
    )
    assert MARKUP in grouped, "as text"
    assert "sample!" in grouped
    assert "decimal" in await preview(threshold="0.0000000000001")
    assert "a share from 0 to 1" in await preview(metric="error_rate", threshold="7")
    assert "a multiple" in await preview(compare_with="day", threshold="2")


async def test_a_rule_is_written_seen_switched_tested_and_deleted(
    client: httpx.AsyncClient, filled_api: Api
) -> None:
    without_script = await client.post(f"{RULES}/preview", data=await filled(client))
    assert "fired 1 time" in text_of(without_script.text)
    form = fields_of(without_script.text) | {"name": MARKUP}
    made = await client.post(f"{RULES}/new", data=form)
    assert made.status_code == 303
    path = made.headers["location"]
    page = await client.get(path)
    assert MARKUP not in page.text
    part = await client.get(f"{path}?range=6h", headers={"hx-request": "true"})
    assert "fired 1 time" in text_of(part.text)
    whole = await client.get(f"{path}?range=6h")
    assert "fired 1 time" in text_of(whole.text)
    csrf = {"csrf": csrf_in(page.text)}

    def rule() -> AlertRule:
        return filled_api.control.view.in_project(AlertRule, PROJECT)[path.rpartition("/")[2]]

    assert (rule().metric, rule().threshold, rule().author) == (
        "p95_latency", "4", f"pk-{PROJECT}",
    )  # fmt: skip
    for name in ("disable", "shadow"):
        answer = await client.post(f"{path}/switch", data=csrf | {"switch": name})
        assert answer.headers["location"] == path
    assert (rule().enabled, rule().shadow, rule().version) == (False, True, 3)
    assert (await client.post(f"{path}/switch", data=csrf | {"switch": "x"})).status_code == 400
    sent = await client.post(f"{path}/test", data=csrf)
    assert "test alert" in text_of((await client.get(sent.headers["location"])).text)
    assert len(filled_api.control.view.in_project(AlertTest, PROJECT)) == 1
    listed = text_of((await client.get(RULES)).text)
    assert "Latency (p95) > 4 s" in listed
    assert "Disabled" in listed
    assert (await client.post(f"{path}/delete", data=csrf)).headers["location"] == RULES
    assert (await client.get(path)).status_code == 404


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [("name", "", "at least 1"), ("threshold", "", "required"), ("threshold", "x", "a number"),
     ("window", "5 m", "duration"), ("for", "soon", "duration"), ("metric", "x", "allowed"),
     ("min_count", "-1", "whole number"), ("filter.error_type", "x", "allowed"),
     ("filter.model", '"x', "commas"), ("annotations", "summary", "a line such as"),
     ("annotations", "s = {{ x", "template"), ("labels", "{", "JSON"),
     ("labels", "1 = x", "letters"),
     ("recovery_threshold", "9", "at most"), ("time_zone", "x", "time zone"),
     ("group_by.usage_type", "on", "allowed")],
)  # fmt: skip
async def test_a_mistake_is_shown_next_to_its_field_and_the_form_is_kept(
    client: httpx.AsyncClient, field: str, value: str, message: str
) -> None:
    form = await filled(client, **{field: value})
    answer = await client.post(f"{RULES}/new", data=form)
    assert answer.status_code == 422
    assert fields_of(answer.text).get(field, value) == value
    faults = faults_of(answer.text)
    assert any(message in text for _, text in faults), faults
    top = field.partition(".")[0]
    assert all(name.partition(".")[0] == top for name, _ in faults), faults


async def test_editing_keeps_what_the_form_does_not_change(
    client: httpx.AsyncClient, filled_api: Api
) -> None:
    rules = [
        {
            "name": "all fields", "metric": "avg_latency", "threshold": 2.5, "window": "1h",
            "filter": {"model": ["a, b", 'c"d', "e"], "environment": ["prod"]},
            "group_by": ["model", "name"], "comparison": ">=", "recovery_threshold": 2,
            "for": "2m", "keep_firing_for": "5m", "renotify_interval": "4h", "no_data": "alert",
            "severity": "critical", "labels": {"team": "a = b", "x": ""}, "min_count": 7,
            "annotations": {"summary": "{{ value }} = x", "more": "two\nlines"},
            "inhibited_by": ["team"], "description": "why\nso", "enabled": False, "shadow": True,
            "time_zone": "Europe/Berlin",
        },
        {"name": "day", "metric": "cost", "threshold": "25.5", "window": "1d"},
        {"name": "long", "metric": "cost", "threshold": "25.5", "window": "24h"},
        {"name": "multiple", "metric": "count", "threshold": 2, "compare_with": "week"},
        {"name": "unusual", "metric": "count", "comparison": ">",
         "anomaly": {"weeks": 3, "season": "day", "direction": "both", "samples_min": 5}},
        {"name": "quiet", "metric": "silence", "threshold": 600, "window": "10m"},
    ]  # fmt: skip
    for body in rules:
        created = await filled_api.client.post("/v1/alert-rules", json=body)
        assert created.status_code == 201, created.text
        made = created.json()
        path = f"{RULES}/{made['id']}"
        form = fields_of((await client.get(f"{path}/edit")).text) | {"name": "renamed"}
        answer = await client.post(f"{path}/edit", data=form)
        assert answer.status_code == 303, faults_of(answer.text)
        now = (await filled_api.client.get(f"/v1/alert-rules/{made['id']}")).json()
        assert now == made | {
            "name": "renamed", "version": 2, "updated_at": now["updated_at"],
        }  # fmt: skip
        assert (await client.get(path)).status_code == 200
    assert (await client.get(f"{RULES}?cursor=x")).status_code == 400
    assert (await client.get(f"{RULES}?cursor={'x' * 9_000}")).status_code == 400


async def test_what_fires_and_what_fired_is_listed(client: httpx.AsyncClient) -> None:
    now = await client.get(ALERTS)
    shown = text_of(now.text)
    assert "Firing" in shown
    assert "Resolved" not in shown
    assert MARKUP not in now.text
    assert "theirs" not in now.text
    assert "/traces/t%2F1" in now.text or "/traces/t/1" in now.text
    past = await client.get(f"{ALERTS}?show=history")
    assert "80%" not in past.text
    assert "$8.00" in past.text
    following = past.text[past.text.index('rel="next" href="') + 17 :].partition('"')[0]
    rest = await client.get(f"{ALERTS}{following.replace('&amp;', '&')}")
    assert rest.status_code == 200
    assert "Next page" not in rest.text
    for query in ("show=x", "cursor=x", "show=history&cursor=x"):
        assert (await client.get(f"{ALERTS}?{query}")).status_code == 400


async def test_an_episode_is_acknowledged_and_that_is_withdrawn(
    client: httpx.AsyncClient, filled_api: Api
) -> None:
    path = f"{ALERTS}/e1"
    page = await client.get(path)
    assert MARKUP not in page.text
    assert "Acknowledge" in text_of(page.text)
    form = fields_of(page.text) | {"note": MARKUP, "author": "Ada"}
    answer = await client.post(f"{path}/acknowledge", data=form)
    assert answer.headers["location"] == path

    def kept() -> list[Acknowledgement]:
        found = filled_api.control.view.in_project(Acknowledgement, PROJECT).values()
        return [each for each in found if each.episode_id == "e1"]

    assert [(each.author, each.note) for each in kept()] == [("Ada", MARKUP)]
    page = await client.get(path)
    assert "Ada" in page.text
    assert MARKUP not in page.text
    await client.post(f"{path}/withdraw", data=form)
    assert not kept()
    refused = await client.post(f"{path}/acknowledge", data=form | {"author": "x" * 300})
    assert refused.status_code == 400
    budget = await client.get(f"{ALERTS}/{quote(BUDGET_EPISODE, safe='')}")
    assert budget.status_code == 200
    assert "$8.00" in budget.text
    for missing in ("theirs", "x", "x" * 301):
        assert (await client.get(f"{ALERTS}/{missing}")).status_code in {400, 404}


async def test_a_silence_of_an_alert_is_made_and_ended(
    client: httpx.AsyncClient, filled_api: Api
) -> None:
    episode = (await client.get(f"{ALERTS}/e1")).text
    link = episode[episode.index("/silences/new?") :].partition('"')[0]
    form = fields_of((await client.get(f"{HOME}{link}")).text)
    assert form["matchers"].startswith("rule_id = r1")
    made = await client.post(f"{SILENCES}/new", data=form | {"reason": MARKUP, "author": "Ada"})
    assert made.status_code == 303, faults_of(made.text)
    silences = filled_api.control.view.in_project(Silence, PROJECT).values()
    (silence,) = [each for each in silences if each.reason == MARKUP]
    assert [each.name for each in silence.matchers] == ["rule_id", "model"]
    assert silence.author == "Ada"
    listed = await client.get(SILENCES)
    assert MARKUP not in listed.text
    assert "active" in text_of(listed.text)
    csrf = {"csrf": csrf_in(listed.text)}
    await client.post(f"{SILENCES}/{silence.id}/expire", data=csrf)
    assert "ended" in text_of((await client.get(SILENCES)).text)
    assert (await client.post(f"{SILENCES}/x/expire", data=csrf)).status_code == 404
    nightly = {
        "is_recurring": "on", "duration": "until_expired", "matchers": "team =~ a|b",
        "recurring.start": "22:00", "recurring.end": "06:00",
    }  # fmt: skip
    assert (await client.post(f"{SILENCES}/new", data=form | nightly)).status_code == 303
    for wrong, field in (
        ({"matchers": ""}, "matchers"), ({"matchers": "x"}, "matchers"),
        ({"matchers": "x =~ ("}, "matchers"), ({"duration": "soon"}, "duration"),
        ({"duration": "until_expired"}, "duration"),
        (nightly | {"recurring.start": "25:00"}, "recurring.start"),
    ):  # fmt: skip
        answer = await client.post(f"{SILENCES}/new", data=form | wrong)
        assert answer.status_code == 422
        assert [name for name, _ in faults_of(answer.text)] == [field], wrong


async def test_an_earlier_version_is_restored_with_its_preview(
    client: httpx.AsyncClient, filled_api: Api
) -> None:
    made = await client.post(f"{RULES}/new", data=await filled(client) | {"name": "restored"})
    path = made.headers["location"]
    rule_id = path.rpartition("/")[2]

    def rule() -> AlertRule:
        return filled_api.control.view.in_project(AlertRule, PROJECT)[rule_id]

    first = rule()
    envelope = {"version": 1, "kind": "alert_rule", "record": first.model_dump(mode="json")}
    await filled_api.insert(
        ControlLogRow(
            log_offset=1, log_key=f"alert_rule/{rule_id}/1", kind="alert_rule", id=rule_id,
            record=json.dumps(envelope), appended_us=first.created_us,
        )
    )  # fmt: skip
    loaded = fields_of((await client.get(f"{path}/edit")).text)
    await client.post(f"{path}/edit", data=loaded | {"threshold": "9", "window": "1h"})
    assert (rule().threshold, rule().version) == ("9", 2)
    assert f"{path}/edit?restore=1" in (await client.get(path)).text
    restoring = await client.get(f"{path}/edit?restore=1")
    assert "These are the values of version 1." in text_of(restoring.text)
    form = fields_of(restoring.text)
    assert (form["threshold"], form["window"]) == (first.threshold, "5m")
    await client.post(f"{path}/switch", data=form | {"switch": "shadow"})
    assert (await client.post(f"{path}/edit", data=form)).status_code == 412, "changed meanwhile"
    form = fields_of((await client.get(f"{path}/edit?restore=1")).text)
    assert (await client.post(f"{path}/edit", data=form)).status_code == 303
    assert (rule().threshold, rule().version, rule().shadow) == (first.threshold, 4, False)
    assert (await client.get(f"{path}/edit?restore=7")).status_code == 404
    assert (await client.get(f"{path}/edit?restore=x")).status_code == 404
    await client.post(f"{path}/delete", data=form)


async def test_a_firing_rule_is_named_with_its_value_and_its_traces(
    client: httpx.AsyncClient, filled_api: Api
) -> None:
    form = await filled(client) | {"name": "Watched", "metric": "avg_latency", "threshold": "4"}
    made = await client.post(f"{RULES}/new", data=form)
    rule_id = made.headers["location"].rpartition("/")[2]
    await filled_api.insert(
        state(rule_id, episode_id="e9", exemplars=("t9", "gone"), since_us=NOW_US),
        trace("t9", NOW_US, name="checkout", user_id="ada"),
    )
    overview = text_of((await client.get(HOME)).text)
    assert "Latency (mean): 5.5 s (Threshold > 5 s)" in overview
    path = f"{ALERTS}/e9"
    page = await client.get(path)
    assert "checkout ada" in text_of(page.text)
    assert f'href="{HOME}/traces/gone"' in page.text
    key = fields_of(page.text)["author"]
    await client.post(f"{path}/acknowledge", data=fields_of(page.text))
    assert f"API key {key}" in text_of((await client.get(path)).text)
    silence = fields_of((await client.get(f"{SILENCES}/new?matchers=rule_id+=+{rule_id}")).text)
    answer = await client.post(f"{SILENCES}/new", data=silence)
    assert answer.status_code == 303, faults_of(answer.text)
    assert "Rule = Watched" in text_of((await client.get(SILENCES)).text)


async def test_what_happened_is_told_in_the_language_of_the_viewer(
    client: httpx.AsyncClient, filled_api: Api
) -> None:
    change = RuleChange(
        metric="error_rate", comparison=">", window_start_us=NOW_US - 60 * 10**6,
        window_end_us=NOW_US, reason="Error rate is 12.5 % in 1 min, above 10 %",
    )  # fmt: skip
    payload = msgspec.Raw(msgspec.json.encode(change))
    told = {"episode": "e7", "value": Decimal("0.125"), "limit": Decimal("0.1")}
    await filled_api.insert(alert(70, payload=payload, **told))
    english = text_of((await client.get(f"{ALERTS}/e7")).text)
    chinese = await client.get(f"{ALERTS}/e7", headers={"accept-language": "zh-CN"})
    assert "Error rate is 12.5% in 1 min, above 10%" in english
    assert "1 分内错误率为 12.5%，高于 10%" in text_of(chinese.text)


async def test_the_form_of_a_rule_has_the_names_of_metrics_that_texts_have(
    client: httpx.AsyncClient,
) -> None:
    form = text_of((await client.get(f"{RULES}/new")).text)
    assert [each.label for each in METRICS.values() if each.label not in form] == []
