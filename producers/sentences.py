"""Define sentences with values, which the API shows in English and pages in other languages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of which pages translate the template; ``str`` returns the English text.

    Attributes:
        template: the English text, with ``%(name)s`` for values; it identifies the sentence.
        values: the values by name.
    """

    template: str
    values: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.template % self.values


@dataclass(frozen=True, slots=True)
class FieldWarning:
    """A warning about a field, by its path in the API; ``str`` returns both."""

    field: str
    sentence: Sentence

    def __str__(self) -> str:
        return f"{self.field}: {self.sentence}"
