"""Tools of a model's call are extracted from a client's span and returned as lists."""

from __future__ import annotations

import json

from producers.gateway.otlp import ExportLimits, decode_export
from tests.fixtures.exports import map_export
from tests.producers.gateway.mapping.compact import RECEIVED_US, TRACE_ID, protobuf_body, span_id_of
from tests.query_api.harness import PROJECT, Api
from tests.streams.stage1.stage1_folding import Folding, stored

WEATHER = {"type": "function", "name": "weather", "parameters": {"type": "object"}}
CALL = {"type": "tool_call", "id": "c1", "name": "weather", "arguments": {"city": "Köln"}}
SPAN = {
    "name": "chat",
    "attributes": {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.tool.definitions": json.dumps([WEATHER]),
        "gen_ai.input.messages": '[{"role":"user","parts":[{"type":"text","content":"Rain?"}]}]',
        "gen_ai.output.messages": json.dumps([{"role": "assistant", "parts": [CALL]}]),
    },
}


async def test_the_tools_of_a_span_are_read_from_the_api(api: Api) -> None:
    body = protobuf_body({"scope": {"name": "app"}, "spans": [SPAN]})
    export = decode_export(body, "application/x-protobuf", ExportLimits())
    effects = Folding().fold(*map_export(export, PROJECT, RECEIVED_US).observations)
    await api.insert(*stored(effects.observations), *effects.traces)

    first = (await api.client.get(f"/api/public/observations/{span_id_of(0)}")).json()
    assert {name: json.loads(text) for name, text in first["toolDefinitions"].items()} == {
        "weather": WEATHER
    }
    (call,) = map(json.loads, first["toolCalls"])
    assert (call["id"], call["name"]) == ("c1", "weather")
    assert json.loads(call["arguments"]) == {"city": "Köln"}
    assert first["toolCallNames"] == ["weather"]

    tools = ("toolDefinitions", "toolCalls", "toolCallNames")
    for fields, shown in (("io", set(tools)), ("core,metadata", set())):
        parameters = {"traceId": TRACE_ID, "fields": fields}
        answer = await api.client.get("/api/public/v2/observations", params=parameters)
        (second,) = answer.json()["data"]
        assert set(tools) & set(second) == shown
        assert all(second[name] == first[name] for name in shown)
