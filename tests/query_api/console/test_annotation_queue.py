"""The queue of annotations: observations as well as traces, and only those without a score."""

from __future__ import annotations

from html import unescape
from typing import Any

import pytest

from query_api.console import annotation_queue
from query_api.console.annotation import score_id_of
from tests.query_api.console.browser import HOME, signed_in, text_of
from tests.query_api.console.test_score_pages import (
    ANNOTATION,
    AUTHOR,
    SECOND_US,
    config,
    fields_of,
)
from tests.query_api.harness import Api, observation, score, trace
from tracemill.clock import now_us

OWN = {"source": "ANNOTATION", "author_user_id": AUTHOR}
STEPS = f"{ANNOTATION}?of=observations"


async def test_observations_are_scored_one_after_the_other(api: Api) -> None:
    asked = await config(api, name="helpful", dataType="BOOLEAN")
    at_us = now_us() - 60 * SECOND_US
    await api.insert(
        trace("t", at_us, name="whole"),
        observation("t", "first", at_us, name="search", type="TOOL", input="q1"),
        observation("t", "o/2", at_us + 1, name="answer", type="GENERATION", input="q2"),
        score("1", at_us, name="helpful", data_type="BOOLEAN", value=1.0, trace_id="t",
            observation_id="first", config_id=asked, **OWN),
    )  # fmt: skip
    async with signed_in(api) as client:
        page = await client.get(STEPS)
        assert f"{HOME}/traces/t?observation=o%2F2" in page.text
        action, form = await fields_of(client, STEPS)
        assert (form["trace"], form["observation"]) == ("t", "o/2")
        saved = await client.post(action, data={**form, f"score.{asked}": "0"})
        ((_, sent),) = api.sent.bodies
        assert sent["observationId"] == "o/2"
        assert sent["id"] == score_id_of(asked, "t", AUTHOR, "o/2")
        following = saved.headers["location"]
        assert "of=observations" in following
        _, form = await fields_of(client, following)
        assert (form["observation"], form["following"]) == ("first", "")
        assert f'name="score.{asked}" value="1" checked' in (await client.get(following)).text
        searched = await client.get(f"{STEPS}&q=type:generation")
        assert "q2" in text_of(searched.text)
        assert "No observation is left" in (await client.get(f"{STEPS}&q=name:absent")).text
        of_trace = (await client.get(ANNOTATION)).text
        assert f'name="score.{asked}" value="1" checked' not in of_trace, "of an observation"


async def test_only_what_has_no_annotation_is_shown(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = await config(api, name="helpful", dataType="BOOLEAN")
    at_us = now_us() - 60 * SECOND_US
    await api.insert(
        *(trace(f"t{n}", at_us + n, name=f"trace {n}") for n in range(6)),
        *(observation(f"t{n}", "o", at_us + n, name=f"step {n}") for n in range(6)),
        *(score(f"s{n}", at_us, name="helpful", trace_id=f"t{n}", **OWN) for n in (5, 4, 2)),
        score("auto", at_us, name="helpful", trace_id="t3", source="EVAL"),
        score("o", at_us, name="helpful", trace_id="t5", observation_id="o", **OWN),
        score("fix", at_us, name="output", trace_id="t3", data_type="CORRECTION", **OWN),
    )  # fmt: skip
    async with signed_in(api) as client:
        _, form = await fields_of(client, f"{ANNOTATION}?unscored=1&config={asked}")
        assert form["trace"] == "t3"
        assert "unscored=1" in form["following"]
        assert f"config={asked}" in form["following"]
        _, form = await fields_of(client, f"{ANNOTATION}{form['following']}")
        assert form["trace"] == "t1"
        _, form = await fields_of(client, f"{STEPS}&unscored=1")
        assert (form["trace"], form["observation"]) == ("t4", "o")
        page = unescape((await client.get(f"{ANNOTATION}?unscored=1&q=name:trace")).text)
        assert "?q=name%3Atrace" in page, "all of the same search"
        monkeypatch.setattr(annotation_queue, "LOOKED_AT", 1)
        monkeypatch.setattr(annotation_queue, "LOOKS_MAX", 2)
        page = (await client.get(f"{ANNOTATION}?unscored=1")).text
        assert "The newest ones are scored" in page
        (older,) = [
            unescape(each.split('"')[0]) for each in page.split('href="') if "cursor=" in each
        ]
        _, form = await fields_of(client, f"{ANNOTATION}{older}")
        assert form["trace"] == "t3"
        assert "No trace is left" in (await client.get(f"{ANNOTATION}?unscored=1&q=id:t5")).text


async def test_the_queue_goes_on_after_traces_that_are_deleted_meanwhile(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    await config(api, name="helpful", dataType="BOOLEAN")
    at_us = now_us() - 60 * SECOND_US
    await api.insert(*(trace(f"t{n}", at_us + n) for n in range(6)))
    read, deleted = annotation_queue.read_traces, ["t5"]

    async def without_deleted(*arguments: Any) -> Any:
        found = await read(*arguments)
        return {id_: each for id_, each in found.items() if id_ not in deleted}

    monkeypatch.setattr(annotation_queue, "read_traces", without_deleted)
    async with signed_in(api) as client:
        _, form = await fields_of(client, ANNOTATION)
        assert form["trace"] == "t4"
        _, form = await fields_of(client, f"{ANNOTATION}{form['following']}")
        assert form["trace"] == "t3"
