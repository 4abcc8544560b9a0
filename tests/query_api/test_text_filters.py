"""Filters find a text in input and output, however the client encoded it."""

from __future__ import annotations

import json

import pytest

from tests.query_api.harness import Api, observation, trace

TEXTS = ("三月", "Grüße", 'the "quoted" word', "a\\b", "tab\there", "😀", "plain", "/path")


def ways(text: str) -> list[str]:
    value = {"messages": [{"content": f"before {text} after"}]}
    return [
        f"before {text} after",
        json.dumps(value),
        json.dumps(value, ensure_ascii=False),
        json.dumps({"inner": json.dumps(value)}),
        json.dumps({"inner": json.dumps(value, ensure_ascii=False)}, ensure_ascii=False),
    ]


def text_filter(column: str, operator: str, text: str) -> dict[str, str]:
    entry = {"type": "string", "column": column, "operator": operator, "value": text}
    return {"filter": json.dumps([entry])}


async def ids(api: Api, path: str, params: dict[str, str]) -> set[str]:
    answer = await api.client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return {each["id"] for each in answer.json()["data"]}


@pytest.mark.parametrize("text", TEXTS)
async def test_a_text_is_found_in_observations_and_in_traces(api: Api, text: str) -> None:
    encoded = ways(text)
    rows = []
    for at, given in enumerate(encoded):
        # A trace has its own input, or that of its root observation.
        own = {"input": given} if at % 2 else {}
        rows += [
            trace(f"t{at}", root_observation_id=f"o{at}", **own),
            observation(f"t{at}", f"o{at}", input=given, output=given),
        ]
    rows += [trace("none", root_observation_id="no"), observation("none", "no", input="else")]
    await api.insert(*rows)
    expected = {str(at) for at in range(len(encoded))}
    for column in ("input", "output"):
        found = await ids(api, "/api/public/traces", text_filter(column, "contains", text))
        assert found == {f"t{at}" for at in expected}, column
        found = await ids(api, "/api/public/observations", text_filter(column, "contains", text))
        assert found == {f"o{at}" for at in expected}, column
        found = await ids(api, "/api/public/traces", text_filter(column, "does not contain", text))
        assert found == {"none"}, column
    found = await ids(api, "/api/public/observations", text_filter("input", "matches", text))
    assert found == {f"o{at}" for at in expected}
