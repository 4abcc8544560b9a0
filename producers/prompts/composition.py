"""Resolve the references of a prompt to other prompts, without I/O."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from producers.control.kinds.prompt_version import PromptReference
from producers.prompts.references import replaced, texts_of, with_texts

DEPTH_MAX: Final = 5
"""Maximum number of prompts in a chain of references, as in Langfuse."""


class CompositionError(Exception):
    """A prompt cannot be resolved; the message names the reference."""


class TooLongError(CompositionError):
    """A prompt is too long with the prompts that it includes."""


@dataclass(frozen=True, slots=True)
class Source:
    """A version of a prompt, before its references are replaced."""

    id: str
    name: str
    version: int
    is_text: bool
    references: Sequence[PromptReference]
    content: Callable[[], Any]
    """Return the prompt; only called if it is needed."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """A prompt whose references are replaced."""

    content: Any
    included: dict[str, list[Source]]
    """The prompts that each prompt includes directly, by the id of the including one."""


@dataclass(frozen=True, slots=True)
class _Part:
    text: str
    height: int
    """Length of the longest chain of references below this prompt."""
    below: frozenset[str]
    """Names of all prompts that it includes."""


@dataclass(slots=True)
class Composer:
    """Resolve prompts. Each included prompt is resolved once."""

    find: Callable[[PromptReference], Source | None]
    text_max_chars: int
    depth_max: int = DEPTH_MAX
    _parts: dict[str, _Part] = field(default_factory=dict)
    _included: dict[str, list[Source]] = field(default_factory=dict)

    def resolve(self, root: Source) -> Resolved:
        """Return a prompt with all included ones.

        Raises:
            CompositionError: a reference does not exist or is not a text prompt, references are
                circular or nested too deeply, or the result is too long.
        """
        parts = self._included_parts(root, (root.name,))
        content, left = root.content(), self.text_max_chars
        for text in texts_of(content):
            left -= self._length(text, parts)
        if left < 0:
            raise TooLongError(
                f"Prompt '{root.name}' is longer than {self.text_max_chars} characters with the"
                " prompts that it includes"
            )
        if parts:
            content = with_texts(
                content, lambda text: replaced(text, lambda each: parts[each].text)
            )
        return Resolved(content, self._included)

    def _included_parts(
        self, source: Source, path: tuple[str, ...]
    ) -> dict[PromptReference, _Part]:
        if source.references and len(path) >= self.depth_max:
            raise CompositionError(f"Maximum nesting depth exceeded ({self.depth_max})")
        found: dict[PromptReference, _Part] = {}
        for reference in source.references:
            child = self.find(reference)
            if child is None:
                raise CompositionError(f"Prompt dependency not found: {reference}")
            if not child.is_text:
                raise CompositionError(f"Prompt dependency is not a text prompt: {reference}")
            part = self._part(child, path)
            if len(path) + part.height >= self.depth_max:
                raise CompositionError(f"Maximum nesting depth exceeded ({self.depth_max})")
            found[reference] = part
            direct = self._included.setdefault(source.id, [])
            if child not in direct:
                direct.append(child)
        return found

    def _part(self, source: Source, path: tuple[str, ...]) -> _Part:
        part = self._parts.get(source.id)
        if source.name in path or (part is not None and not part.below.isdisjoint(path)):
            raise CompositionError(
                f"Circular dependency detected involving prompt '{source.name}'"
                f" version {source.version}"
            )
        if part is None:
            parts = self._included_parts(source, (*path, source.name))
            text = source.content()
            if self._length(text, parts) > self.text_max_chars:
                raise TooLongError(
                    f"Prompt '{source.name}' is longer than {self.text_max_chars} characters with"
                    " the prompts that it includes"
                )
            below = frozenset(reference.name for reference in parts)
            part = _Part(
                text=_inserted(parts, text) if parts else text,
                height=1 + max((each.height for each in parts.values()), default=-1),
                below=below.union(*(each.below for each in parts.values())),
            )
            self._parts[source.id] = part
        return part

    @staticmethod
    def _length(text: str, parts: dict[PromptReference, _Part]) -> int:
        """Return an upper bound of the length of a text with the included ones."""
        if not parts:
            return len(text)
        length = len(text)

        def count(reference: PromptReference) -> str:
            nonlocal length
            length += len(parts[reference].text)
            return ""

        replaced(text, count)
        return length


def _inserted(parts: dict[PromptReference, _Part], text: str) -> str:
    return replaced(text, lambda reference: parts[reference].text)
