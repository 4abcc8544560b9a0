"""Parse and replace references to other prompts, without I/O.

``@@@langfusePrompt:name=NAME|version=N@@@`` and ``…|label=LABEL@@@`` are references. Any other text
between ``@@@`` is an ordinary text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from producers.control.kinds.prompt_version import PromptReference

_TAG: Final = re.compile(
    r"@@@langfusePrompt:name=([^|\n]{1,255}?)"
    r"\|(?:version=([1-9][0-9]{0,8})|label=([a-z0-9_\-.]{1,36}))@@@"
)
_VARIABLE: Final = re.compile(r"\{\{\s*([A-Za-z][A-Za-z0-9_]*)\s*\}\}")


def texts_of(content: Any) -> Iterator[str]:
    """Yield the texts of a prompt: the prompt itself, or the contents of its messages."""
    if isinstance(content, str):
        yield content
        return
    for message in content:
        if isinstance(message, dict) and isinstance(message.get("content"), str):
            yield message["content"]


def with_texts(content: Any, changed: Callable[[str], str]) -> Any:
    """Return a prompt whose texts are replaced by ``changed`` of them."""
    if isinstance(content, str):
        return changed(content)
    return [
        {**message, "content": changed(message["content"])}
        if isinstance(message, dict) and isinstance(message.get("content"), str)
        else message
        for message in content
    ]


def references_in(texts: Iterable[str]) -> tuple[PromptReference, ...]:
    """Return the references in texts, each once, in the order of their first occurrence."""
    found = (_reference(match) for text in texts for match in _TAG.finditer(text))
    return tuple(dict.fromkeys(found))


def replaced(text: str, text_of: Callable[[PromptReference], str]) -> str:
    """Return a text whose references are replaced; the inserted texts are not searched again."""
    return _TAG.sub(lambda match: text_of(_reference(match)), text)


def variables_in(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the names of the Mustache variables in texts, each once."""
    found = (match.group(1) for text in texts for match in _VARIABLE.finditer(text))
    return tuple(dict.fromkeys(found))


def filled(text: str, values: Mapping[str, str]) -> str:
    """Return a text whose Mustache variables are replaced; those without a value stay."""
    return _VARIABLE.sub(lambda match: values.get(match.group(1), match[0]), text)


def _reference(match: re.Match[str]) -> PromptReference:
    name, version, label = match.groups()
    return PromptReference(
        name=name, version=None if version is None else int(version), label=label
    )
