"""Read usage from one attribute per count.

These are ``gen_ai.usage.*`` (OpenTelemetry GenAI) and ``llm.token_count.*`` (OpenInference).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from producers.gateway.mapping.sources import Reader, Shape, below
from producers.gateway.values.usage import TYPES_MAX
from tracemill.reconciliation.dialects import Dialect
from tracemill.reconciliation.plain import UsageReader


@dataclass(frozen=True, slots=True)
class Counts:
    """Read all counts below prefixes, in the meaning of a dialect."""

    prefixes: tuple[str, ...]
    excluded: frozenset[str]
    dialect: Dialect

    def bind(self, shape: Shape) -> Reader | None:
        names: dict[str, str] = {}
        for key, name in below(self.prefixes, shape, self.excluded):
            names.setdefault(_BROKEN_DOWN.get(name, name), key)
        if not names:
            return None
        keys = [(key, name) for name, key in names.items()][:TYPES_MAX]
        reader = UsageReader(keys, self.dialect)
        return Reader("", lambda span: reader.read(span.attributes))


_BROKEN_DOWN: Final = {"prompt": "prompt_tokens", "completion": "completion_tokens"}
"""OpenInference's names of the sums, of which ``prompt_details.*`` are parts."""
