"""Plans: what remains of the tables for spans of one shape."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from producers.gateway.mapping.io_sources import INPUT_OUTPUT, InputOutput
from producers.gateway.mapping.metadata import MetadataPlan, observation_metadata_plan
from producers.gateway.mapping.origin import Dialect
from producers.gateway.mapping.sources import Reader, Shape, Source
from producers.gateway.mapping.tables import OBSERVATION_FIELDS, PROMPT_FIELDS, TRACE_FIELDS
from producers.gateway.otlp import ExportedSpan

PLANS_MAX: Final = 1_024
"""Plans kept of one dialect: senders choose their attributes, so new shapes may never end."""

Fields: TypeAlias = tuple[tuple[str, tuple[Reader, ...]], ...]
"""Fields by name, each with the readers that may have its value, in order."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The readers of a shape; a field without a reader is not in it."""

    observation: Fields
    prompt: Fields
    trace: Fields
    input_output: tuple[Callable[[ExportedSpan], InputOutput | None], ...]
    metadata: MetadataPlan


class Plans(dict[tuple[str, ...], Plan]):
    """Plans of one dialect by attribute keys, made when first asked for."""

    def __init__(self, dialect: Dialect, has_events: bool) -> None:
        super().__init__()
        self._dialect = dialect
        self._has_events = has_events

    def __missing__(self, keys: tuple[str, ...]) -> Plan:
        if len(self) >= PLANS_MAX:
            self.clear()
        plan = _plan_of(Shape(self._dialect, keys, self._has_events))
        self[keys] = plan
        return plan


_plans: dict[tuple[Dialect, bool], Plans] = {}


def plans_of(dialect: Dialect, has_events: bool) -> Plans:
    """Plans of a dialect, for spans with or without events. Dialects are few: their scopes are a fixed list."""
    found = _plans.get((dialect, has_events))
    if found is None:
        found = _plans[dialect, has_events] = Plans(dialect, has_events)
    return found


def _plan_of(shape: Shape) -> Plan:
    return Plan(
        observation=_bound(OBSERVATION_FIELDS, shape),
        prompt=_bound(PROMPT_FIELDS, shape),
        trace=_bound(TRACE_FIELDS, shape),
        input_output=tuple(reader.read for reader in _readers(INPUT_OUTPUT, shape) if reader.read),
        metadata=observation_metadata_plan(shape),
    )


def _bound(table: dict[str, tuple[Source, ...]], shape: Shape) -> Fields:
    fields = ((field, _readers(sources, shape)) for field, sources in table.items())
    return tuple((field, readers) for field, readers in fields if readers)


def _readers(sources: tuple[Source, ...], shape: Shape) -> tuple[Reader, ...]:
    return tuple(bound for source in sources if (bound := source.bind(shape)) is not None)
