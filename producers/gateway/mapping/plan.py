"""Plans: what remains of the tables for spans of one shape."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import takewhile
from operator import itemgetter
from typing import Any, Final, TypeAlias

from producers.gateway.mapping.io_sources import INPUT_OUTPUT, InputOutput
from producers.gateway.mapping.metadata import MetadataPlan, observation_metadata_plan
from producers.gateway.mapping.origin import Dialect
from producers.gateway.mapping.sources import Reader, Shape, Source
from producers.gateway.mapping.tables import (
    DESCRIPTIVE_FIELDS,
    OBSERVATION_FIELDS,
    PROMPT_FIELDS,
    TRACE_FIELDS,
)
from producers.gateway.otlp import AttributeValue, ExportedSpan

PLANS_MAX: Final = 1_024
"""Plans kept of one dialect: senders choose their attributes, so new shapes may never end."""

Field: TypeAlias = tuple[str, tuple[Reader, ...]]
"""A field's name and the readers that may have its value, in order."""
Fields: TypeAlias = tuple[Field, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The readers of a shape; a field without a reader is not in it."""

    described_by: Callable[[dict[str, AttributeValue]], tuple[Any, ...]]
    """The values of the attributes that decide the descriptive fields."""
    descriptive: Fields
    """What spans described alike share."""
    undecided: Fields
    """Descriptive fields that need more than attributes if those have no answer."""
    observation: Fields
    prompt: Fields
    trace: Fields
    input_output: tuple[Callable[[ExportedSpan], InputOutput | None], ...]
    metadata: MetadataPlan


class Plans:
    """Plans of one dialect, made when first asked for."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._plans: dict[tuple[bool, bool, tuple[str, ...]], Plan] = {}

    def of(self, span: ExportedSpan) -> Plan:
        keys = tuple(span.attributes)
        has_events = bool(span.events)
        has_status = span.status_code != 0 or span.status_message != ""
        plan = self._plans.get((has_events, has_status, keys))
        if plan is None:
            if len(self._plans) >= PLANS_MAX:
                self._plans.clear()
            plan = _plan_of(Shape(self._dialect, keys, has_events, has_status))
            self._plans[has_events, has_status, keys] = plan
        return plan


plans_of: Final = cache(Plans)
"""Plans of a dialect. Dialects are few: only a fixed list of scopes is told apart."""


def _plan_of(shape: Shape) -> Plan:
    descriptive: list[Field] = []
    undecided: list[Field] = []
    others: list[Field] = []
    for field, readers in _bound(OBSERVATION_FIELDS, shape):
        if field not in DESCRIPTIVE_FIELDS:
            others.append((field, readers))
            continue
        shared = tuple(takewhile(lambda reader: reader.needs is not None, readers))
        if shared:
            descriptive.append((field, shared))
        if len(shared) < len(readers):
            undecided.append((field, readers[len(shared) :]))
    keys = {key for _, readers in descriptive for reader in readers for key in reader.needs or ()}
    return Plan(
        described_by=_values_of(tuple(keys)),
        descriptive=tuple(descriptive),
        undecided=tuple(undecided),
        observation=tuple(others),
        prompt=_bound(PROMPT_FIELDS, shape),
        trace=_bound(TRACE_FIELDS, shape),
        input_output=tuple(r.read for r in _readers(INPUT_OUTPUT, shape) if r.read is not None),
        metadata=observation_metadata_plan(shape),
    )


def _values_of(
    keys: tuple[str, ...],
) -> Callable[[dict[str, AttributeValue]], tuple[Any, ...]]:
    if not keys:
        return lambda _attributes: ()
    return itemgetter(keys[0], *keys)  # one more, since a getter of one would make no tuple


def _bound(table: dict[str, tuple[Source, ...]], shape: Shape) -> Fields:
    fields = ((field, _readers(sources, shape)) for field, sources in table.items())
    return tuple((field, readers) for field, readers in fields if readers)


def _readers(sources: tuple[Source, ...], shape: Shape) -> tuple[Reader, ...]:
    return tuple(bound for source in sources if (bound := source.bind(shape)) is not None)
