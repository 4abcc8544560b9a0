"""Scores with their distributions, score configs, and the queue of annotations."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import httpx

from producers.errors import BodyError, UndeliveredError
from query_api.console.annotation import score_id_of
from tests.query_api.console.browser import (
    HOME,
    csrf_in,
    signed_in,
    signed_in_with,
    text_of,
)
from tests.query_api.harness import NOON_US, PROJECT, Api, score, trace
from tracemill.clock import now_us

MARKUP = "<script>alert(1)</script>"
SECOND_US = 1_000_000
ANNOTATION = f"{HOME}/annotation"
AUTHOR = f"pk-{PROJECT}"


async def config(api: Api, **fields: Any) -> str:
    answer = await api.client.post("/api/public/score-configs", json=fields)
    assert answer.status_code == 200, answer.text
    found: str = answer.json()["id"]
    return found


async def with_queue(api: Api) -> tuple[str, str, str]:
    """Three traces, and a config of each type that has choices or bounds."""
    at_us = now_us() - 60 * SECOND_US
    await api.insert(
        *(
            trace(
                f"t{n}", at_us + n * SECOND_US, name=f"trace {n}", input=f"question {n}",
                user_id="ada" if n else "bob",
            )
            for n in range(3)
        )
    )  # fmt: skip
    return (
        await config(api, name="correctness", dataType="NUMERIC", minValue=0, maxValue=1),
        await config(api, name="helpful", dataType="BOOLEAN"),
        await config(
            api, name="tone", dataType="CATEGORICAL",
            categories=[{"label": "kind", "value": 1}, {"label": "rude", "value": 0}],
        ),
    )  # fmt: skip


async def fields_of(client: httpx.AsyncClient, address: str) -> tuple[str, dict[str, str]]:
    """Where the form of the queue is sent, and its hidden fields."""
    page = (await client.get(address)).text
    form = re.search(r'<form class="answers-form.*?</form>', page, re.DOTALL)
    assert form, text_of(page)
    action = re.search(r'action="([^"]+)"', form[0])
    assert action
    hidden = re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', form[0])
    return unescape(action[1]), {name: unescape(value) for name, value in hidden}


async def test_scores_are_listed_with_the_distribution_of_their_values(api: Api) -> None:
    at_us = now_us() - 600 * SECOND_US
    await api.insert(
        *(
            score(f"n{n:02}", at_us + n, name="correctness", value=n / 60, trace_id=f"t{n}")
            for n in range(60)
        ),
        score("b", at_us, name="helpful", data_type="BOOLEAN", value=1.0, session_id="s/1"),
        score(
            "c", at_us, name="tone", data_type="CATEGORICAL", value=1.0, string_value="kind",
            trace_id="t", observation_id="o", source="ANNOTATION", comment="well said",
        ),
        score("r", at_us, name="run", value=1.0, dataset_run_id="run-1"),
        score("theirs", at_us, project_id="globex", name="secret", value=1.0, trace_id="t"),
    )  # fmt: skip
    async with signed_in(api) as client:
        page = (await client.get(f"{HOME}/scores")).text
        shown = text_of(page)
        assert "correctness 60 0.492 mean" in shown
        assert "tone 1 kind 100%" in shown
        assert "helpful 1 100% true" in shown
        assert "secret" not in page
        assert page.count('class="column"') > 5
        assert len(re.findall('class="open"', page)) == 50
        following = re.search(r'rel="next" href="([^"]+)"', page)
        assert following
        rest = (await client.get(f"{HOME}/scores{unescape(following[1])}")).text
        assert len(re.findall('class="open"', rest)) == 13
        assert f"{HOME}/sessions/s%2F1" in rest
        assert f"{HOME}/traces/t?observation=o" in rest
        for query, count in (("name:tone", 1), ("value>0.9 name:correctness", 5), ("said", 1)):
            found = await client.get(f"{HOME}/scores", params={"q": query})
            assert len(re.findall('class="open"', found.text)) == count
        assert (await client.get(f"{HOME}/scores?q=x:y")).status_code == 422
        assert "No score matches" in (await client.get(f"{HOME}/scores?q=absent")).text


async def test_traces_are_scored_one_after_the_other(api: Api) -> None:
    numeric, boolean, category = await with_queue(api)
    async with signed_in(api) as client:
        address = f"{ANNOTATION}?q=user:ada"
        action, form = await fields_of(client, address)
        assert form["trace"] == "t2"
        given = {
            f"score.{numeric}": "0.75", f"score.{boolean}": "0", f"score.{category}": "kind",
            "comment": "almost",
        }  # fmt: skip
        answer = await client.post(action, data={**form, **given})
        assert answer.status_code == 303, answer.text
        sent = {body["name"]: body for _, body in api.sent.bodies}
        assert {name: body["value"] for name, body in sent.items()} == {
            "correctness": 0.75, "helpful": 0.0, "tone": "kind",
        }  # fmt: skip
        assert sent["tone"] == {
            "id": score_id_of(category, "t2", AUTHOR), "traceId": "t2", "name": "tone",
            "configId": category, "dataType": "CATEGORICAL", "value": "kind",
            "source": "ANNOTATION", "authorUserId": AUTHOR, "comment": "almost",
        }  # fmt: skip
        action, form = await fields_of(client, answer.headers["location"])
        assert form["trace"] == "t1", "bob's trace is not in the queue"
        assert form["following"] == ""
        done = await client.post(action, data=form)
        assert done.headers["location"] == ANNOTATION
        assert len(api.sent.bodies) == 3, "empty fields give no score"


async def test_what_does_not_fit_is_shown_beside_its_question(api: Api) -> None:
    numeric, boolean, category = await with_queue(api)
    async with signed_in(api) as client:
        action, form = await fields_of(client, f"{ANNOTATION}?q=user:bob")
        for field, value in (
            (numeric, "2"), (numeric, "x"), (numeric, "nan"), (boolean, "2"), (category, "zz")
        ):  # fmt: skip
            refused = await client.post(
                action, data={**form, f"score.{field}": value, "comment": "kept"}
            )
            assert refused.status_code == 422
            assert f'id="fault-score.{field}">' in refused.text
            assert "kept" in refused.text
            assert "question 0" in refused.text, "the same trace is shown"
        assert not api.sent.bodies
        given = {**form, f"score.{boolean}": "1"}
        api.sent.error = UndeliveredError("the broker did not acknowledge in time")
        assert (await client.post(action, data=given)).status_code == 503
        api.sent.error = BodyError("value: refused")
        assert (await client.post(action, data=given)).status_code == 400
        away = {**form, "following": "https://elsewhere.example"}
        api.sent.error = None
        answer = await client.post(action, data=away)
        assert answer.headers["location"] == ANNOTATION


async def test_the_viewers_own_scores_are_there_again_and_other_scores_are_shown(api: Api) -> None:
    numeric, boolean, category = await with_queue(api)
    own = {"trace_id": "t2", "source": "ANNOTATION", "author_user_id": AUTHOR}
    await api.insert(
        score("1", NOON_US, name="correctness", value=0.25, config_id=numeric, **own),
        score(
            "2", NOON_US, name="helpful", data_type="BOOLEAN", value=1.0, config_id=boolean, **own
        ),
        score(
            "3", NOON_US, name="tone", data_type="CATEGORICAL", value=0.0, string_value="rude",
            config_id=category, comment="mine", **own,
        ),
        score("4", NOON_US, name="speed", value=3.0, trace_id="t2", source="EVAL"),
    )  # fmt: skip
    async with signed_in(api) as client:
        page = (await client.get(ANNOTATION)).text
        assert f'name="score.{numeric}" value="0.25"' in page
        assert re.search(rf'name="score.{boolean}" value="1" checked', page)
        assert re.search(rf'name="score.{category}" value="rude" checked', page)
        assert "mine" in page
        assert "speed" in page
        chosen = (await client.get(f"{ANNOTATION}?config={boolean}")).text
        assert f"score.{boolean}" in chosen
        assert f"score.{numeric}" not in chosen
        following = re.search(r'href="([^"]+)" data-skip', chosen)
        assert following
        assert f"config={boolean}" in unescape(following[1])


async def test_the_queue_says_what_is_missing(api: Api) -> None:
    async with signed_in(api) as client:
        assert "No score configs yet" in (await client.get(ANNOTATION)).text
        await with_queue(api)
        assert "No trace is left" in (await client.get(f"{ANNOTATION}?q=user:nobody")).text
        assert (await client.get(f"{ANNOTATION}?q=x:y")).status_code == 422
    async with signed_in_with(api, "read") as client:
        page = (await client.get(ANNOTATION)).text
        assert "lacks the scope scores" in page
        assert "Save and next" not in page
        form = {"csrf": csrf_in(page), "trace": "t2"}
        assert (await client.post(f"{HOME}/annotation-scores", data=form)).status_code == 403


async def test_score_configs_are_created_archived_and_restored(api: Api) -> None:
    path = f"{HOME}/score-configs"
    async with signed_in(api) as client:
        csrf = {"csrf": csrf_in((await client.get(path)).text)}
        for fields, fault in (
            ({"name": "a?", "data_type": "NUMERIC"}, "name"),
            ({"name": "a", "data_type": "NUMERIC", "min_value": "x"}, "min_value"),
            ({"name": "a", "data_type": "NUMERIC", "min_value": "nan"}, "min_value"),
            ({"name": "a", "data_type": "CATEGORICAL", "categories": "a = x"}, "categories"),
            ({"name": "a", "data_type": "zz"}, "data_type"),
        ):
            form = {**csrf, **fields, "description": "kept"}
            refused = await client.post(f"{HOME}/score-config-creations", data=form)
            assert refused.status_code == 422, fields
            assert f'id="fault-{fault}">' in refused.text
            assert "kept" in refused.text
        for fields in (
            {"name": "tone", "data_type": "CATEGORICAL", "categories": "kind\r\nrude\r\n"},
            {"name": "stars", "data_type": "NUMERIC", "min_value": "1", "max_value": "5"},
        ):
            created = await client.post(f"{HOME}/score-config-creations", data={**csrf, **fields})
            assert created.status_code == 303, created.text
        shown = text_of((await client.get(path)).text)
        assert "stars numeric 1 – 5" in shown
        assert "tone categorical kind, rude" in shown
        configs = (await api.client.get("/api/public/score-configs")).json()["data"]
        (tone,) = [each for each in configs if each["name"] == "tone"]
        assert [each["value"] for each in tone["categories"]] == [0, 1]
        for archived in ("1", ""):
            form = {**csrf, "config": tone["id"], "archived": archived}
            answer = await client.post(f"{HOME}/score-config-states", data=form)
            assert answer.status_code == 303
            held = (await api.client.get(f"/api/public/score-configs/{tone['id']}")).json()
            assert held["isArchived"] == bool(archived)
        missing = {**csrf, "config": "zz"}
        answer = await client.post(f"{HOME}/score-config-states", data=missing)
        assert answer.status_code == 404


async def test_what_scores_contain_is_shown_as_text(api: Api) -> None:
    at_us = now_us() - SECOND_US
    tone = await config(
        api, name="tone", dataType="CATEGORICAL", description=MARKUP,
        categories=[{"label": MARKUP, "value": 1}],
    )  # fmt: skip
    await api.insert(
        trace("t", at_us, name=MARKUP, input=MARKUP, output=MARKUP, user_id=MARKUP),
        score(
            MARKUP, at_us, name=MARKUP, data_type="CATEGORICAL", string_value=MARKUP,
            trace_id="t", comment=MARKUP, author_user_id=MARKUP, source="ANNOTATION",
        ),
        score("n", at_us, name=MARKUP, value=1.0, trace_id="t"),
    )  # fmt: skip
    async with signed_in(api) as client:
        for path in ("scores", "score-configs", "annotation"):
            page = await client.get(f"{HOME}/{path}")
            assert page.status_code == 200
            assert "alert(1)" in page.text
            assert "<script>alert" not in page.text
        action, form = await fields_of(client, ANNOTATION)
        answer = await client.post(action, data={**form, f"score.{tone}": MARKUP})
        assert answer.status_code == 303
        assert api.sent.bodies[0][1]["value"] == MARKUP
