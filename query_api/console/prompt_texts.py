"""Show the texts of prompts: variables, included prompts, and a text to compare versions by."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from jinja2 import Environment, TemplateSyntaxError, nodes

from producers.control.kinds.prompt_version import PromptReference, PromptVersion
from producers.prompts.references import references_in, texts_of, variables_in

PLACEHOLDER: Final = "placeholder"
JINJA_CHARS_MAX: Final = 100_000
"""Length of a text in which names of Jinja are found; in longer ones, only Mustache variables."""
_JINJA: Final = re.compile(r"\{%|\{\{")
_MARKED: Final = re.compile(
    r"(?P<variable>\{\{(?:(?!\{\{|\}\}).)*\}\}|\{%(?:(?!\{%|%\}).)*%\})"
    r"|(?P<reference>@@@langfusePrompt:.*?@@@)",
    re.DOTALL,
)
"""A search ends at the next opening, so that many of them without an end take no quadratic time."""
_OWN_NAMES: Final = frozenset(("loop", "self", "caller", "varargs", "kwargs"))
_environment: Final = Environment(extensions=["jinja2.ext.do", "jinja2.ext.loopcontrols"])  # noqa: S701  nothing is rendered


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a text; ``mark`` is ``variable``, ``reference`` or empty."""

    text: str
    mark: str = ""


@dataclass(frozen=True, slots=True)
class PromptMessage:
    """A message of a chat, or a placeholder, whose name is ``content``."""

    role: str
    content: str
    pieces: Sequence[Piece]
    more: str = ""
    """JSON of other members of the message."""

    @property
    def is_placeholder(self) -> bool:
        return self.role == PLACEHOLDER


@dataclass(frozen=True, slots=True)
class PromptTexts:
    """What a prompt consists of."""

    messages: Sequence[PromptMessage]
    """A text prompt is one message without a role."""
    variables: Sequence[str]
    placeholders: Sequence[str]
    references: Sequence[PromptReference]


def prompt_texts(content: Any) -> PromptTexts:
    """Return what a prompt consists of: a text, or a list of messages and placeholders."""
    texts = list(texts_of(content))
    if isinstance(content, str):
        messages = [PromptMessage("", content, pieces_of(content))]
    else:
        messages = [_message(each) for each in content if isinstance(each, Mapping)]
    return PromptTexts(
        messages,
        names_in(texts),
        tuple(dict.fromkeys(each.content for each in messages if each.is_placeholder)),
        references_in(texts),
    )


def names_in(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the names of the Mustache variables and of the Jinja ones in texts, each once."""
    found: dict[str, None] = {}
    for text in texts:
        names = _names_of_jinja(text) if _JINJA.search(text) else None
        found |= dict.fromkeys(variables_in([text]) if names is None else names)
    return tuple(found)


def _names_of_jinja(text: str) -> list[str] | None:
    """Return the names that a template expects; None if it is not one. Nothing is evaluated."""
    if len(text) > JINJA_CHARS_MAX:
        return None
    try:
        names = list(_environment.parse(text).find_all(nodes.Name))
    except (TemplateSyntaxError, RecursionError, ValueError):
        return None
    set_here = {each.name for each in names if each.ctx != "load"}
    known = set_here | _OWN_NAMES | _environment.globals.keys()
    return [each.name for each in names if each.name not in known]


def pieces_of(text: str) -> list[Piece]:
    """Return a text in parts, of which variables and references to other prompts are marked."""
    pieces: list[Piece] = []
    begin = 0
    for match in _MARKED.finditer(text):
        if match.start() > begin:
            pieces.append(Piece(text[begin : match.start()]))
        pieces.append(Piece(match[0], match.lastgroup or ""))
        begin = match.end()
    if begin < len(text):
        pieces.append(Piece(text[begin:]))
    return pieces


def content_of(record: PromptVersion) -> Any:
    """Return the content of a version: a string, or a list."""
    return msgspec.json.decode(record.content)


def text_to_compare(record: PromptVersion) -> str:
    """Return a version as a text, in which a line with the role begins each message."""
    content = content_of(record)
    if isinstance(content, str):
        return content
    return "\n".join(_lines(content))


def config_to_compare(record: PromptVersion) -> str:
    """Return the config of a version as indented JSON; empty if there is none."""
    value = msgspec.json.decode(record.config)
    return "" if value in ({}, None) else json.dumps(value, ensure_ascii=False, indent=2)


def _lines(messages: Iterable[Any]) -> Iterator[str]:
    for message in messages:
        shown = _message(message if isinstance(message, Mapping) else {})
        yield f"[{shown.role}]"
        yield shown.content
        if shown.more:
            yield shown.more


def _message(message: Mapping[str, Any]) -> PromptMessage:
    if message.get("type") == PLACEHOLDER:
        name = str(message.get("name", ""))
        return PromptMessage(PLACEHOLDER, name, [Piece(name, "variable")])
    content = message.get("content")
    text = content if isinstance(content, str) else ""
    more = {
        name: value for name, value in message.items() if name not in {"role", "content", "type"}
    }
    shown = json.dumps(more, ensure_ascii=False) if more else ""
    return PromptMessage(str(message.get("role", "")), text, pieces_of(text), shown)
