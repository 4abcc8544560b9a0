"""Decide how to show an input, output or metadata: as messages, a tree of JSON, or (rich) text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import msgspec
from markupsafe import Markup

from query_api.console.markdown import Formatting

PARSED_CHARS_MAX: Final = 2_000_000
"""Texts that are longer are shown as text."""
DEPTH_MAX: Final = 24
"""Levels of a tree of JSON; deeper texts are shown as text."""
NOT_FORMATTED: Final = Markup()
_JSON_START: Final = frozenset('{["')
_decode: Final = msgspec.json.Decoder(strict=False).decode
_indented: Final = json.JSONEncoder(ensure_ascii=False, indent=2).iterencode


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a message: a text, or a call of a tool and other values as JSON."""

    kind: Literal["text", "tool_call", "tool_result", "json"]
    text: str
    name: str = ""
    formatted: Markup = NOT_FORMATTED
    """The text as HTML; empty if it has no formatting."""


@dataclass(frozen=True, slots=True)
class Message:
    role: str
    parts: Sequence[Part]


@dataclass(frozen=True, slots=True)
class ShownValue:
    """A value as a page shows it."""

    kind: Literal["empty", "text", "messages", "json"]
    text: str = ""
    messages: Sequence[Message] = ()
    value: Any = None
    chars: int = 0
    """Length of the whole text."""
    is_cut: bool = False
    formatted: Markup = NOT_FORMATTED
    """The text as HTML; empty if it has no formatting."""


def shown_value(
    text: str, *, chars_max: int, nodes_max: int, formatting: Formatting | None = None
) -> ShownValue:
    """Return how to show a stored text, with at most about ``chars_max`` characters of it.

    With ``formatting``, Markdown of texts and messages is formatted.
    """
    if not text:
        return ShownValue("empty")
    value = _parsed(text)
    if isinstance(value, str):
        return _as_text(value, chars_max, formatting)
    if value is None:
        return _as_text(text, chars_max, formatting)
    messages = _messages(value, chars_max)
    if messages is not None:
        shown, is_cut = _limited(messages, chars_max)
        if formatting:
            shown = [_formatted(each, formatting) for each in shown]
        return ShownValue("messages", messages=shown, chars=len(text), is_cut=is_cut)
    if len(text) > chars_max or not _fits(value, nodes_max):
        pretty = _pretty(value, chars_max)
        is_cut = len(pretty) > chars_max
        return ShownValue("text", pretty[:chars_max], chars=len(text), is_cut=is_cut)
    return ShownValue("json", value=value, chars=len(text))


def readable_text(text: str, *, chars_max: int) -> str:
    """Return at most ``chars_max`` characters of a stored text; JSON is indented."""
    value = _parsed(text)
    if value is None:
        return text[:chars_max]
    return (value if isinstance(value, str) else _pretty(value, chars_max))[:chars_max]


def _as_text(text: str, chars_max: int, formatting: Formatting | None) -> ShownValue:
    shown = text[:chars_max]
    html = formatting.of(shown) if formatting else NOT_FORMATTED
    is_cut = len(text) > chars_max
    return ShownValue("text", shown, chars=len(text), is_cut=is_cut, formatted=html)


def _parsed(text: str) -> Any:
    """Return the value of a JSON object, array or string; None for other texts."""
    if text.lstrip()[:1] not in _JSON_START or len(text) > PARSED_CHARS_MAX:
        return None
    try:
        return _decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return None


def _pretty(value: Any, chars_max: int) -> str:
    """Return indented JSON; at a little more than ``chars_max`` characters it ends.

    The whole text can be far longer than the JSON, because each line repeats the indentation.
    Values that are nested too deeply for that are not indented.
    """
    parts: list[str] = []
    chars = 0
    try:
        for part in _indented(value):
            parts.append(part)
            chars += len(part)
            if chars > chars_max:
                break
    except RecursionError:
        return msgspec.json.encode(value).decode()
    return "".join(parts)


def _messages(value: Any, chars_max: int) -> list[Message] | None:
    """Return the messages of a chat in a format of common SDKs; None if the value is no chat."""
    if isinstance(value, Mapping):
        value = value["messages"] if isinstance(value.get("messages"), list) else [value]
    if not isinstance(value, list) or not value or not all(map(_is_message, value)):
        return None
    return [Message(str(each["role"]), list(_parts(each, chars_max))) for each in value]


def _is_message(value: Any) -> bool:
    has_role = isinstance(value, Mapping) and isinstance(value.get("role"), str)
    return has_role and not {"content", "parts", "tool_calls"}.isdisjoint(value)


def _parts(message: Mapping[str, Any], chars_max: int) -> Iterator[Part]:
    is_result = message.get("role") == "tool"
    name = message.get("name")
    for key in ("content", "parts"):
        content = message.get(key)
        for each in content if isinstance(content, list) else [content]:
            if each is not None and each != "":
                part = _part(each, chars_max)
                if is_result:
                    part = Part("tool_result", part.text, name if isinstance(name, str) else "")
                yield part
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else []:
        yield _tool_call(call, chars_max)


def _part(value: Any, chars_max: int) -> Part:
    if isinstance(value, str):
        return Part("text", value)
    if isinstance(value, Mapping):
        kind = value.get("type")
        if kind in {"tool_use", "tool_call", "function_call"}:
            return _tool_call(value, chars_max)
        for key in ("text", "content"):
            text = value.get(key)
            if isinstance(text, str) and kind in {None, "text", "input_text", "output_text"}:
                return Part("text", text)
    return Part("json", _pretty(value, chars_max))


def _tool_call(value: Any, chars_max: int) -> Part:
    found = value if isinstance(value, Mapping) else {}
    function = found.get("function")
    called = function if isinstance(function, Mapping) else found
    arguments = next((called[key] for key in ("arguments", "input", "args") if key in called), None)
    text = arguments if isinstance(arguments, str) else _pretty(arguments, chars_max)
    name = called.get("name")
    if not isinstance(name, str):
        return Part("json", _pretty(value, chars_max))
    return Part("tool_call", text, name)


def _limited(messages: Sequence[Message], chars_max: int) -> tuple[list[Message], bool]:
    """Return messages with at most ``chars_max`` characters in total, and whether they are cut."""
    left = chars_max
    shown: list[Message] = []
    for message in messages:
        parts: list[Part] = []
        for part in message.parts:
            if left <= 0:
                return [*shown, Message(message.role, parts)], True
            parts.append(Part(part.kind, part.text[:left], part.name))
            left -= len(part.text)
        shown.append(Message(message.role, parts))
    return shown, left < 0


def _formatted(message: Message, formatting: Formatting) -> Message:
    parts = [
        replace(part, formatted=formatting.of(part.text)) if part.kind == "text" else part
        for part in message.parts
    ]
    return Message(message.role, parts)


def _fits(value: Any, nodes_max: int) -> bool:
    """Return whether a tree has at most ``nodes_max`` values and ``DEPTH_MAX`` levels."""
    waiting, nodes = [(value, 0)], 0
    while waiting:
        each, depth = waiting.pop()
        nodes += 1
        if nodes > nodes_max or depth > DEPTH_MAX:
            return False
        if isinstance(each, Mapping):
            waiting += [(inner, depth + 1) for inner in each.values()]
        elif isinstance(each, list):
            waiting += [(inner, depth + 1) for inner in each]
    return True
