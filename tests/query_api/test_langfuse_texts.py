"""Input, output, metadata and model parameters have the types that Langfuse's server answers."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.query_api.harness import Api, observation, trace


async def shown(api: Api, **fields: str) -> dict[str, Any]:
    await api.insert(trace("t1"), observation("t1", "o1", **fields))
    found: dict[str, Any] = (await api.client.get("/api/public/observations/o1")).json()
    return found


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("42", "42"),
        ("-1.50", "-1.50"),
        ("2026-11-28", "2026-11-28"),
        ('{"a": 1}', {"a": 1}),
        ("[1, 2]", [1, 2]),
        ("plain", "plain"),
    ],
)
async def test_an_output_of_digits_is_text_and_an_object_is_an_object(
    api: Api, text: str, value: object
) -> None:
    found = await shown(api, input=text, output=text)
    assert (found["input"], found["output"]) == (value, value)


@pytest.mark.parametrize(
    ("stored", "value"),
    [
        ("0", 0),
        ("true", True),
        ("[1]", [1]),
        ('{"a": "1"}', {"a": "1"}),
        ("null", None),
        ("007", "007"),
        ("no", "no"),
        ("", ""),
        ("3 cats", "3 cats"),
        ("{", "{"),
        (True, True),
        (1.5, 1.5),
        (["x"], ["x"]),
    ],
)
async def test_metadata_that_is_the_json_of_a_value_has_its_type(
    api: Api, stored: object, value: object
) -> None:
    metadata = msgspec.json.encode({"key": stored}).decode()
    assert (await shown(api, metadata=metadata))["metadata"] == {"key": value}
    params = {"fields": "core,metadata", "expandMetadata": "key"}
    (second,) = (await api.client.get("/api/public/v2/observations", params=params)).json()["data"]
    assert second["metadata"] == {"key": value}


async def test_metadata_that_is_a_list_is_a_list(api: Api) -> None:
    assert (await shown(api, metadata="[1, 2]"))["metadata"] == {"metadata": [1, 2]}


async def test_attributes_of_an_experiment_are_no_metadata(api: Api) -> None:
    metadata = msgspec.json.encode({"langfuse.experiment.id": "e1", "mine": "x"}).decode()
    assert (await shown(api, metadata=metadata))["metadata"] == {"mine": "x"}


async def test_model_parameters_are_numbers_and_texts(api: Api) -> None:
    sent = {"temperature": 0.2, "stream": True, "stop": ["a", "b"], "seed": 7, "user": "u"}
    found = await shown(api, model_parameters=msgspec.json.encode(sent).decode())
    assert found["modelParameters"] == {
        "temperature": 0.2,
        "stream": "true",
        "stop": '["a","b"]',
        "seed": 7,
        "user": "u",
    }


@pytest.mark.parametrize("scope", ["langfuse-python", "langfuse-js"])
async def test_model_parameters_of_python_2_and_javascript_3_are_as_they_were_sent(
    api: Api, scope: str
) -> None:
    sent = {"temperature": "0.2", "stream": True, "stop": ["a", "b"]}
    text = msgspec.json.encode(sent).decode()
    found = await shown(api, model_parameters=text, scope_name=scope)
    assert found["modelParameters"] == sent
    params = {"fields": "core,model"}
    (second,) = (await api.client.get("/api/public/v2/observations", params=params)).json()["data"]
    assert second["modelParameters"] == sent


async def test_model_parameters_of_vercels_sdk_are_texts(api: Api) -> None:
    sent = {"maxTokens": 512, "temperature": 1.0, "finishReason": ["stop"], "mode": "a"}
    text = msgspec.json.encode(sent).decode()
    found = await shown(api, model_parameters=text, scope_name="ai")
    assert found["modelParameters"] == {
        "maxTokens": "512",
        "temperature": "1",
        "finishReason": "stop",
        "mode": "a",
    }
