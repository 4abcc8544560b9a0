"""Rows that are chosen in a list are scored together."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import Any

import httpx
import pytest

from producers.errors import UndeliveredError
from query_api.console.annotation import score_id_of
from query_api.console.pages.chosen_scores import CHOSEN_MAX
from tests.query_api.console.browser import HOME, csrf_in, signed_in, signed_in_with, text_of
from tests.query_api.harness import PROJECT, Api, observation, trace
from tracemill.clock import now_us

AUTHOR = f"pk-{PROJECT}"


async def with_rows(api: Api) -> tuple[str, str]:
    """Three traces with an observation each, and two configs."""
    at_us = now_us() - 10**6
    await api.insert(
        *(trace(f"t/{n}", at_us - n, name=f"trace {n}") for n in range(3)),
        *(observation(f"t/{n}", "o", at_us - n, name=f"call {n}") for n in range(3)),
    )
    bodies: tuple[dict[str, Any], ...] = (
        {"name": "correctness", "dataType": "NUMERIC", "minValue": 0, "maxValue": 1},
        {"name": "tone", "dataType": "CATEGORICAL", "categories": [{"label": "kind", "value": 1}]},
    )
    found = [await api.client.post("/api/public/score-configs", json=body) for body in bodies]
    return found[0].json()["id"], found[1].json()["id"]


async def chosen(client: httpx.AsyncClient, path: str, names: list[str]) -> tuple[str, str]:
    """The page of the form for the rows with these names, and where its form is sent."""
    page = (await client.get(f"{HOME}/{path}")).text
    boxes = re.findall(
        r'name="((?:trace|observation)\.\d+)" value="([^"]+)" aria-label="([^"]+)"', page
    )
    fields = {
        field: unescape(value) for field, value, label in boxes if label.split(" ", 1)[1] in names
    }
    assert len(fields) == len(names)
    form = {"csrf": csrf_in(page), "dataset": "", **fields}
    answer = await client.post(f"{HOME}/score-choices", data=form)
    assert answer.status_code == 303, text_of(answer.text)
    shown = (await client.get(answer.headers["location"])).text
    action = re.search(r'answers-form.*?action="([^"]+)"', shown)
    assert action, text_of(shown)
    return shown, unescape(action[1])


async def test_each_chosen_trace_gets_a_score_of_each_config_with_a_value(api: Api) -> None:
    numeric, category = await with_rows(api)
    async with signed_in(api) as client:
        page, action = await chosen(client, "traces", ["trace 0", "trace 2"])
        assert "2 traces" in text_of(page)
        assert "trace 1" not in page
        form = {
            "csrf": csrf_in(page), f"score.{numeric}": "0.5", f"score.{category}": "kind",
            "comment": "of all",
        }  # fmt: skip
        done = await client.post(action, data=form)
        assert done.status_code == 303, text_of(done.text)
        told = text_of((await client.get(done.headers["location"])).text)
    assert "4 scores were sent; 2 rows have them" in told
    sent = [body for _, body in api.sent.bodies]
    assert [(body["traceId"], body["name"], body["value"]) for body in sent] == [
        ("t/0", "correctness", 0.5), ("t/0", "tone", "kind"),
        ("t/2", "correctness", 0.5), ("t/2", "tone", "kind"),
    ]  # fmt: skip
    assert {body["comment"] for body in sent} == {"of all"}
    assert sent[0]["id"] == score_id_of(numeric, "t/0", AUTHOR), "as in the queue of annotations"


async def test_chosen_observations_are_scored_themselves(api: Api) -> None:
    numeric, _ = await with_rows(api)
    async with signed_in(api) as client:
        page, action = await chosen(client, "observations", ["call 1", "call 2"])
        assert "2 observations" in text_of(page)
        await client.post(action, data={"csrf": csrf_in(page), f"score.{numeric}": "1"})
    sent = [body for _, body in api.sent.bodies]
    assert [(body["traceId"], body["observationId"]) for body in sent] == [
        ("t/1", "o"), ("t/2", "o"),
    ]  # fmt: skip
    assert len({body["id"] for body in sent}) == 2


async def test_a_refused_form_keeps_what_was_entered(api: Api) -> None:
    numeric, category = await with_rows(api)
    async with signed_in(api) as client:
        page, action = await chosen(client, "traces", ["trace 0"])
        given = {"csrf": csrf_in(page), f"score.{numeric}": "7", "comment": "kept"}
        refused = await client.post(action, data=given)
        assert refused.status_code == 422
        assert f'id="fault-score.{numeric}">must be 0 to 1' in refused.text
        assert 'value="7"' in refused.text
        assert "kept" in refused.text
        empty = await client.post(action, data={"csrf": csrf_in(page)})
        assert empty.status_code == 422
        assert "enter at least one value" in empty.text
        api.sent.error = UndeliveredError("the broker did not acknowledge in time")
        unsent = {"csrf": csrf_in(page), f"score.{category}": "kind"}
        assert (await client.post(action, data=unsent)).status_code == 503
    assert not api.sent.bodies


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "choose at least one row"),
        ({f"trace.{n}": "t" for n in range(CHOSEN_MAX + 1)}, f"at most {CHOSEN_MAX} rows"),
        ({"observation.0": "o"}, "must be a list"),
        ({"observation.0": json.dumps(["t", "o", "x"])}, "must be a list"),
    ],
)
async def test_what_cannot_be_chosen_is_named(
    api: Api, fields: dict[str, str], message: str
) -> None:
    async with signed_in(api) as client:
        token = csrf_in((await client.get(f"{HOME}/traces")).text)
        answer = await client.post(f"{HOME}/score-choices", data={"csrf": token, **fields})
        assert answer.status_code == 400
        assert message in text_of(answer.text)


async def test_rows_that_are_not_there_are_left_out(api: Api) -> None:
    await with_rows(api)
    await api.insert(trace("theirs", now_us(), project_id="globex", name="secret"))
    async with signed_in(api) as client:
        page = await client.get(f"{HOME}/scores/new?trace=theirs&trace=absent")
        assert "No row is chosen" in page.text
        assert "secret" not in page.text
        many = "&".join(f"trace={n}" for n in range(CHOSEN_MAX + 1))
        assert (await client.get(f"{HOME}/scores/new?{many}")).status_code == 400
        odd = await client.get(f"{HOME}/scores/new?trace=a&trace=b&observation=o")
        assert odd.status_code == 400


async def test_who_may_only_read_cannot_score(api: Api) -> None:
    await with_rows(api)
    async with signed_in_with(api, "read") as client:
        for path in ("traces", "observations"):
            page = (await client.get(f"{HOME}/{path}")).text
            assert "scores/new" not in page
            assert "score-choices" not in page
