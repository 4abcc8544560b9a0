"""What holds for every span, whatever its convention."""

from __future__ import annotations

import json
import time
from typing import Any

import msgspec
import pytest
from prometheus_client import REGISTRY

from producers.gateway.mapping import Mapped
from producers.gateway.mapping.values import TAGS_MAX
from producers.gateway.otlp import ExportLimits, decode_export
from producers.langfuse_sdk import Sdk
from tests.fixtures.exports import map_export
from tests.producers.gateway.conftest import times_reached
from tests.producers.gateway.mapping.compact import (
    END_NS,
    PARENT_ID,
    RECEIVED_US,
    START_NS,
    protobuf_body,
)
from tracemill.contract import Observation

DAY_US = 86_400_000_000


def mapped(compact: dict[str, Any], sdk: Sdk | None = None) -> Mapped:
    export = decode_export(protobuf_body(compact), "application/x-protobuf", ExportLimits())
    return map_export(export, "p1", RECEIVED_US, sdk or Sdk())


def one(
    attributes: dict[str, Any],
    *,
    scope: str = "",
    version: str = "",
    resource: dict[str, Any] | None = None,
    sdk: Sdk | None = None,
    **span: Any,
) -> Observation:
    compact = {
        "resource": resource or {},
        "scope": {"name": scope, "version": version},
        "spans": [{"attributes": attributes, **span}],
    }
    return mapped(compact, sdk).observations[0]


def metadata_of(observation: Observation) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(observation.metadata or "{}")
    return found


def test_times_are_microseconds_and_the_event_has_the_time_of_its_end() -> None:
    observation = one({}, start_ns=START_NS + 1_999, end_ns=END_NS + 1_999)
    assert observation.start_us == START_NS // 1000 + 1
    assert observation.end_us == observation.ts_us == END_NS // 1000 + 1


@pytest.mark.parametrize(
    ("start_ns", "end_ns", "start_us", "end_us"),
    [
        (0, END_NS, END_NS // 1000, END_NS // 1000),
        (START_NS, 0, START_NS // 1000, START_NS // 1000),
        (0, 0, RECEIVED_US, RECEIVED_US),
        (END_NS, START_NS, END_NS // 1000, END_NS // 1000),
    ],
)
def test_a_missing_time_is_taken_from_the_other_and_else_from_the_receipt(
    start_ns: int, end_ns: int, start_us: int, end_us: int
) -> None:
    observation = one({}, start_ns=start_ns, end_ns=end_ns)
    assert (observation.start_us, observation.end_us) == (start_us, end_us)
    assert observation.ts_us == end_us


@pytest.mark.parametrize(
    ("start_us", "end_us", "reason"),
    [
        (RECEIVED_US - 3_700 * DAY_US, RECEIVED_US, "start_too_old"),
        (1, 2, "start_too_old"),
        (RECEIVED_US + 2 * DAY_US, RECEIVED_US + 3 * DAY_US, "start_in_future"),
        (RECEIVED_US, RECEIVED_US + 2 * DAY_US, "end_in_future"),
    ],
)
def test_times_that_cannot_be_true_refuse_the_span_alone(
    start_us: int, end_us: int, reason: str
) -> None:
    absurd = {"span_id": "0" * 15 + "a", "start_ns": start_us * 1000, "end_ns": end_us * 1000}
    found = mapped({"spans": [{}, absurd, {"span_id": "0" * 15 + "b"}]})
    assert [observation.id[-1] for observation in found.observations] == ["1", "b"]
    assert [(r.observation.id[-1], r.reason) for r in found.refusals] == [("a", reason)]
    assert found.refusals[0].detail


@pytest.mark.parametrize(
    "attributes",
    [
        {"langfuse.observation.completion_start_time": "0001-01-01T00:00:00Z"},
        {"langfuse.observation.completion_start_time": "9999-12-31T23:59:59Z"},
        {"ai.response.msToFirstChunk": 10**15},
        {"ai.stream.msToFirstChunk": "1e300"},
    ],
)
def test_a_completion_start_that_cannot_be_true_is_left_out_alone(
    attributes: dict[str, Any],
) -> None:
    name, labels = "tracemill_gateway_values_dropped_total", {"field": "completion_start_time"}
    before = REGISTRY.get_sample_value(name, labels) or 0
    found = mapped({"spans": [{"attributes": {**attributes, "gen_ai.usage.cost": 0.5}}]})

    assert found.refusals == []
    (observation,) = found.observations
    assert observation.completion_start_us is None
    assert observation.cost == {"total": 500_000_000_000}
    assert REGISTRY.get_sample_value(name, labels) == before + 1


def test_old_and_slightly_early_spans_are_taken() -> None:
    old = {"start_ns": (RECEIVED_US - 3_000 * DAY_US) * 1000}
    early = {"end_ns": (RECEIVED_US + DAY_US // 2) * 1000}
    assert mapped({"spans": [old, early]}).refusals == []


def test_values_that_are_equal_but_of_other_types_are_not_taken_for_each_other() -> None:
    spans = [
        {"attributes": {"model": value, "langfuse.version": "7"}} for value in (1, True, 1.0, "1")
    ]
    models = [observation.model for observation in mapped({"spans": spans}).observations]
    assert models == ["1", "true", "1.0", "1"]


def test_spans_described_alike_share_nothing_that_is_their_own() -> None:
    attributes = {"gen_ai.request.model": "m", "langfuse.environment": "e"}
    spans = [
        {"attributes": {**attributes, "input": f"i{n}", "gen_ai.usage.input_tokens": n}}
        for n in range(5)
    ]
    spans.append({"attributes": {**attributes, "gen_ai.usage.input_tokens": 9}})
    found = mapped({"spans": spans}).observations
    assert [o.input for o in found] == ["i0", "i1", "i2", "i3", "i4", None]
    assert [o.usage for o in found] == [{"input": n} for n in (0, 1, 2, 3, 4, 9)]
    assert len({o.id for o in found}) == 6


def test_the_environment_follows_the_rank_of_its_key_before_its_place() -> None:
    resource = {"deployment.environment.name": "of-resource"}
    assert one({"langfuse.environment": "of-span"}, resource=resource).environment == "of-span"
    low = {"deployment.environment": "of-span"}
    assert one(low, resource=resource).environment == "of-resource"
    assert one({}, resource=resource).environment == "of-resource"
    assert one({}).environment == "default"


@pytest.mark.parametrize(
    ("sent", "environment"),
    [
        ("Production", "production"),
        ("langfuse-langfuse_x", "x"),
        ("langfuse", "default"),
        ("a b", "default"),
        ("x" * 50, "x" * 40),
        ("sdk-experiment", "sdk-experiment"),
    ],
)
def test_environments_are_normalised(sent: str, environment: str) -> None:
    assert one({"langfuse.environment": sent}).environment == environment


def test_the_users_own_metadata_wins_over_what_is_added() -> None:
    attributes = {
        "langfuse.observation.metadata": '{"a": 1, "b": 1}',
        "langfuse.observation.metadata.b": "2",
        "langfuse.observation.metadata.scope": "mine",
        "langfuse.metadata.c": "3",
        "other": 4,
    }
    metadata = metadata_of(one(attributes, scope="my.app", resource={"service.name": "s"}))
    assert metadata == {
        "a": 1,
        "b": "2",
        "c": "3",
        "scope": "mine",
        "attributes": {"other": 4},
        "resourceAttributes": {"service.name": "s"},
    }


@pytest.mark.parametrize(
    ("version", "sent", "value"),
    [
        ("3.15.0", "[1, 2]", [1, 2]),
        ("3.15.0", "hello", "hello"),
        ("3.15.0", "true", True),
        ("3.15.0", ["a", "b"], ["a", "b"]),
        ("5.0.4", '"hello"', "hello"),
    ],
)
def test_metadata_that_are_no_object_are_the_member_metadata(
    version: str, sent: Any, value: object
) -> None:
    attributes = {"langfuse.observation.metadata": sent, "langfuse.trace.metadata": sent}
    found = one(
        attributes,
        scope="langfuse-sdk",
        version=version,
        resource={"telemetry.sdk.language": "python"},
    )
    assert metadata_of(found)["metadata"] == value
    assert found.trace is not None
    assert found.trace.metadata is not None
    assert json.loads(found.trace.metadata) == {"metadata": value}


@pytest.mark.parametrize(
    ("language", "version", "value"),
    [
        ("python", "4.18.0", '"x"'),
        ("python", "5.0.4", "x"),
        ("python", "10.1.0", "x"),
        ("nodejs", "5.11.1", '"x"'),
        ("nodejs", "6.0.0", "x"),
        ("", "9.0.0", '"x"'),
    ],
)
def test_metadata_is_json_since_the_versions_that_send_it_so(
    language: str, version: str, value: str
) -> None:
    observation = one(
        {"langfuse.observation.metadata.k": '"x"'},
        scope="langfuse-sdk",
        version=version,
        resource={"telemetry.sdk.language": language},
    )
    assert metadata_of(observation)["k"] == value


def test_headers_decide_how_metadata_of_other_scopes_is_decoded() -> None:
    attributes = {"langfuse.trace.metadata.k": '"x"', "langfuse.trace.metadata.broken": "{"}
    trace = one(attributes, scope="openai", sdk=Sdk("python", "5.0.4")).trace
    assert trace is not None
    assert json.loads(trace.metadata or "") == {"k": "x", "broken": "{"}
    trace = one(attributes, scope="openai", sdk=Sdk("python", "4.18.0")).trace
    assert trace is not None
    assert json.loads(trace.metadata or "") == {"k": '"x"', "broken": "{"}


@pytest.mark.parametrize(
    ("sent", "tags"),
    [
        (["a", 1, "", "a", None], ("a", "1")),
        ('["a", "b"]', ("a", "b")),
        ("a, b ,", ("a", "b")),
        ("one", ("one",)),
        ("[broken", ("[broken",)),
        ([], None),
        (5, None),
    ],
)
def test_tags_come_as_arrays_json_lists_or_a_single_text(sent: Any, tags: Any) -> None:
    trace = one({"langfuse.trace.tags": sent, "user.id": "u"}).trace
    assert trace is not None
    assert trace.tags == tags


def test_flattened_messages_cannot_ask_for_more_than_their_share_of_slots() -> None:
    attributes = {
        "gen_ai.prompt.0.role": "user",
        "gen_ai.prompt.9999.role": "at the edge",
        "gen_ai.prompt.999999.role": "beyond",
        "gen_ai.prompt.1.parts.5000.text": "too many together",
    }
    before = times_reached("array_slots_max")
    messages = json.loads(one(attributes).input or "")
    assert times_reached("array_slots_max") == before + 2
    assert len(messages) == 10_000
    assert messages[0] == {"role": "user"}
    assert messages[9999] == {"role": "at the edge"}
    assert "too many" not in json.dumps(messages)


def test_contradicting_paths_of_flattened_messages_do_no_harm() -> None:
    attributes = {"llm.input_messages.0": "text", "llm.input_messages.0.message.role": "user"}
    assert json.loads(one(attributes).input or "") == ["text"]
    turned = dict(reversed(attributes.items()))
    assert json.loads(one(turned).input or "") == [{"message": {"role": "user"}}]


def test_metadata_nested_to_the_limit_of_the_decoder_is_cut_not_refused() -> None:
    for depth in range(400, 1_000, 10):
        nested = '{"a":' * depth + "1" + "}" * depth
        attributes = {
            "langfuse.observation.metadata.k": nested,
            "langfuse.trace.metadata": nested,
            "pydantic_ai.all_messages": f"[{nested}]",
            "gen_ai.system_instructions": "x",
        }
        assert metadata_of(one(attributes, scope="pydantic-ai"))["k"]


def test_the_metadata_of_a_root_is_that_of_its_trace_unless_the_trace_has_its_own() -> None:
    attributes = {
        "langfuse.observation.metadata.a": "of the root",
        "langfuse.observation.metadata.b": "of the root",
        "langfuse.trace.metadata.b": "of the trace",
        "gen_ai.usage.k": 1,
    }
    of_root = {"a": "of the root", "b": "of the trace"}
    of_child = {"b": "of the trace"}
    for more, said in (
        ({}, of_root),
        ({"parent_id": PARENT_ID}, of_child),
        ({}, of_root),
    ):
        trace = one(attributes, **more).trace
        assert trace is not None
        assert json.loads(trace.metadata or "") == said
    as_root = {**attributes, "langfuse.internal.as_root": "true"}
    trace = one(as_root, parent_id=PARENT_ID).trace
    assert trace is not None
    assert json.loads(trace.metadata or "") == of_root
    entry = {**attributes, "langfuse.internal.is_app_root": "true"}
    trace = one(entry, parent_id=PARENT_ID).trace
    assert trace is not None
    assert json.loads(trace.metadata or "") == of_child


def test_no_more_tags_than_there_may_be_are_kept() -> None:
    before = times_reached("tags_max")
    trace = one({"langfuse.trace.tags": [f"t{n}" for n in range(TAGS_MAX + 1)]}).trace
    assert trace is not None
    assert trace.tags == tuple(f"t{n}" for n in range(TAGS_MAX))
    assert times_reached("tags_max") == before + 1


def test_a_user_id_may_be_a_number() -> None:
    trace = one({"user.id": 42, "session.id": "", "gen_ai.conversation.id": "c"}).trace
    assert trace is not None
    assert (trace.user_id, trace.session_id) == ("42", "c")


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ("invoke_agent", "AGENT"),
        ("agent_step", "AGENT"),
        ("invoke_workflow", "CHAIN"),
        ("chat", "GENERATION"),
    ],
)
def test_spans_around_calls_keep_the_usage_that_they_report(operation: str, kind: str) -> None:
    attributes = {
        "gen_ai.operation.name": operation,
        "gen_ai.request.model": "m",
        "gen_ai.usage.input_tokens": 5,
        "gen_ai.usage.cost": 1,
    }
    observation = one(attributes)
    assert (observation.type, observation.model, observation.usage) == (kind, "m", {"input": 5})
    assert observation.cost == {"total": 10**12}


def test_exports_are_mapped_on_the_clock_of_their_receipt() -> None:
    received_us = time.time_ns() // 1000
    export = decode_export(
        protobuf_body({"spans": [{"start_ns": 0, "end_ns": 0}]}),
        "application/x-protobuf",
        ExportLimits(),
    )
    assert map_export(export, "p1", received_us).observations[0].start_us == received_us


def test_observations_know_only_the_project_they_were_sent_to() -> None:
    export = decode_export(
        protobuf_body({"spans": [{"attributes": {"project_id": "p2", "model": "m"}}]}),
        "application/x-protobuf",
        ExportLimits(),
    )
    for project_id in ("p1", "p2", "p1"):
        (observation,) = map_export(export, project_id, RECEIVED_US).observations
        assert msgspec.to_builtins(observation)["project_id"] == project_id


@pytest.mark.parametrize("control", ["\n", "\r", "\x00", "\x7f", "\t"])
def test_a_session_id_that_cannot_stand_in_an_address_is_left_out(control: str) -> None:
    trace = one({"session.id": f"a{control}b", "gen_ai.conversation.id": "c\u2028 é"}).trace
    assert trace is not None
    assert trace.session_id == "c\u2028 é"
