"""Traces of the list become items of a dataset."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from query_api.console.pages.trace_items import TRACES_MAX
from query_api.langfuse.dataset_bodies import NAME_CHARS_MAX
from tests.query_api.console.browser import HOME, csrf_in, signed_in, text_of
from tests.query_api.console.form_fields import faults_of
from tests.query_api.harness import Api, observation, trace
from tracemill.clock import now_us

ITEMS = "/api/public/dataset-items"
TOO_LONG = "x" * (NAME_CHARS_MAX + 1)
CHOSEN = {"dataset": "from/traces", "trace.0": "t/1", "trace.7": "t2"}


async def items_of(api: Api) -> list[Any]:
    answer = await api.client.get(ITEMS, params={"datasetName": "from/traces"})
    return sorted(answer.json()["data"], key=lambda each: each["sourceTraceId"])


async def test_chosen_traces_become_items_once(api: Api) -> None:
    await api.insert(
        trace("t/1", now_us(), input=json.dumps({"question": "Where?"}), output="Here."),
        trace("t2", now_us(), observation_count=1, root_observation_id="o"),
        observation("t2", "o", now_us(), input="of the root", output="12"),
        trace("t3", now_us(), input="not chosen"),
    )
    async with signed_in(api) as client:
        page = await client.get(f"{HOME}/traces")
        form = {"csrf": csrf_in(page.text), "shown": json.dumps(["t/1", "t2", "t3"])}
        for _ in range(2):
            answer = await client.post(f"{HOME}/traces", data={**form, **CHOSEN})
            assert answer.status_code == 303, text_of(answer.text)
            assert answer.headers["location"] == f"{HOME}/datasets/from%2Ftraces"
        first, second = await items_of(api)
        assert (first["input"], first["expectedOutput"]) == ({"question": "Where?"}, "Here.")
        assert (second["input"], second["expectedOutput"]) == ("of the root", "12")
        assert second["sourceTraceId"] == "t2"
        answer = await client.post(f"{HOME}/traces", data={**form, "dataset": "from/traces"})
        assert answer.status_code == 303
    assert [each["input"] for each in await items_of(api)][2:] == ["not chosen"]


@pytest.mark.parametrize(
    ("fields", "status", "message"),
    [
        ({"dataset": "d"}, 400, "choose at least one trace"),
        ({"dataset": "d", "shown": json.dumps(["t"] * (TRACES_MAX + 1))}, 400, "at most 50"),
        ({"dataset": "d", "trace.0": "absent"}, 404, "none of the chosen traces exists"),
    ],
)
async def test_what_cannot_be_added_is_named(
    api: Api, fields: dict[str, str], status: int, message: str
) -> None:
    await api.insert(trace("t", now_us(), input="a"))
    async with signed_in(api) as client:
        token = csrf_in((await client.get(f"{HOME}/traces")).text)
        answer = await client.post(f"{HOME}/traces", data={"csrf": token, **fields})
        assert answer.status_code == status
        assert message in text_of(answer.text)


async def test_a_refused_name_is_shown_with_its_fault_and_the_chosen_rows(api: Api) -> None:
    await api.insert(
        trace("t", now_us(), input="a", name="same"), trace("u", now_us(), name="same"),
        trace("v", now_us(), name="elsewhere"),
    )  # fmt: skip
    async with signed_in(api) as client:
        path = f"{HOME}/traces?q=name%3Asame"
        page = await client.get(path)
        assert f'action="{path}"' in page.text
        form = {"csrf": csrf_in(page.text), "dataset": TOO_LONG, "trace.1": "u"}
        refused = await client.post(path, data=form)
    assert refused.status_code == 422
    ((field, message),) = [each for each in faults_of(refused.text) if each[1]]
    assert field == "dataset"
    assert message
    assert f'value="{TOO_LONG}"' in refused.text
    assert re.findall(r'name="trace.\d" value="(\w)" checked', refused.text) == ["u"]
    assert "elsewhere" not in text_of(refused.text), "the search is kept"
    assert (await api.client.get("/api/public/v2/datasets")).json()["data"] == []
