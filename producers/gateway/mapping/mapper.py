"""Spans to observations: the tables, applied."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from producers.gateway.mapping.metadata import observation_metadata
from producers.gateway.mapping.origin import OriginFacts, Sdk, facts_of
from producers.gateway.mapping.plan import Fields, Plan, plans_of
from producers.gateway.mapping.values import text_of
from producers.gateway.otlp import Export, ExportedSpan, Origin
from tracemill.contract import Observation, TraceAttributes

ORIGINS_MAX: Final = 1_024
AGE_MAX_US: Final = 3_653 * 86_400_000_000
"""The oldest start: ten years before the span was received."""
AHEAD_MAX_US: Final = 86_400_000_000
"""How far a client's clock may be ahead."""


class Refusal(msgspec.Struct, frozen=True):
    """An observation that cannot be stored."""

    observation: Observation
    reason: str
    """A short code: ``start_too_old``, ``start_in_future`` or ``end_in_future``."""
    detail: str


class Mapped(msgspec.Struct, frozen=True):
    """What an export says."""

    observations: list[Observation]
    refusals: list[Refusal]


_facts: dict[tuple[int, Sdk], tuple[Origin, OriginFacts]] = {}
"""By the identity of the origin, which the value keeps alive."""
_NO_SDK: Final = Sdk()
_join: Final = "".join


def map_export(export: Export, project_id: str, received_us: int, sdk: Sdk = _NO_SDK) -> Mapped:
    """Every span as a whole observation, in the order of the export; those whose times cannot be true are refused one by one."""
    observations: list[Observation] = []
    refusals: list[Refusal] = []
    oldest_us, latest_us = received_us - AGE_MAX_US, received_us + AHEAD_MAX_US
    for group in export.groups:
        facts = _facts_of(group.origin, sdk)
        for observation in _observations(group.spans, facts, project_id, received_us):
            start_us, end_us = observation.start_us or 0, observation.end_us or 0
            if oldest_us <= start_us and end_us <= latest_us:
                observations.append(observation)
            else:
                refusals.append(_refusal(observation, start_us, end_us, oldest_us, latest_us))
    return Mapped(observations, refusals)


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
        if len(_facts) >= ORIGINS_MAX:
            _facts.clear()
        known = _facts[id(origin), sdk] = (origin, facts_of(origin, sdk))
    return known[1]


def _observations(
    spans: list[ExportedSpan], facts: OriginFacts, project_id: str, received_us: int
) -> Iterator[Observation]:
    plan_of = plans_of(facts.dialect).of
    blank = Observation(project_id=project_id, trace_id="", id="", ts_us=0, **facts.defaults)
    templates: dict[tuple[Plan, tuple[Any, ...]], Observation] = {}
    for span in spans:
        plan = plan_of(span)
        description = plan.described_by(span.attributes)
        try:
            _join(
                description
            )  # only strings: equal values of other types may mean different things
            template = templates[plan, description]
        except KeyError:
            template = templates[plan, description] = _template(blank, span, plan)
        except TypeError:
            template = _template(blank, span, plan)
        yield _observation(template, span, plan, facts, received_us)


def _template(blank: Observation, span: ExportedSpan, plan: Plan) -> Observation:
    template = msgspec.structs.replace(blank)
    _read(plan.descriptive, span, template)
    return template


def _observation(
    template: Observation, span: ExportedSpan, plan: Plan, facts: OriginFacts, received_us: int
) -> Observation:
    start_us = (span.start_ns or span.end_ns) // 1000 or received_us
    end_us = max(span.end_ns // 1000, start_us)
    observation = msgspec.structs.replace(
        template,
        trace_id=span.trace_id,
        id=span.span_id,
        ts_us=end_us,
        parent_id=span.parent_id,
        start_us=start_us,
        end_us=end_us,
        metadata=observation_metadata(span, plan.metadata, facts),
    )
    for field in plan.undecided:
        if getattr(observation, field[0]) is None:
            _read((field,), span, observation)
    _read(plan.observation, span, observation)
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
    trace_version = facts.service_version if is_root else None
    if plan.trace or facts.release is not None or trace_version is not None:
        observation.trace = TraceAttributes(release=facts.release, version=trace_version)
        _read(plan.trace, span, observation.trace)
    return observation


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
