"""Tools are found in all common formats of inputs and outputs, within limits."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clickhouse.rows import ObservationRow
from streams.core.observations.tools import (
    CALLS_MAX,
    DEFINITIONS_MAX,
    LIST_CHARS_MAX,
    TEXT_BYTES_MAX,
)
from tests.streams.stage1.stage1_folding import Folding, last_row, observation

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
OPENAI = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}
ANTHROPIC = {"name": "weather", "description": "tells", "input_schema": SCHEMA}
GEMINI = {"name": "weather", "parametersJsonSchema": SCHEMA}
BEDROCK = {"toolSpec": {"name": "weather", "inputSchema": {"json": SCHEMA}}}
RESPONSES = {"type": "function", "name": "weather", "parameters": SCHEMA}
ARGUMENTS = '{"city":"Köln"}'
SAID = json.loads(ARGUMENTS)


def row_of(**said: object) -> ObservationRow:
    texts = {
        field: value if isinstance(value, str) else json.dumps(value)
        for field, value in said.items()
    }
    return last_row(Folding().fold(observation(type="GENERATION", **texts)))


def calls_of(row: ObservationRow) -> list[Any]:
    return [json.loads(call) for call in row.tool_calls]


@pytest.mark.parametrize(
    ("asked", "definition"),
    [
        ({"messages": [], "tools": [OPENAI]}, OPENAI),
        ({"messages": [], "functions": [OPENAI["function"]]}, OPENAI["function"]),
        ({"system": "s", "tools": [ANTHROPIC]}, ANTHROPIC),
        ({"config": {"tools": [{"functionDeclarations": [GEMINI]}]}}, GEMINI),
        ({"tools": [{"function_declarations": [GEMINI]}]}, GEMINI),
        ({"toolConfig": {"tools": [BEDROCK]}}, BEDROCK),
        ({"input": "hi", "tools": [RESPONSES]}, RESPONSES),
        ({"args": [], "kwargs": {"tools": [OPENAI]}}, OPENAI),
    ],
)
def test_definitions_are_found_in_the_input(asked: object, definition: object) -> None:
    row = row_of(input=asked)
    assert {name: json.loads(text) for name, text in row.tool_definitions.items()} == {
        "weather": definition
    }
    assert (row.tool_calls, row.tool_call_names) == ((), ())


@pytest.mark.parametrize(
    "attributes",
    [
        {"gen_ai.tool.definitions": json.dumps([RESPONSES])},
        {"ai.prompt.tools": [json.dumps(RESPONSES)]},
        {"llm.tools.0.tool.json_schema": json.dumps(RESPONSES)},
    ],
)
def test_definitions_are_found_in_attributes(attributes: dict[str, object]) -> None:
    row = row_of(metadata={"attributes": attributes})
    assert json.loads(row.tool_definitions["weather"]) == RESPONSES


@pytest.mark.parametrize(
    ("answer", "call_id"),
    [
        (
            {"role": "assistant", "content": None, "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "weather",
                    "arguments": ARGUMENTS}}]},
            "c1",
        ),
        (
            {"choices": [{"message": {"tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "weather",
                    "arguments": ARGUMENTS}}]}}]},
            "c1",
        ),
        ({"role": "assistant", "function_call": {"name": "weather", "arguments": ARGUMENTS}}, ""),
        ({"content": [{"type": "text", "text": "…"}, {"type": "tool_use", "id": "c1",
            "name": "weather", "input": SAID}]}, "c1"),
        ([{"role": "assistant",
            "parts": [{"type": "tool_call", "id": "c1", "name": "weather", "arguments": SAID}]}],
            "c1"),
        ({"candidates": [{"content": {"role": "model",
            "parts": [{"functionCall": {"name": "weather", "args": SAID}}]}}]}, ""),
        ({"content": {"role": "model",
            "parts": [{"function_call": {"id": "c1", "name": "weather", "args": SAID}}]}}, "c1"),
        ({"output": {"message": {"content": [{"toolUse": {"toolUseId": "c1", "name": "weather",
            "input": SAID}}]}}}, "c1"),
        ([{"toolCallType": "function", "toolCallId": "c1", "toolName": "weather",
            "args": ARGUMENTS}], "c1"),
        ([{"type": "tool-call", "toolCallId": "c1", "toolName": "weather", "input": SAID}], "c1"),
        ({"role": "assistant", "content": "",
            "tool_calls": [{"toolCallId": "c1", "toolName": "weather", "args": SAID}]}, "c1"),
        ({"output": [{"type": "reasoning"}, {"type": "function_call", "id": "fc", "call_id": "c1",
            "name": "weather", "arguments": ARGUMENTS}]}, "c1"),
        ([{"message": {"tool_calls": [{"tool_call": {"id": "c1",
            "function": {"name": "weather", "arguments": ARGUMENTS}}}]}}], "c1"),
        ([{"role": "assistant",
            "tool_calls": [{"id": "c1", "name": "weather", "arguments": ARGUMENTS}]}], "c1"),
        ({"type": "ai",
            "content": [{"type": "tool_use", "id": "c1", "name": "weather", "input": SAID}],
          "tool_calls": [{"id": "c1", "name": "weather", "args": SAID, "type": "tool_call"}]},
          "c1"),
        ({"role": "assistant",
            "tool_calls": json.dumps([{"id": "c1", "name": "weather", "args": SAID}])}, "c1"),
    ],
)  # fmt: skip
def test_calls_are_found_in_the_output(answer: object, call_id: str) -> None:
    row = row_of(output=answer)
    (call,) = calls_of(row)
    assert (call["id"], call["name"], json.loads(call["arguments"])) == (call_id, "weather", SAID)
    assert (row.tool_call_names, row.tool_definitions) == (("weather",), {})


@pytest.mark.parametrize(
    "said",
    [
        {"output": "a tool, a function"},
        {"output": '{"tool_calls": ['},
        {"output": '{"tool_calls": 7, "content": {"tool": null}, "role": ["tool"], "type": {}}'},
        {"output": '{"tool_calls": [7, null, "[", {"name": 1}, {"function": {"name": "f"}}]}'},
        {"output": '{"tool_calls":[{"name":"' + "n" * 257 + '","args":{}}]}'},
        {"output": '[{"role":"tool","content":[{"type":"tool_use","name":"old"}]}]'},
        {"output": '[{"type":"tool-result","toolName":"f","result":1}]'},
        {"output": '{"tool":' + "[" * 5000},
        {"output": '{"tool_calls":' + "[" * 500 + '{"name":"f","args":{}}' + "]" * 500 + "}"},
        {"output": '{"tool_calls":[{"name":"f","args":"' + "x" * TEXT_BYTES_MAX + '"}]}'},
        {"input": '{"tools": 1}'},
        {"input": '{"tools": [1, null, [], "nonsense", {"name": ""}, {"function": 7}]}'},
        {"input": '{"tools":[{"name":"f"}'},
        {"input": [{"role": "assistant", "tool_calls": [{"name": "old", "args": {}}]}]},
        {"metadata": {"attributes": "gen_ai.tool.definitions"}},
        {"metadata": {"gen_ai.tool.definitions": [RESPONSES]}},
    ],
)  # fmt: skip
def test_other_json_yields_no_tools(said: dict[str, object]) -> None:
    row = row_of(**said)
    assert (row.tool_definitions, row.tool_calls, row.tool_call_names) == ({}, (), ())


def test_only_a_models_call_has_tools() -> None:
    said = {"input": json.dumps({"tools": [OPENAI]}), "output": '{"tool_calls":[{"name":"f"}]}'}
    row = last_row(Folding().fold(observation(type="AGENT", **said)))
    assert (row.tool_definitions, row.tool_calls) == ({}, ())


def test_lists_have_limits_that_are_counted() -> None:
    folding = Folding()
    many = json.dumps({"tools": [{"name": f"t{number}"} for number in range(DEFINITIONS_MAX + 1)]})
    calls = json.dumps({"tool_calls": [{"name": "f", "args": {}} for _ in range(CALLS_MAX + 1)]})
    row = last_row(folding.fold(observation(type="GENERATION", input=many, output=calls)))
    assert (len(row.tool_definitions), len(row.tool_calls)) == (DEFINITIONS_MAX, CALLS_MAX)
    assert folding.core.take_reached() == {"observation_tools_max": 1}


def test_an_oversized_payload_is_cut_and_keeps_its_description() -> None:
    long = "x" * LIST_CHARS_MAX
    asked = {"tools": [{"name": "long", "description": long}, {"name": "short", "strict": True}]}
    answer = {"tool_calls": [{"name": "long", "args": long}, {"name": "short", "args": "{}"}]}
    row = row_of(input=asked, output=answer)
    assert row.tool_definitions == {
        "long": '{"name":"long"}',
        "short": '{"name":"short","strict":true}',
    }
    assert [call["arguments"] for call in calls_of(row)] == ["", "{}"]
    assert row.tool_call_names == ("long", "short")


def test_tools_of_a_merged_observation_follow_its_latest_texts() -> None:
    folding = Folding()
    asked, answer = {"tools": [OPENAI]}, {"tool_calls": [{"name": "weather", "args": SAID}]}
    folding.fold(observation(partial=True, type="GENERATION", input=json.dumps(asked)))
    row = last_row(folding.fold(observation(ts=1, partial=True, output=json.dumps(answer))))
    assert (list(row.tool_definitions), row.tool_call_names) == (["weather"], ("weather",))
    row = last_row(folding.fold(observation(ts=2, partial=True, output="It rains.")))
    assert (list(row.tool_definitions), row.tool_calls, row.tool_call_names) == (
        ["weather"],
        (),
        (),
    )


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["weather", "tool", "[{}]",
        ""]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["tools", "functions", "function", "tool_calls", "toolCalls", "content", "parts",
                "role", "type",
             "name", "toolName", "arguments", "args", "id", "functionCall", "functionDeclarations",
             "attributes"]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=20,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(["tools", "config"]), _json), _json)
def test_tool_lists_of_any_input_are_consistent(asked: object, answer: object) -> None:
    row = row_of(input=asked, output={"tool_calls": answer})
    assert [call["name"] for call in calls_of(row)] == list(row.tool_call_names)
    assert all(isinstance(call["arguments"], str) for call in calls_of(row))
    for text in row.tool_definitions.values():
        assert isinstance(msgspec.json.decode(text), dict)
