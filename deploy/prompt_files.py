"""Files of prompts: JSON objects of prompts by name, which applications can use as a fallback.

``{"NAME": {"prompt": …, "type": …, "config": …, "labels": […], "tags": […], "version": N}}``. Only
``prompt`` (or ``template``) is required, and the value can also be the prompt itself. If a prompt
includes others, ``prompt`` contains them, and ``source`` is the prompt with its references.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from deploy.errors import InvalidArgumentError
from producers.control.kinds.prompt import LATEST
from producers.prompts.references import references_in, texts_of

FILE_MAX_BYTES: Final = 100_000_000
_TEXTS: Final = ("source", "prompt", "template")
"""Fields that can contain the prompt; the first one that exists is imported."""


@dataclass(frozen=True, slots=True)
class PromptEntry:
    """A prompt of a file."""

    name: str
    prompt: Any
    config: Any
    labels: tuple[str, ...]
    tags: tuple[str, ...] | None
    """None: the file has none, so those of the server do not change."""
    commit_message: str | None

    @property
    def type(self) -> str:
        """Return the type of the prompt."""
        return "text" if isinstance(self.prompt, str) else "chat"

    def differs_from(self, current: Mapping[str, Any]) -> bool:
        """Return whether the server's version has another content, config or other tags."""
        return (
            self.prompt != current["prompt"]
            or self.config != current["config"]
            or (self.tags is not None and set(self.tags) != set(current["tags"]))
        )

    def body(self, labels: tuple[str, ...]) -> dict[str, Any]:
        """Return the body of the request that creates a version."""
        body: dict[str, Any] = {
            "name": self.name,
            "type": self.type,
            "prompt": self.prompt,
            "config": self.config,
            "labels": list(labels),
        }
        if self.tags is not None:
            body["tags"] = list(self.tags)
        if self.commit_message:
            body["commitMessage"] = self.commit_message
        return body


def exported(resolved: Mapping[str, Any], source: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entry of a version of the server, with and without its references resolved."""
    entry: dict[str, Any] = {"type": resolved["type"], "prompt": resolved["prompt"]}
    if resolved["prompt"] != source["prompt"]:
        entry["source"] = source["prompt"]
    entry["config"] = resolved["config"]
    entry["labels"] = [label for label in resolved["labels"] if label != LATEST]
    entry["tags"] = resolved["tags"]
    entry["version"] = resolved["version"]
    if resolved.get("commitMessage"):
        entry["commitMessage"] = resolved["commitMessage"]
    return entry


def text_of_file(entries: Mapping[str, Any]) -> str:
    """Return the content of a file; the same prompts always give the same content."""
    return json.dumps(dict(sorted(entries.items())), indent=2, ensure_ascii=False) + "\n"


def read_entries(path: Path) -> list[PromptEntry]:
    """Read a file; prompts that others include come first.

    Raises:
        InvalidArgumentError: it cannot be read, or is not a file of prompts; the message names the
            prompt.
    """
    try:
        if path.stat().st_size > FILE_MAX_BYTES:
            raise InvalidArgumentError(f"{path} is larger than {FILE_MAX_BYTES} bytes")
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidArgumentError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(content, dict):
        raise InvalidArgumentError(f"{path} must contain an object of prompts by name")
    return list(_in_order({name: _entry_of(name, value) for name, value in content.items()}))


def diff_lines(entry: PromptEntry, current: Mapping[str, Any] | None, label: str) -> list[str]:
    """Return the differences of a prompt of the server and of the file, in the unified format.

    ``current`` is the server's version with the label; None if there is none.
    """
    before = [] if current is None else _lines(current["prompt"], current["config"])
    title = f"no {label} version" if current is None else f"{label}, version {current['version']}"
    return list(
        difflib.unified_diff(
            before,
            _lines(entry.prompt, entry.config),
            f"{entry.name} ({title})",
            f"{entry.name} (file)",
            lineterm="",
        )
    )


def _entry_of(name: str, value: Any) -> PromptEntry:
    if isinstance(value, str | list):
        value = {"prompt": value}
    if not isinstance(value, dict):
        raise InvalidArgumentError(f"{name}: must be a prompt, or an object with `prompt`")
    field = next((each for each in _TEXTS if value.get(each) is not None), None)
    if field is None:
        raise InvalidArgumentError(f"{name}: has no field `prompt` or `template`")
    prompt = value[field]
    if not isinstance(prompt, str | list):
        raise InvalidArgumentError(f"{name}.{field}: must be a string or an array of messages")
    config = value.get("config")
    message = value.get("commitMessage")
    tags = _texts(name, value, "tags")
    return PromptEntry(
        name=name,
        prompt=prompt,
        config={} if config is None else config,
        labels=tuple(each for each in _texts(name, value, "labels") or () if each != LATEST),
        tags=tags,
        commit_message=message if isinstance(message, str) else None,
    )


def _texts(name: str, value: Mapping[str, Any], field: str) -> tuple[str, ...] | None:
    found = value.get(field)
    if found is None:
        return None
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise InvalidArgumentError(f"{name}.{field}: must be an array of strings")
    return tuple(dict.fromkeys(found))


def _in_order(entries: Mapping[str, PromptEntry]) -> Iterator[PromptEntry]:
    """Yield entries after those that they include; circular ones in the order of names."""
    done: set[str] = set()

    def visit(name: str) -> Iterator[PromptEntry]:
        if name in done or name not in entries:
            return
        done.add(name)
        for reference in references_in(texts_of(entries[name].prompt)):
            yield from visit(reference.name)
        yield entries[name]

    for name in sorted(entries):
        yield from visit(name)


def _lines(prompt: Any, config: Any) -> list[str]:
    if isinstance(prompt, str):
        lines = prompt.splitlines()
    else:
        lines = json.dumps(prompt, indent=2, ensure_ascii=False).splitlines()
    if config:
        lines += ["config:", *json.dumps(config, indent=2, ensure_ascii=False).splitlines()]
    return lines
