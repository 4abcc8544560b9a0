"""Compile prompts as SDKs do before they call a model, without I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from producers.prompts.references import filled, with_texts


def compiled(
    content: Any, values: Mapping[str, str], messages: Mapping[str, list[Any]] | None = None
) -> Any:
    """Return a prompt whose variables are replaced by ``values``, and whose placeholders by
    ``messages``.

    What has no value stays as it is, so that it can be seen. Inserted texts are not searched
    again.
    """
    found = with_texts(content, lambda text: filled(text, values))
    if isinstance(found, str):
        return found
    given = messages or {}
    result: list[Any] = []
    for each in found:
        is_placeholder = isinstance(each, Mapping) and each.get("type") == "placeholder"
        name = each.get("name") if is_placeholder else None
        if isinstance(name, str) and name in given:
            result += given[name]
        else:
            result.append(each)
    return result
