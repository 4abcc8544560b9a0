"""No text raises, however nested or escaped; at worst it has no tokens, tools or conditions."""

from __future__ import annotations

import pytest

from streams.core.observations.json_texts import DEPTH_MAX, json_of
from streams.core.pricing.models import name_candidates
from streams.core.pricing.request import NO_CONTEXT, context_of
from streams.core.pricing.tokens import installed_tokens
from tests.streams.stage1.stage1_folding import NOW_US, Folding, last_row, last_trace, observation
from tracemill.contract import TraceAttributes, TraceUpdate

NESTED = [
    "[" * 2_000,
    "[" * 2_000 + "]" * 2_000,
    '{"a":' * 2_000 + "1" + "}" * 2_000,
    *("[" * depth + "]" * depth for depth in (60, 64, 65, 300, 900, 970, 980, 990, 1_000)),
    '[{"role":"user","content":"x","tool_calls":' + "[" * 980 + "]" * 980 + "}]",
    '{"messages":[{"role":"user","content":' + "[" * 970 + "]" * 970 + "}]}",
    '{"tools":' + '{"function":' * 500 + "1" + "}" * 501,
    '{"service_tier":' + "[" * 950 + "]" * 950 + "}",
    '{"attributes":{"gen_ai.tool.definitions":' + "[" * 900 + "]" * 900 + "}}",
    '"\\ud800"',
    '{"\\ud800":"\\udfff"}',
    '{"a":1e99999}',
    '{"a":' + "9" * 5_000 + "}",
    "\x00",
    '{"a":"\\u0000"}',
    "null",
    "",
]


@pytest.mark.parametrize("text", NESTED, ids=range(len(NESTED)))
def test_no_text_of_an_event_or_of_a_part_of_one_raises(text: str):
    folding = Folding(tokens=installed_tokens())
    said = {
        "type": "GENERATION",
        "model": "gpt-4o",
        "model_parameters": text,
        "input": text,
        "output": text,
        "metadata": text,
        "trace": TraceAttributes(metadata=text, input=text, output=text),
    }
    whole = last_row(folding.fold(observation("whole", **said)))
    parts = folding.fold(
        observation("part", partial=True, **said),
        observation("part", ts=1, partial=True, metadata='{"k":1}'),
        TraceUpdate(
            project_id="p", trace_id="t", ts_us=NOW_US + 2, trace=TraceAttributes(metadata=text)
        ),
    )
    assert (whole.input, whole.output, whole.model_parameters) == (text, text, text)
    assert (last_row(parts).input, last_trace(parts).input) == (text, text)


def test_a_text_has_a_value_up_to_a_named_depth():
    for depth, has_value in ((DEPTH_MAX, True), (DEPTH_MAX + 1, False)):
        text = "[" * depth + "]" * depth
        assert (json_of(text) is not None) is has_value
        wide = f"[{'[],' * 500}{'[' * (depth - 1)}{']' * (depth - 1)}]"
        assert (json_of(wide) is not None) is has_value
    assert json_of('"' + "[" * 1_000 + '"') == "[" * 1_000


def test_conditions_of_a_price_are_parsed_and_cached_for_short_texts_only():
    assert context_of('{"service_tier":"Flex","speed":"fast"}') == {
        "service_tier": "flex",
        "speed": "fast",
    }
    assert context_of('{"serviceTier":"batch"}') == {"service_tier": "batch", "processing": "batch"}
    assert context_of('{"speed":"%s"}' % ("x" * 10_000)) == NO_CONTEXT


def test_a_model_id_with_very_many_prefixes_has_few_candidates():
    assert len(list(name_candidates("/".join("abc" * 30)))) < 200
    assert "gpt-4o" in {
        reading.name for reading in name_candidates("litellm/openrouter/openai/gpt-4o")
    }
