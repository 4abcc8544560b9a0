"""Extract the tools that a model was offered, and the calls that it made, from an observation.

Only observations of type GENERATION have tools, because enclosing spans repeat their texts. Tools
are read from the row's texts, not from fields of events, so they do not depend on how updates were
split. Definitions are searched in the input and in attributes of known conventions. Calls are
searched in the output only, because an input repeats the calls of the conversation so far.

Known formats: OpenAI (chat completions and responses), Anthropic, Gemini, Bedrock, the
OpenTelemetry GenAI conventions, OpenInference, LangChain and the Vercel AI SDK. Texts that are not
JSON have no tools.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from clickhouse.rows import ObservationRow
from streams.core.observations.json_texts import json_of
from streams.core.observations.lines import decoded_row_text

TEXT_BYTES_MAX: Final = 1024 * 1024
"""Longer texts, measured as JSON, are not searched."""
DEFINITIONS_MAX: Final = 128
CALLS_MAX: Final = 256
LIST_CHARS_MAX: Final = 64 * 1024
"""Limit of all definitions, and of all calls, of one observation.

One that does not fit is kept without its schema or arguments, which the row's text still has.
"""
NAME_CHARS_MAX: Final = 256
"""Tools with longer names are skipped; longer ids are left out."""
DEPTH_MAX: Final = 8

_OFFER_KEYS: Final = ("tools", "functions")
_OFFER_MARKERS: Final = (b"tools", b"functions")
_DECLARATION_KEYS: Final = ("functionDeclarations", "function_declarations")
_ATTRIBUTES: Final = ("gen_ai.tool.definitions", "ai.prompt.tools")
_JSON_SCHEMA: Final = ".tool.json_schema"
_ATTRIBUTE_MARKERS: Final = (b"tool",)
_CALL_MARKERS: Final = (b"tool", b"function")

_CALL_LISTS: Final = ("tool_calls", "toolCalls")
_CALL_INSIDE: Final = ("functionCall", "function_call", "toolUse")
_CALL_TYPES: Final = ("tool_use", "tool_call", "tool-call", "function_call")
_ARGUMENTS: Final = ("arguments", "args", "input")
_IDS: Final = ("call_id", "toolCallId", "toolUseId", "id")
_CONTAINER_KEYS: Final = (
    *("choices", "message", "content", "parts", "candidates", "output", "tool_call"),
    *_CALL_LISTS,
)
_INPUT_ROLES: Final = ("user", "system", "developer", "tool", "function")
"""Roles of messages that were not written by a model."""

_OBJECT: Final = b"{"
_OBJECT_OR_LIST: Final = b"{["

_encode = msgspec.json.Encoder().encode


def write_tools(row: ObservationRow) -> bool:
    """Set the tool fields of ``row``; return False if a limit was reached."""
    if row.type != "GENERATION":
        return True
    return _write_definitions(row) & _write_calls(row)


def _write_definitions(row: ObservationRow) -> bool:
    offered: list[Any] = []
    if row.input and _may_contain(row.input, _OBJECT, _OFFER_MARKERS):
        offered += _tool_lists_in(_parsed(row.input))
    if row.metadata and _may_contain(row.metadata, _OBJECT, _ATTRIBUTE_MARKERS):
        offered += _tool_lists_in_attributes(_parsed(row.metadata))
    if not offered:
        return True
    definitions = _BoundedList(DEFINITIONS_MAX)
    for name, definition in _definitions_in(offered, DEPTH_MAX):
        if name not in definitions.names:
            definitions.keep(name, _json_text(definition), _json_text({"name": name}))
    row.tool_definitions = dict(zip(definitions.names, definitions.texts, strict=True))
    return definitions.whole


def _write_calls(row: ObservationRow) -> bool:
    if not row.output or not _may_contain(row.output, _OBJECT_OR_LIST, _CALL_MARKERS):
        return True
    calls, seen = _BoundedList(CALLS_MAX), set[str]()
    for call_id, name, arguments in _calls_in(_parsed(row.output), DEPTH_MAX):
        if call_id not in seen:
            if call_id:
                seen.add(call_id)
            call = {"id": call_id, "name": name, "arguments": arguments}
            calls.keep(name, _json_text(call), _json_text(call | {"arguments": ""}))
    row.tool_calls, row.tool_call_names = tuple(calls.texts), tuple(calls.names)
    return calls.whole


class _BoundedList:
    """Names and texts within the limits of count and size."""

    def __init__(self, count_max: int) -> None:
        self.names: list[str] = []
        self.texts: list[str] = []
        self.whole = True
        self._count_max = count_max
        self._chars = 0

    def keep(self, name: str, text: str, short: str) -> None:
        if len(self.names) == self._count_max or self._chars + len(short) > LIST_CHARS_MAX:
            self.whole = False
            return
        if self._chars + len(text) > LIST_CHARS_MAX:
            self.whole, text = False, short
        self._chars += len(text)
        self.names.append(name)
        self.texts.append(text)


def _may_contain(text: str, opening: bytes, markers: tuple[bytes, ...]) -> bool:
    """Return whether a text is worth parsing; most are not, so this check has to be cheap.

    The text may still be the JSON of its event (``lines.decoded_row_text``).
    """
    if isinstance(text, msgspec.Raw):
        escaped, first = bytes(text), 1
    else:
        escaped, first = text.encode(), 0
    if escaped[first] not in opening or len(escaped) > TEXT_BYTES_MAX:
        return False
    for marker in markers:  # noqa: SIM110  # ``any`` takes twice as long
        if marker in escaped:
            return True
    return False


def _parsed(text: str) -> Any:
    return json_of(decoded_row_text(text))


def _json_text(value: Any) -> str:
    """Return a string as it is, anything else as its JSON."""
    return value if isinstance(value, str) else _encode(value).decode()


def _tool_lists_in(request: Any) -> Iterator[Any]:
    """Yield the tool lists of a request and of objects directly in it (``config``, ``kwargs``)."""
    if isinstance(request, dict):
        for each in (request, *(inner for inner in request.values() if isinstance(inner, dict))):
            yield from (each[key] for key in _OFFER_KEYS if key in each)


def _tool_lists_in_attributes(metadata: Any) -> Iterator[Any]:
    attributes = metadata.get("attributes") if isinstance(metadata, dict) else None
    if isinstance(attributes, dict):
        for key, value in attributes.items():
            if key in _ATTRIBUTES or key.endswith(_JSON_SCHEMA):
                yield value


def _definitions_in(offered: Any, depth: int) -> Iterator[tuple[str, Any]]:
    """Yield name and definition of each tool; any level may be a JSON text."""
    if isinstance(offered, str):
        offered = _parsed(offered)
    if isinstance(offered, list) and depth:
        for each in offered:
            yield from _definitions_in(each, depth - 1)
    elif isinstance(offered, dict):
        declared = [offered[key] for key in _DECLARATION_KEYS if key in offered]
        if declared and depth:
            yield from _definitions_in(declared, depth - 1)
        inner = next((offered[key] for key in ("function", "toolSpec") if key in offered), offered)
        name = _short_text(inner.get("name")) if isinstance(inner, dict) else ""
        if name:
            yield name, offered


def _calls_in(answer: Any, depth: int, *, listed: bool = False) -> Iterator[tuple[str, str, str]]:
    """Yield id (may be empty), name and arguments of each call, in order.

    With ``listed``, every object at this level is a call.
    """
    if listed and isinstance(answer, str):
        answer = _parsed(answer)
    if isinstance(answer, list) and depth:
        for each in answer:
            yield from _calls_in(each, depth - 1, listed=listed)
    elif isinstance(answer, dict) and answer.get("role") not in _INPUT_ROLES:
        call = _call_of(answer, listed=listed)
        if call is not None:
            yield call
        if depth:
            for key in _CONTAINER_KEYS:
                if key in answer:
                    yield from _calls_in(answer[key], depth - 1, listed=key in _CALL_LISTS)


def _call_of(found: dict[str, Any], *, listed: bool) -> tuple[str, str, str] | None:
    inner = found.get("function")
    if not isinstance(inner, dict) or "arguments" not in inner:
        inside = (found[key] for key in _CALL_INSIDE if isinstance(found.get(key), dict))
        kind = found.get("type")
        is_call = listed or kind in _CALL_TYPES or (kind is None and "toolName" in found)
        inner = next(inside, found if is_call else None)
    if inner is None:
        return None
    name = _short_text(inner.get("name", inner.get("toolName")))
    if not name:
        return None
    arguments = next((inner[key] for key in _ARGUMENTS if inner.get(key) is not None), "")
    return _id_of(inner) or _id_of(found), name, _json_text(arguments)


def _id_of(found: dict[str, Any]) -> str:
    return next(filter(None, (_short_text(found.get(key)) for key in _IDS)), "")


def _short_text(value: Any) -> str:
    return value if isinstance(value, str) and len(value) <= NAME_CHARS_MAX else ""
