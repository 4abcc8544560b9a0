"""Define observations of ``/api/public/observations`` and of trace details."""

from __future__ import annotations

from typing import Final

import msgspec

from producers.langfuse_sdk import INGESTION_SCOPES
from query_api.json_texts import Shown, members, parameter_texts, parameters, shown
from query_api.money import usd_number
from query_api.store.rows import StoredObservation
from query_api.times import SECOND_US, iso, iso_or_none
from query_api.usage import (
    LegacyUsage,
    cost_details,
    differing_cost_pico,
    has_cost,
    legacy_usage,
    summed,
    usage_details,
    usage_role,
)

VERCEL_SCOPE: Final = "ai"


class ObservationV1(msgspec.Struct, rename="camel", kw_only=True, gc=False):
    """An observation. Latencies are in seconds, and costs are US dollars as JSON numbers.

    Tools are JSON texts: definitions by name, and calls as ``{id, name, arguments}``.
    """

    id: str
    project_id: str
    trace_id: str
    parent_observation_id: str | None
    name: str | None
    type: str
    environment: str
    start_time: str
    end_time: str | None
    completion_start_time: str | None
    version: str | None
    created_at: str
    updated_at: str
    input: Shown
    output: Shown
    metadata: dict[str, msgspec.Raw]
    tool_definitions: dict[str, str]
    tool_calls: tuple[str, ...]
    tool_call_names: tuple[str, ...]
    level: str
    status_message: str | None
    model: str | None
    model_parameters: Shown | dict[str, msgspec.Raw]
    model_id: str | None
    prompt_id: str | None
    prompt_name: str | None
    prompt_version: int | None
    usage_uncertain: str | None
    unpriced_usage: tuple[str, ...]
    service_tier: str | None
    usage_role: str | None
    """``summary`` if the trace counts the usage of the observation's descendants instead of its
    own; else null."""
    computed_total_cost: float | None
    """Computed cost, if it differs by more than 10 % from the given cost, which is used."""
    usage_details: dict[str, int]
    cost_details: dict[str, float]
    usage: LegacyUsage
    unit: str
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    usage_pricing_tier_id: str | None = None
    usage_pricing_tier_name: str | None = None
    input_price: float | None = None
    output_price: float | None = None
    total_price: float | None = None
    calculated_input_cost: float | None
    calculated_output_cost: float | None
    calculated_total_cost: float | None
    latency: float | None
    time_to_first_token: float | None
    user_id: str | None
    session_id: str | None


def observation_v1(row: StoredObservation) -> ObservationV1:
    details = usage_details(row.usage, row.reported_usage)
    legacy = legacy_usage(row.usage, details)
    priced = has_cost(row)
    differing = differing_cost_pico(row)
    stored_at = iso(row.inserted_ms * 1000)
    return ObservationV1(
        id=row.id,
        project_id=row.project_id,
        trace_id=row.trace_id,
        parent_observation_id=row.parent_id or None,
        name=row.name or None,
        type=row.type,
        environment=row.environment,
        start_time=iso(row.start_us),
        end_time=iso_or_none(row.end_us),
        completion_start_time=iso_or_none(sent_first_token_us(row)),
        version=row.version or None,
        created_at=stored_at,
        updated_at=stored_at,
        input=shown(row.input),
        output=shown(row.output),
        metadata=members(row.metadata),
        tool_definitions=row.tool_definitions,
        tool_calls=row.tool_calls,
        tool_call_names=row.tool_call_names,
        level=row.level,
        status_message=row.status_message or None,
        model=row.model or None,
        model_parameters=shown_parameters(row),
        model_id=row.price_id or None,
        prompt_id=row.prompt_id,
        prompt_name=row.prompt_name or None,
        prompt_version=row.prompt_version or None,
        usage_uncertain=row.usage_uncertain or None,
        unpriced_usage=row.unpriced_usage,
        service_tier=row.service_tier or None,
        usage_role=usage_role(row),
        computed_total_cost=None if differing is None else usd_number(differing),
        usage_details=details,
        cost_details=cost_details(row),
        usage=legacy,
        unit=legacy.unit,
        prompt_tokens=legacy.input,
        completion_tokens=legacy.output,
        total_tokens=legacy.total,
        calculated_input_cost=usd_number(summed(row.cost_pico, "input")) if priced else None,
        calculated_output_cost=usd_number(summed(row.cost_pico, "output")) if priced else None,
        calculated_total_cost=usd_number(row.total_cost_pico) if priced else None,
        latency=seconds_between(row.start_us, row.end_us),
        time_to_first_token=seconds_between(row.start_us, first_token_us(row)),
        user_id=row.user_id or None,
        session_id=row.session_id or None,
    )


def shown_parameters(row: StoredObservation) -> Shown | dict[str, msgspec.Raw]:
    """Return model parameters as the SDK expects that sent them: see ``parameters``.

    Langfuse shows those of Vercel's AI SDK as texts, except in versions that follow OpenTelemetry.
    """
    if row.scope_name == VERCEL_SCOPE:
        return parameter_texts(row.model_parameters)
    return parameters(row.model_parameters, as_sent=row.scope_name in INGESTION_SCOPES)


def first_token_us(row: StoredObservation) -> int:
    """Return the time of the first token, or 0 if it is unknown or outside the observation."""
    first_us, end_us = row.completion_start_us, row.end_us
    is_within = row.start_us <= first_us and (not end_us or first_us <= end_us)
    return first_us if is_within else 0


def sent_first_token_us(row: StoredObservation) -> int:
    """Return the time of the first token as it was sent, also if it is outside; 0 if unknown."""
    return row.sent_completion_start_us or row.completion_start_us


def seconds_between(start_us: int, end_us: int) -> float | None:
    return max(0, end_us - start_us) / SECOND_US if end_us else None
