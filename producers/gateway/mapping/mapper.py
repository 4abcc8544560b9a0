"""Map spans to observations by the mapping tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from producers import metrics
from producers.bounded_cache import BoundedCache, size_of
from producers.gateway.failures import PROCESSING_FAILED, describe_failure
from producers.gateway.mapping.metadata import observation_metadata
from producers.gateway.mapping.origin import OriginFacts, facts_of
from producers.gateway.mapping.plan import Description, Fields, Plan, plans_of
from producers.gateway.mapping.values import attribute_text
from producers.gateway.otlp import Export, ExportedSpan, Origin
from producers.gateway.values.reported_usage import reported_text
from producers.langfuse_sdk import Sdk
from tracemill.contract import Observation, TraceAttributes
from tracemill.reconciliation import Reconciled

ORIGINS_MAX_BYTES: Final = 32 * 1024 * 1024
"""Maximum memory of cached origins and of values that are derived from them."""
SLICE_ATTRIBUTES_MAX: Final = 4_096
"""Maximum attributes of a slice. A slice is mapped in a few milliseconds, or at worst in 100."""
_ATTRIBUTES_OF_SPAN: Final = 8
"""Weight of a span itself, as a number of attributes."""
AGE_MAX_US: Final = 3_653 * 86_400_000_000
"""Maximum age of a span's start when it is received: ten years."""
AHEAD_MAX_US: Final = 86_400_000_000
"""Maximum time that a client's clock may be ahead: one day."""


class Refusal(msgspec.Struct, frozen=True):
    """An observation that cannot be stored."""

    observation: Observation
    reason: str
    """A short code: ``start_too_old``, ``start_in_future``, ``end_in_future``, ``invalid_time`` or
    ``processing_failed``."""
    detail: str
    payload: bytes = b""
    """Payload of the dead letter, if the observation does not contain all of it."""


class Mapped(msgspec.Struct, frozen=True):
    """The observations of one slice of an export, and those that are rejected."""

    observations: list[Observation]
    refusals: list[Refusal]


_facts: BoundedCache[tuple[int, Sdk], tuple[Origin, OriginFacts]] = BoundedCache(
    "origins_max_bytes", ORIGINS_MAX_BYTES
)
"""Keys contain the ``id()`` of an origin, which stays unique because values reference it."""
_NO_SDK: Final = Sdk()


def map_in_slices(
    export: Export, project_id: str, received_us: int, sdk: Sdk = _NO_SDK
) -> Iterator[Mapped]:
    """Map every span to an observation, in slices, so that callers can pause between them.

    A span that has a time out of range, or that cannot be mapped, is rejected alone.
    """
    observations: list[Observation] = []
    refusals: list[Refusal] = []
    oldest_us, latest_us = received_us - AGE_MAX_US, received_us + AHEAD_MAX_US
    remaining = SLICE_ATTRIBUTES_MAX
    for group in export.groups:
        if not group.spans:
            continue
        try:
            facts = _facts_of(group.origin, sdk)
        except Exception as error:  # noqa: BLE001  a bug must not lose the other origins' spans
            refusals += [_failed(span, project_id, received_us, error) for span in group.spans]
            continue
        observation_of = _Mapper(facts, project_id, received_us).observation
        for span in group.spans:
            if remaining <= 0:
                yield Mapped(observations, refusals)
                observations, refusals, remaining = [], [], SLICE_ATTRIBUTES_MAX
            remaining -= len(span.attributes) + _ATTRIBUTES_OF_SPAN
            try:
                observation = observation_of(span)
            except Exception as error:  # noqa: BLE001  a bug must not lose the other spans
                refusals.append(_failed(span, project_id, received_us, error))
                continue
            start_us, end_us = observation.start_us or 0, observation.end_us or 0
            first_us = observation.completion_start_us
            if first_us is not None and not oldest_us <= first_us <= latest_us:
                observation.completion_start_us = None
                metrics.VALUES_DROPPED.labels(field="completion_start_time").inc()
            if span.fault:
                refusals.append(Refusal(observation, "invalid_time", span.fault))
            elif oldest_us <= start_us and end_us <= latest_us:
                observations.append(observation)
            else:
                refusals.append(_refusal(observation, start_us, end_us, oldest_us, latest_us))
    yield Mapped(observations, refusals)


def _failed(span: ExportedSpan, project_id: str, received_us: int, error: Exception) -> Refusal:
    observation = Observation(
        project_id=project_id, trace_id=span.trace_id, id=span.span_id, ts_us=received_us
    )
    try:
        payload = msgspec.json.encode(span)
    except Exception:  # noqa: BLE001  what cannot be mapped may not be encodable either
        payload = ascii(span.attributes).encode()
    return Refusal(observation, PROCESSING_FAILED, describe_failure("span_map", error), payload)


def _refusal(
    observation: Observation, start_us: int, end_us: int, oldest_us: int, latest_us: int
) -> Refusal:
    if start_us < oldest_us:
        return Refusal(observation, "start_too_old", f"start {start_us} µs is before {oldest_us}")
    name, value = ("start", start_us) if start_us > latest_us else ("end", end_us)
    detail = f"{name} {value} µs is after {latest_us}"
    return Refusal(observation, f"{name}_in_future", detail)


def _facts_of(origin: Origin, sdk: Sdk) -> OriginFacts:
    known = _facts.get((id(origin), sdk))
    if known is None:
        facts = facts_of(origin, sdk)
        # The metadata is cached twice, and the origin itself as well.
        size = 3 * size_of(facts.metadata_text) + size_of(origin.resource) + size_of(origin.scope)
        size += size_of(sdk.name) + size_of(sdk.version)
        known = _facts.keep((id(origin), sdk), (origin, facts), size)
    return known[1]


class _Mapper:
    """Map the spans of one origin.

    Templates of observations and trace attributes depend on few attributes and are cached.
    """

    def __init__(self, facts: OriginFacts, project_id: str, received_us: int) -> None:
        self._facts = facts
        self._received_us = received_us
        self._plans = plans_of(facts.dialect)
        self._blank = Observation(
            project_id=project_id, trace_id="", id="", ts_us=0, **facts.defaults
        )
        # Keys contain the types of values: 1, 1.0 and True are equal, but mapped differently.
        self._templates: dict[tuple[Any, ...], Observation] = {}
        self._traces: dict[tuple[Any, ...], TraceAttributes] = {}

    def observation(self, span: ExportedSpan) -> Observation:
        plan = self._plans.of(span)
        start_us = (span.start_ns or span.end_ns) // 1000 or self._received_us
        end_us = max(span.end_ns // 1000, start_us)
        observation = replace(
            self._template(span, plan),
            trace_id=span.trace_id,
            id=span.span_id,
            ts_us=end_us,
            parent_id=span.parent_id,
            start_us=start_us,
            end_us=end_us,
            metadata=observation_metadata(span, plan.metadata, self._facts),
        )
        for field in plan.undecided:
            if getattr(observation, field[0]) is None:
                _read((field,), span, observation)
        _read(plan.observation, span, observation)
        usage: Any = observation.usage
        if usage is not None:
            _set_usage(observation, usage)
        if observation.name is None:
            observation.name = span.name or None
        if plan.prompt and observation.type == "GENERATION":
            _read(plan.prompt, span, observation)
        for read in plan.input_output:
            found = read(span)
            if found is not None:
                observation.input, observation.output = found
                break
        is_root = span.parent_id is None or observation.app_root
        description = plan.trace_of_root if is_root else plan.trace
        observation.trace = self._trace(span, description, is_root)
        return observation

    def _template(self, span: ExportedSpan, plan: Plan) -> Observation:
        """Return an observation with the span's descriptive fields."""
        values = plan.described.values_of(span.attributes)
        key = (plan, values, tuple(map(type, values)))
        try:
            found = self._templates.get(key)
        except TypeError:  # a list or a map among the values
            return self._new_template(span, plan)
        if found is None:
            found = self._templates[key] = self._new_template(span, plan)
        return found

    def _new_template(self, span: ExportedSpan, plan: Plan) -> Observation:
        template = replace(self._blank)
        _read(plan.described.fields, span, template)
        return template

    def _trace(
        self, span: ExportedSpan, description: Description | None, is_root: bool
    ) -> TraceAttributes | None:
        """Return the trace attributes that a span and its origin set."""
        if description is None:
            return self._trace_of_origin(is_root)
        values = description.values_of(span.attributes)
        key = (description, values, tuple(map(type, values)), is_root)
        try:
            found = self._traces.get(key)
        except TypeError:  # a list or a map among the values
            return self._new_trace(span, description, is_root)
        if found is None:
            found = self._traces[key] = self._new_trace(span, description, is_root)
        return found

    def _new_trace(
        self, span: ExportedSpan, description: Description, is_root: bool
    ) -> TraceAttributes:
        trace = self._trace_of_origin(is_root) or TraceAttributes()
        _read(description.fields, span, trace)
        return trace

    def _trace_of_origin(self, is_root: bool) -> TraceAttributes | None:
        """Return the release of the resource and, for roots, its service version."""
        facts = self._facts
        version = facts.service_version if is_root else None
        if facts.release is None and version is None:
            return None
        return TraceAttributes(release=facts.release, version=version)


def _set_usage(observation: Observation, usage: Reconciled) -> None:
    """Set the fields of an observation from the reconciled usage of its span."""
    observation.usage = usage.counts
    if usage.reported is not None:
        observation.reported_usage = reported_text(usage)
    if usage.uncertain:
        observation.usage_uncertain = usage.uncertain
    if usage.service_tier:  # outranks one in the metadata
        observation.service_tier = usage.service_tier


def _read(plan: Fields, span: ExportedSpan, record: Observation | TraceAttributes) -> None:
    """Set each field of a record to the first value that one of its readers returns."""
    attributes = span.attributes
    for field, readers in plan:
        for key, read, _needs in readers:
            if read is None:
                value = attributes[key]
                if type(value) is not str or not value:
                    value = attribute_text(value)
            else:
                value = read(attributes[key] if key else span)
            if value is not None:
                setattr(record, field, value)
                break
