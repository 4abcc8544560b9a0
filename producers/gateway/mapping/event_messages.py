"""Read messages from span events, in the three layouts of the OpenTelemetry GenAI conventions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from producers.gateway.mapping.values import attribute_text, encode_json
from producers.gateway.otlp import AttributeValue, SpanEvent

_InputOutput: TypeAlias = tuple[str | None, str | None]
_Conversation: TypeAlias = Callable[[dict[str, AttributeValue]], _InputOutput | None]

_DETAILS: Final = "gen_ai.client.inference.operation.details"
_ROLES: Final = {f"gen_ai.{role}.message": role for role in ("system", "user", "assistant", "tool")}
_CHOICE: Final = "gen_ai.choice"
_PROMPT: Final = "gen_ai.content.prompt"
_COMPLETION: Final = "gen_ai.content.completion"
_CONTENT_KEYS: Final = {_PROMPT: "gen_ai.prompt", _COMPLETION: "gen_ai.completion"}


def messages_of_events(events: list[SpanEvent], conversation: _Conversation) -> _InputOutput | None:
    """Return input and output as JSON texts, from the first of three layouts that the span uses.

    Since version 1.37 of the conventions, one event has both in its attributes (``conversation``
    reads them). Before, each message and each choice had an event. Originally, there was one event
    for the prompt and one for the completion.
    """
    for event in events:
        if event.name == _DETAILS and (found := conversation(event.attributes)) is not None:
            return found
    inputs = [{"role": _ROLES[e.name], **e.attributes} for e in events if e.name in _ROLES]
    choices = [event.attributes for event in events if event.name == _CHOICE]
    if inputs or choices:
        output = choices[0] if len(choices) == 1 else choices or None
        return _json_text(inputs or None), _json_text(output)
    found = _content(events, _PROMPT), _content(events, _COMPLETION)
    return None if found == (None, None) else found


def _content(events: list[SpanEvent], name: str) -> str | None:
    """Return the content attribute of the first event with a name, or else all its attributes."""
    attributes = next((event.attributes for event in events if event.name == name), None)
    if attributes is None:
        return None
    return attribute_text(attributes.get(_CONTENT_KEYS[name])) or _json_text(attributes)


def _json_text(value: Any) -> str | None:
    return None if value is None else encode_json(value).decode()
