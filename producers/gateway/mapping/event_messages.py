"""Messages that are told as events of a span, in the three ways of the OpenTelemetry GenAI conventions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from producers.gateway.mapping.values import encode_json, text_of
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
    """Input and output as JSON texts, from the first of these ways that a span uses.

    Since 1.37: one event whose attributes hold both (read by ``conversation``). Before: an event for each message and choice.
    At first: one event for the prompt and one for the completion.
    """
    for event in events:
        if event.name == _DETAILS and (found := conversation(event.attributes)) is not None:
            return found
    inputs = [{"role": _ROLES[e.name], **e.attributes} for e in events if e.name in _ROLES]
    choices = [event.attributes for event in events if event.name == _CHOICE]
    if inputs or choices:
        return _text(inputs or None), _text(choices[0] if len(choices) == 1 else choices or None)
    found = _content(events, _PROMPT), _content(events, _COMPLETION)
    return None if found == (None, None) else found


def _content(events: list[SpanEvent], name: str) -> str | None:
    """The attribute that the event is for, else all it has."""
    attributes = next((event.attributes for event in events if event.name == name), None)
    if attributes is None:
        return None
    return text_of(attributes.get(_CONTENT_KEYS[name])) or _text(attributes)


def _text(value: Any) -> str | None:
    return None if value is None else encode_json(value).decode()
