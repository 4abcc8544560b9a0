"""Plans: what remains of the tables for spans of one shape."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import takewhile
from operator import itemgetter
from sys import getsizeof
from typing import Any, Final, TypeAlias

from producers import metrics
from producers.bounded_cache import BoundedCache
from producers.gateway.mapping.io_sources import INPUT_OUTPUT, InputOutput
from producers.gateway.mapping.metadata import MetadataPlan, observation_metadata_plan
from producers.gateway.mapping.origin import Dialect
from producers.gateway.mapping.sources import Reader, Shape, Source
from producers.gateway.mapping.tables import (
    DESCRIPTIVE_FIELDS,
    FIELDS_OF_CALLS,
    OBSERVATION_FIELDS,
    OPERATION_KEY,
    PROMPT_FIELDS,
    TRACE_FIELDS,
    TRACE_FIELDS_OF_ROOT,
)
from producers.gateway.otlp import AttributeValue, ExportedSpan

PLAN_MAX_BYTES: Final = 256 * 1024
"""A plan above it, roughly, is used and not kept."""
PLANS_MAX_BYTES: Final = 32 * 1024 * 1024
"""What all plans take that are kept, roughly: senders choose their attributes, so new shapes may never end."""
DESCRIPTIONS_MAX_BYTES: Final = 16 * 1024 * 1024
"""The same for what shapes say of their traces."""
_BYTES_OF_PLAN: Final = 2_048
_BYTES_OF_KEY: Final = 300

Field: TypeAlias = tuple[str, tuple[Reader, ...]]
"""A field's name and the readers that may have its value, in order."""
Fields: TypeAlias = tuple[Field, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Description:
    """Fields that some attributes alone decide: where their values are the same, so are the fields."""

    fields: Fields
    values_of: Callable[[dict[str, AttributeValue]], tuple[Any, ...]]
    """The values of those attributes."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The readers of a shape; a field without a reader is not in it."""

    described: Description
    """What operations of one kind have in common."""
    undecided: Fields
    """Fields of that sort which need more than attributes where those have no answer."""
    observation: Fields
    observation_of_agent: Fields
    """The same without what agents only sum up."""
    prompt: Fields
    trace: Description | None
    trace_of_root: Description | None
    input_output: tuple[Callable[[ExportedSpan], InputOutput | None], ...]
    metadata: MetadataPlan


class _Shelf:
    """What all plans take together; above ``PLANS_MAX_BYTES`` all are dropped, to be made again when asked for."""

    def __init__(self) -> None:
        self._bytes = 0
        self._stores: list[dict[Any, Plan]] = []

    def new_store(self) -> dict[Any, Plan]:
        store: dict[Any, Plan] = {}
        self._stores.append(store)
        return store

    def keep(self, store: dict[Any, Plan], shape: Any, plan: Plan, keys: tuple[str, ...]) -> Plan:
        size = _bytes_of(keys)
        if size > PLAN_MAX_BYTES:
            metrics.LIMIT_REACHED.labels(limit="plan_max_bytes").inc()
            return plan
        if self._bytes + size > PLANS_MAX_BYTES:
            metrics.LIMIT_REACHED.labels(limit="plans_max_bytes").inc()
            for each in self._stores:
                each.clear()
            self._bytes = 0
        self._bytes += size
        store[shape] = plan
        return plan


def _bytes_of(keys: tuple[str, ...]) -> int:
    """Roughly what a plan for these keys takes in memory."""
    return _BYTES_OF_PLAN + _BYTES_OF_KEY * len(keys) + 2 * sum(map(getsizeof, keys))


_shelf: Final = _Shelf()
_descriptions: BoundedCache[tuple[Dialect, tuple[str, ...], bool], Description] = BoundedCache(
    "descriptions_max_bytes", DESCRIPTIONS_MAX_BYTES
)


class Plans:
    """Plans of one dialect, made when first asked for."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._of_plain = _shelf.new_store()
        self._of_others = _shelf.new_store()

    def of(self, span: ExportedSpan) -> Plan:
        keys = tuple(span.attributes)
        if span.events or span.status_code or span.status_message:
            shape = (bool(span.events), bool(span.status_code or span.status_message), keys)
            return self._of_others.get(shape) or _shelf.keep(
                self._of_others, shape, self._plan(*shape), keys
            )
        return self._of_plain.get(keys) or _shelf.keep(
            self._of_plain, keys, self._plan(False, False, keys), keys
        )

    def _plan(self, has_events: bool, has_status: bool, keys: tuple[str, ...]) -> Plan:
        return _plan_of(Shape(self._dialect, keys, has_events, has_status))


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
    return Plan(
        described=_description(tuple(descriptive), _agent_keys(shape)),
        undecided=tuple(undecided),
        observation=tuple(others),
        observation_of_agent=tuple(field for field in others if field[0] not in FIELDS_OF_CALLS),
        prompt=_bound(PROMPT_FIELDS, shape),
        trace=_trace_description(shape, of_root=False),
        trace_of_root=_trace_description(shape, of_root=True),
        input_output=tuple(r.read for r in _readers(INPUT_OUTPUT, shape) if r.read is not None),
        metadata=observation_metadata_plan(shape),
    )


def _agent_keys(shape: Shape) -> tuple[str, ...]:
    return (OPERATION_KEY,) if OPERATION_KEY in shape.keys else ()


def _trace_description(shape: Shape, *, of_root: bool) -> Description | None:
    """Shared by the shapes that say the same of their trace: the spans of a trace do, as a rule."""
    fields = _bound(TRACE_FIELDS_OF_ROOT if of_root else TRACE_FIELDS, shape)
    if not fields:
        return None
    keys = tuple(_keys_of(fields))
    return _shared_description(shape.dialect, keys, of_root)


def _shared_description(dialect: Dialect, keys: tuple[str, ...], of_root: bool) -> Description:
    key = (dialect, keys, of_root)
    known = _descriptions.get(key)
    if known is None:
        known = _descriptions.keep(key, _new_description(*key), _bytes_of(keys))
    return known


def _new_description(dialect: Dialect, keys: tuple[str, ...], of_root: bool) -> Description:
    fields = TRACE_FIELDS_OF_ROOT if of_root else TRACE_FIELDS
    return _description(_bound(fields, Shape(dialect, keys)))


def _description(fields: Fields, more_keys: tuple[str, ...] = ()) -> Description:
    keys = tuple(dict.fromkeys((*_keys_of(fields), *more_keys)))
    if not keys:
        return Description(fields, lambda _attributes: ())
    return Description(fields, itemgetter(keys[0], *keys))  # of one key it would make no tuple


def _keys_of(fields: Fields) -> Iterator[str]:
    for _, readers in fields:
        for reader in readers:
            yield from reader.needs or ()


def _bound(table: dict[str, tuple[Source, ...]], shape: Shape) -> Fields:
    fields = ((field, _readers(sources, shape)) for field, sources in table.items())
    return tuple((field, readers) for field, readers in fields if readers)


def _readers(sources: tuple[Source, ...], shape: Shape) -> tuple[Reader, ...]:
    return tuple(bound for source in sources if (bound := source.bind(shape)) is not None)
