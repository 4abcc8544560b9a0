"""Read input and output of a span from the first convention that has one of them.

Every source returns both, so that input and output always come from the same convention.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

from producers.gateway.mapping.event_messages import messages_of_events
from producers.gateway.mapping.sources import Computed, Reader, Shape, Source, in_scope
from producers.gateway.mapping.unflatten import Flattened
from producers.gateway.mapping.values import attribute_text, json_of
from producers.gateway.otlp import AttributeValue, ExportedSpan

InputOutput: TypeAlias = tuple[str | None, str | None]
_Keys: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """Read input and output from attributes, whose keys are in order of preference."""

    inputs: _Keys
    outputs: _Keys

    def bind(self, shape: Shape) -> Reader | None:
        inputs = tuple(key for key in self.inputs if key in shape.keys)
        outputs = tuple(key for key in self.outputs if key in shape.keys)
        if not inputs and not outputs:
            return None

        def read(span: ExportedSpan) -> InputOutput | None:
            attributes = span.attributes
            found_input = found_output = None
            for key in inputs:
                if (found_input := attribute_text(attributes[key])) is not None:
                    break
            for key in outputs:
                if (found_output := attribute_text(attributes[key])) is not None:
                    break
            if found_input is None and found_output is None:
                return None
            return found_input, found_output

        return Reader("", read)


@dataclass(frozen=True, slots=True)
class OrFlattened:
    """Read input and output by ``pair``; without an output, rebuild it from flattened attributes.

    OpenInference puts the documents that a retriever found into such attributes.
    """

    pair: Pair
    flattened: Flattened

    def bind(self, shape: Shape) -> Reader | None:
        pair, flattened = self.pair.bind(shape), self.flattened.bind(shape)
        if pair is None or flattened is None:
            return pair or flattened
        read_pair, rebuild = pair.read, flattened.read
        assert read_pair is not None
        assert rebuild is not None

        def read(span: ExportedSpan) -> InputOutput | None:
            found_input, found_output = read_pair(span) or (None, None)
            if found_output is None:
                rebuilt = rebuild(span)
                found_output = rebuilt[1] if rebuilt is not None else None
            return _pair(found_input, found_output)

        return Reader("", read)


@dataclass(frozen=True, slots=True)
class Events:
    """Read messages from the events of a span."""

    def bind(self, shape: Shape) -> Reader | None:
        return Reader("", _read_events) if shape.has_events else None


def _read_events(span: ExportedSpan) -> InputOutput | None:
    return messages_of_events(span.events, conversation)


def _pair(found_input: AttributeValue, found_output: AttributeValue) -> InputOutput | None:
    found = attribute_text(found_input), attribute_text(found_output)
    return found if found != (None, None) else None


def _first(attributes: dict[str, AttributeValue], *keys: str) -> AttributeValue:
    return next((value for key in keys if (value := attributes.get(key)) not in (None, "")), None)


def _genkit(span: ExportedSpan) -> InputOutput | None:
    """Read ``messages`` and ``message`` of model calls, and whole values of other actions."""
    found = []
    for key, inner in (("genkit:input", "messages"), ("genkit:output", "message")):
        value = span.attributes.get(key)
        parsed = json_of(value)
        if isinstance(parsed, dict) and parsed.get(inner) is not None:
            value = parsed[inner]
        found.append(parsed if isinstance(parsed, str) else value)
    return _pair(found[0], found[1])


def _vercel(span: ExportedSpan) -> InputOutput | None:
    attributes = span.attributes
    found_input = _first(attributes, "ai.prompt.messages", "ai.prompt", "ai.toolCall.args")
    text, calls = (attributes.get(f"ai.response.{name}") for name in ("text", "toolCalls"))
    found_output: AttributeValue
    if text is not None and calls is not None:
        found_output = {"role": "assistant", "content": text, "tool_calls": json_of(calls) or calls}
    else:
        found_output = _first(
            attributes,
            "ai.response.text",
            "ai.result.text",
            "ai.toolCall.result",
            "ai.response.object",
            "ai.result.object",
            "ai.response.toolCalls",
            "ai.result.toolCalls",
        )
    otel = conversation(attributes)
    if otel is not None:
        found_input = otel[0] if found_input is None else found_input
        found_output = otel[1] if found_output is None else found_output
    return _pair(found_input, found_output)


def _adk(span: ExportedSpan) -> InputOutput | None:
    """Read request and response of the model, or of the tool if those of the model are ``{}``."""
    found = []
    for model_key, tool_key in (
        ("llm_request", "tool_call_args"),
        ("llm_response", "tool_response"),
    ):
        value = span.attributes.get(f"gcp.vertex.agent.{model_key}")
        if value in (None, "", "{}"):
            value = span.attributes.get(f"gcp.vertex.agent.{tool_key}")
        found.append(value)
    return _pair(found[0], found[1])


def _events_attribute(span: ExportedSpan) -> InputOutput | None:
    """Read Logfire's list of events: the choice is the output, and all others are the input."""
    events = json_of(span.attributes["events"])
    if not isinstance(events, list):
        return None
    events = [event for event in events if isinstance(event, dict)]
    choices = [event for event in events if event.get("event.name") == "gen_ai.choice"]
    inputs = [event for event in events if event.get("event.name") != "gen_ai.choice"]
    return _pair(inputs or None, choices[0] if choices else None)


def _pydantic_ai(span: ExportedSpan) -> InputOutput | None:
    attributes = span.attributes
    messages = with_system_instructions(
        attributes.get("pydantic_ai.all_messages"), attributes.get("gen_ai.system_instructions")
    )
    return _pair(messages, attributes.get("final_result"))


def _conversation(span: ExportedSpan) -> InputOutput | None:
    return conversation(span.attributes)


def conversation(attributes: dict[str, AttributeValue]) -> InputOutput | None:
    """Read messages, or else a tool call, in the format of OpenTelemetry GenAI since 1.37."""
    messages = with_system_instructions(
        attributes.get("gen_ai.input.messages"), attributes.get("gen_ai.system_instructions")
    )
    return _pair(messages, attributes.get("gen_ai.output.messages")) or _pair(
        attributes.get("gen_ai.tool.call.arguments"), attributes.get("gen_ai.tool.call.result")
    )


def with_system_instructions(
    messages: AttributeValue, instructions: AttributeValue
) -> AttributeValue:
    """Prepend the instructions as a system message.

    Messages that are not a list or already contain a system message are returned unchanged.
    """
    parsed = json_of(messages)
    if instructions in (None, "") or not isinstance(parsed, list):
        return messages
    if any(isinstance(message, dict) and message.get("role") == "system" for message in parsed):
        return messages
    return [{"role": "system", "content": _joined(instructions)}, *parsed]


def _joined(instructions: AttributeValue) -> str:
    """Join the parts of the instructions, one per line."""
    parts = json_of(instructions)
    if not isinstance(parts, list | tuple):
        return attribute_text(instructions) or ""
    contents = [part.get("content", part) if isinstance(part, dict) else part for part in parts]
    return "\n".join(attribute_text(content) or "" for content in contents)


_CONVERSATION_KEYS: Final = (
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.tool.call.arguments",
    "gen_ai.tool.call.result",
)
_ADK_KEYS: Final = tuple(
    f"gcp.vertex.agent.{name}"
    for name in ("llm_request", "llm_response", "tool_call_args", "tool_response")
)
_PYDANTIC_AI_KEYS: Final = ("pydantic_ai.all_messages", "final_result")
_VERCEL_KEYS: Final = (
    *("ai.prompt.messages", "ai.prompt", "ai.toolCall.args", "ai.toolCall.result"),
    *(
        f"ai.{side}.{name}"
        for side in ("response", "result")
        for name in ("text", "object", "toolCalls")
    ),
)

INPUT_OUTPUT: Final[tuple[Source, ...]] = (
    Pair(("langfuse.observation.input",), ("langfuse.observation.output",)),
    in_scope("genkit-tracer", Computed(("genkit:input", "genkit:output"), _genkit)),
    in_scope("ai", Computed((*_VERCEL_KEYS, *_CONVERSATION_KEYS), _vercel)),
    in_scope(
        "@flue/opentelemetry",
        Pair(
            (
                "flue.turn.input",
                "flue.tool.arguments",
                "flue.task.prompt",
                "flue.workflow.payload",
            ),
            (
                "flue.turn.output",
                "flue.tool.result",
                "flue.task.result",
                "flue.operation.result",
                "flue.workflow.result",
            ),
        ),
    ),
    Events(),
    Computed(_ADK_KEYS, _adk),
    Pair(("prompt",), ("all_messages_events",)),
    Pair(
        ("lk.input_text", "lk.user_transcript", "lk.chat_ctx"),
        ("lk.function_tool.output", "lk.response.text"),
    ),
    Computed(("events",), _events_attribute),
    Pair(("mlflow.spanInputs",), ("mlflow.spanOutputs",)),
    Pair(("traceloop.entity.input",), ("traceloop.entity.output",)),
    OrFlattened(
        Pair(("input.value",), ("output.value",)),
        Flattened("retrieval.query", "retrieval.documents"),
    ),
    Pair(("input",), ("output",)),
    in_scope("pydantic-ai", Computed(_PYDANTIC_AI_KEYS, _pydantic_ai)),
    Pair(("tool_arguments",), ("tool_response",)),
    Flattened("gen_ai.prompt", "gen_ai.completion"),
    Flattened("llm.input_messages", "llm.output_messages"),
    Computed(("gen_ai.system_instructions",), _conversation),
    Pair(("gen_ai.input.messages",), ("gen_ai.output.messages",)),
    Pair(("gen_ai.tool.call.arguments",), ("gen_ai.tool.call.result",)),
)


def _keys_of(source: Source) -> _Keys:
    source = getattr(source, "source", source)
    source = getattr(source, "pair", source)
    if isinstance(source, Pair):
        return source.inputs + source.outputs
    return source.keys if isinstance(source, Computed) else ()


_FLATTENED: Final = (getattr(source, "flattened", source) for source in INPUT_OUTPUT)
_PREFIXES: Final = tuple(
    prefix
    for source in _FLATTENED
    if isinstance(source, Flattened)
    for prefix in (source.input_prefix, source.output_prefix)
)
_IO_KEYS: Final = frozenset(key for source in INPUT_OUTPUT for key in _keys_of(source)) | {
    "langfuse.trace.input",
    "langfuse.trace.output",
    "lk.user_input",
    "gen_ai.system_instructions",
    *_PREFIXES,
}
_BELOW: Final = tuple(f"{prefix}." for prefix in _PREFIXES)


def is_io_key(key: str) -> bool:
    """Return whether any convention has inputs or outputs in an attribute."""
    return key in _IO_KEYS or key.startswith(_BELOW)
