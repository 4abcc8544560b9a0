"""Compile the mapping tables to plans, one for each shape of spans."""

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
    OBSERVATION_FIELDS,
    PROMPT_FIELDS,
    TRACE_FIELDS,
    TRACE_FIELDS_OF_ROOT,
)
from producers.gateway.otlp import AttributeValue, ExportedSpan

PLAN_MAX_BYTES: Final = 256 * 1024
"""Maximum estimated size of a cached plan; a larger one is used once."""
PLANS_MAX_BYTES: Final = 32 * 1024 * 1024
"""Maximum estimated size of all cached plans; clients can send any number of shapes."""
DESCRIPTIONS_MAX_BYTES: Final = 16 * 1024 * 1024
"""Maximum estimated size of the cached descriptions of traces."""
_BYTES_OF_PLAN: Final = 2_048
_BYTES_OF_KEY: Final = 300

Field: TypeAlias = tuple[str, tuple[Reader, ...]]
"""The name of a field and its readers, in order of precedence."""
Fields: TypeAlias = tuple[Field, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Description:
    """Fields that depend only on some attributes: if these are equal, the fields are equal."""

    fields: Fields
    values_of: Callable[[dict[str, AttributeValue]], tuple[Any, ...]]
    """Function that returns the values of these attributes."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The readers of each field for a shape."""

    described: Description
    """Descriptive fields, which are equal for observations with equal attributes."""
    undecided: Fields
    """Readers of descriptive fields that need the whole span, if ``described`` gives no value."""
    observation: Fields
    """The other fields."""
    prompt: Fields
    trace: Description | None
    trace_of_root: Description | None
    input_output: tuple[Callable[[ExportedSpan], InputOutput | None], ...]
    metadata: MetadataPlan


class _PlanCache:
    """Limit the size of all plans; above ``PLANS_MAX_BYTES``, all are evicted."""

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
            for evicted in self._stores:
                evicted.clear()
            self._bytes = 0
        self._bytes += size
        store[shape] = plan
        return plan


def _bytes_of(keys: tuple[str, ...]) -> int:
    """Return the estimated size of a plan for these keys."""
    return _BYTES_OF_PLAN + _BYTES_OF_KEY * len(keys) + 2 * sum(map(getsizeof, keys))


_plan_cache: Final = _PlanCache()
_descriptions: BoundedCache[tuple[Dialect, tuple[str, ...], bool], Description] = BoundedCache(
    "descriptions_max_bytes", DESCRIPTIONS_MAX_BYTES
)


class Plans:
    """The plans of one dialect, which are compiled on first use and cached."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._of_plain = _plan_cache.new_store()
        self._of_others = _plan_cache.new_store()

    def of(self, span: ExportedSpan) -> Plan:
        keys = tuple(span.attributes)
        if span.events or span.status_code or span.status_message:
            shape = (bool(span.events), bool(span.status_code or span.status_message), keys)
            return self._of_others.get(shape) or _plan_cache.keep(
                self._of_others, shape, self._plan(*shape), keys
            )
        return self._of_plain.get(keys) or _plan_cache.keep(
            self._of_plain, keys, self._plan(False, False, keys), keys
        )

    def _plan(self, has_events: bool, has_status: bool, keys: tuple[str, ...]) -> Plan:
        return _plan_of(Shape(self._dialect, keys, has_events, has_status))


plans_of: Final = cache(Plans)
"""Return the plans of a dialect. There are few dialects: one per scope with its own rules."""


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
        described=_description(tuple(descriptive)),
        undecided=tuple(undecided),
        observation=tuple(others),
        prompt=_bound(PROMPT_FIELDS, shape),
        trace=_trace_description(shape, of_root=False),
        trace_of_root=_trace_description(shape, of_root=True),
        input_output=tuple(r.read for r in _readers(INPUT_OUTPUT, shape) if r.read is not None),
        metadata=observation_metadata_plan(shape),
    )


def _trace_description(shape: Shape, *, of_root: bool) -> Description | None:
    """Return the description of the trace; shapes with the same trace attributes share it."""
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


def _description(fields: Fields) -> Description:
    keys = tuple(dict.fromkeys(_keys_of(fields)))
    if not keys:
        return Description(fields, lambda _attributes: ())
    # The first key is repeated, because ``itemgetter`` of a single key returns no tuple.
    return Description(fields, itemgetter(keys[0], *keys))


def _keys_of(fields: Fields) -> Iterator[str]:
    for _, readers in fields:
        for reader in readers:
            yield from reader.needs or ()


def _bound(table: dict[str, tuple[Source, ...]], shape: Shape) -> Fields:
    fields = ((field, _readers(sources, shape)) for field, sources in table.items())
    return tuple((field, readers) for field, readers in fields if readers)


def _readers(sources: tuple[Source, ...], shape: Shape) -> tuple[Reader, ...]:
    return tuple(bound for source in sources if (bound := source.bind(shape)) is not None)
