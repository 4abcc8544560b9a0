"""Describe a call by the dimensions of spend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from producers.dimensions.registry import REGISTRY

_DEFAULTS: Final = {each.name: each.default for each in REGISTRY.of_spend()}


@dataclass(frozen=True, slots=True)
class Call:
    """A call that is to be made, as its spend will be counted.

    Attributes:
        values: the value of every dimension of spend.
        texts: the texts of each dimension whose value is an array, such as tags.
    """

    values: Mapping[str, str]
    texts: Mapping[str, Sequence[str]]

    def alternatives(self, dimension: str) -> Sequence[str]:
        """Return the values of a scope that include this call."""
        texts = self.texts.get(dimension)
        return (self.values[dimension],) if texts is None else texts


def call_of(values: Mapping[str, str], texts: Mapping[str, Sequence[str]]) -> Call:
    """Return the call with the given values, and defaults for the other dimensions."""
    return Call({**_DEFAULTS, **values}, texts)
