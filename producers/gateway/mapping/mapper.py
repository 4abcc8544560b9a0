"""Spans to observations: the tables, applied."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from producers import metrics
from producers.bounded_cache import BoundedCache, size_of
from producers.gateway.failures import PROCESSING_FAILED, describe_failure
from producers.gateway.mapping.metadata import observation_metadata
from producers.gateway.mapping.origin import OriginFacts, Sdk, facts_of
from producers.gateway.mapping.plan import Description, Fields, Plan, plans_of
from producers.gateway.mapping.tables import AGENT_OPERATIONS, OPERATION_KEY
from producers.gateway.mapping.values import text_of
from producers.gateway.otlp import Export, ExportedSpan, Origin
from tracemill.contract import Observation, TraceAttributes

ORIGINS_MAX_BYTES: Final = 32 * 1024 * 1024
"""Memory of the cached origins and what is derived from them."""
SLICE_ATTRIBUTES_MAX: Final = 4_096
"""Attributes of a slice: a few milliseconds of spans that look alike, a tenth of a second of the worst."""
_ATTRIBUTES_OF_SPAN: Final = 8
"""What a span without attributes counts for."""
AGE_MAX_US: Final = 3_653 * 86_400_000_000
"""The oldest start: ten years before the span was received."""
AHEAD_MAX_US: Final = 86_400_000_000
"""How far a client's clock may be ahead."""


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
    """What an export says."""

    observations: list[Observation]
    refusals: list[Refusal]


_facts: BoundedCache[tuple[int, Sdk], tuple[Origin, OriginFacts]] = BoundedCache(
    "origins_max_bytes", ORIGINS_MAX_BYTES
)
"""By the identity of the origin, which the value keeps alive."""
_NO_SDK: Final = Sdk()


def map_export(export: Export, project_id: str, received_us: int, sdk: Sdk = _NO_SDK) -> Mapped:
    """Every span as a whole observation, in the order of the export; those whose times cannot be true are refused one by one."""
    slices = [*map_in_slices(export, project_id, received_us, sdk)]
    return Mapped(
        [observation for mapped in slices for observation in mapped.observations],
        [refusal for mapped in slices for refusal in mapped.refusals],
    )


def map_in_slices(
    export: Export, project_id: str, received_us: int, sdk: Sdk = _NO_SDK
) -> Iterator[Mapped]:
    """As ``map_export``, slice by slice, so that a large export need not be mapped at one go. A slice is done with when the next is asked for."""
    observations: list[Observation] = []
    refusals: list[Refusal] = []
    oldest_us, latest_us = received_us - AGE_MAX_US, received_us + AHEAD_MAX_US
    room = SLICE_ATTRIBUTES_MAX
    for group in export.groups:
        if not group.spans:
            continue
        try:
            facts = _facts_of(group.origin, sdk)
        except Exception as error:  # noqa: BLE001  as below: it costs the spans of this origin
            refusals += [_failed(span, project_id, received_us, error) for span in group.spans]
            continue
        observation_of = _Mapper(facts, project_id, received_us).observation
        for span in group.spans:
            if room <= 0:
                yield Mapped(observations, refusals)
                observations, refusals, room = [], [], SLICE_ATTRIBUTES_MAX
            room -= len(span.attributes) + _ATTRIBUTES_OF_SPAN
            try:
                observation = observation_of(span)
            except Exception as error:  # noqa: BLE001  a bug must cost no more than the span
                refusals.append(_failed(span, project_id, received_us, error))
                continue
            start_us, end_us = observation.start_us or 0, observation.end_us or 0
            completion_us = observation.completion_start_us
            if completion_us is not None and not oldest_us <= completion_us <= latest_us:
                # One field that cannot be true must not cost the observation.
                metrics.VALUES_DROPPED.labels(field="completion_start_time").inc()
                observation.completion_start_us = None
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
        # Its metadata is kept twice, and the origin itself with it.
        size = 3 * size_of(facts.metadata_text) + size_of(origin.resource) + size_of(origin.scope)
        size += size_of(sdk.name) + size_of(sdk.version)
        known = _facts.keep((id(origin), sdk), (origin, facts), size)
    return known[1]


class _Mapper:
    """Maps the spans of one origin. What many of them have in common is worked out once: templates of observations, and what is said of traces."""

    def __init__(self, facts: OriginFacts, project_id: str, received_us: int) -> None:
        self._facts = facts
        self._received_us = received_us
        self._plans = plans_of(facts.dialect)
        self._blank = Observation(
            project_id=project_id, trace_id="", id="", ts_us=0, **facts.defaults
        )
        # Keys hold the types of the values too: 1, 1.0 and True are equal, but do not say the same.
        self._templates: dict[tuple[Any, ...], tuple[Observation, Fields]] = {}
        self._traces: dict[tuple[Any, ...], TraceAttributes] = {}

    def observation(self, span: ExportedSpan) -> Observation:
        plan = self._plans.of(span)
        template, fields = self._template(span, plan)
        start_us = (span.start_ns or span.end_ns) // 1000 or self._received_us
        end_us = max(span.end_ns // 1000, start_us)
        observation = replace(
            template,
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
        _read(fields, span, observation)
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
        said = plan.trace_of_root if is_root else plan.trace
        observation.trace = self._trace(span, said, is_root)
        return observation

    def _template(self, span: ExportedSpan, plan: Plan) -> tuple[Observation, Fields]:
        """An observation with the descriptive fields of the span, and the fields that remain to be read."""
        described_by = plan.described.values_of(span.attributes)
        key = (plan, described_by, tuple(map(type, described_by)))
        try:
            found = self._templates.get(key)
        except TypeError:  # a list or a map among the values
            return self._new_template(span, plan)
        if found is None:
            found = self._templates[key] = self._new_template(span, plan)
        return found

    def _new_template(self, span: ExportedSpan, plan: Plan) -> tuple[Observation, Fields]:
        template = replace(self._blank)
        _read(plan.described.fields, span, template)
        if span.attributes.get(OPERATION_KEY) not in AGENT_OPERATIONS:
            return template, plan.observation
        template.model = None
        return template, plan.observation_of_agent

    def _trace(
        self, span: ExportedSpan, said: Description | None, is_root: bool
    ) -> TraceAttributes | None:
        """What the span says about its trace."""
        if said is None:
            return self._said_by_origin(is_root)
        said_by = said.values_of(span.attributes)
        key = (said, said_by, tuple(map(type, said_by)), is_root)
        try:
            found = self._traces.get(key)
        except TypeError:  # a list or a map among the values
            return self._new_trace(span, said, is_root)
        if found is None:
            found = self._traces[key] = self._new_trace(span, said, is_root)
        return found

    def _new_trace(self, span: ExportedSpan, said: Description, is_root: bool) -> TraceAttributes:
        trace = self._said_by_origin(is_root) or TraceAttributes()
        _read(said.fields, span, trace)
        return trace

    def _said_by_origin(self, is_root: bool) -> TraceAttributes | None:
        """The release, and of roots the version of their service."""
        facts = self._facts
        version = facts.service_version if is_root else None
        if facts.release is None and version is None:
            return None
        return TraceAttributes(release=facts.release, version=version)


def _read(plan: Fields, span: ExportedSpan, record: Observation | TraceAttributes) -> None:
    """Set the fields of a record to the first answer of their readers."""
    attributes = span.attributes
    for field, readers in plan:
        for key, read, _needs in readers:
            if read is None:
                value = attributes[key]
                if type(value) is not str or not value:
                    value = text_of(value)
            else:
                value = read(attributes[key] if key else span)
            if value is not None:
                setattr(record, field, value)
                break
