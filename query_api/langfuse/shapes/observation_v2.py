"""Define observations of ``/api/public/v2/observations``, with groups of fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from query_api.json_texts import Shown, members
from query_api.langfuse.shapes.observation_v1 import (
    first_token_us,
    seconds_between,
    sent_first_token_us,
    shown_parameters,
)
from query_api.money import usd_number
from query_api.store.rows import StoredObservation, StoredTrace
from query_api.times import iso, iso_or_none
from query_api.usage import (
    cost_details,
    differing_cost_pico,
    has_cost,
    usage_details,
    usage_role,
)

METADATA_CUT: Final = 200
"""Length to which metadata values are cut, unless ``expandMetadata`` has their key."""

_UNSET: Final = msgspec.UNSET
_Unset = msgspec.UnsetType


class ObservationV2(msgspec.Struct, rename="camel", kw_only=True, gc=False):
    """An observation with the requested groups of fields; input and output are raw strings."""

    id: str
    trace_id: str
    start_time: str
    end_time: str | None
    project_id: str
    parent_observation_id: str | None
    type: str
    name: str | _Unset | None = _UNSET
    level: str | _Unset = _UNSET
    status_message: str | _Unset | None = _UNSET
    version: str | _Unset | None = _UNSET
    environment: str | _Unset = _UNSET
    bookmarked: bool | _Unset = _UNSET
    public: bool | _Unset = _UNSET
    user_id: str | _Unset | None = _UNSET
    session_id: str | _Unset | None = _UNSET
    is_root_observation: bool | _Unset = _UNSET
    completion_start_time: str | _Unset | None = _UNSET
    created_at: str | _Unset = _UNSET
    updated_at: str | _Unset = _UNSET
    input: str | _Unset | None = _UNSET
    output: str | _Unset | None = _UNSET
    tool_definitions: dict[str, str] | _Unset = _UNSET
    tool_calls: tuple[str, ...] | _Unset = _UNSET
    tool_call_names: tuple[str, ...] | _Unset = _UNSET
    metadata: dict[str, msgspec.Raw] | _Unset = _UNSET
    model: str | _Unset | None = _UNSET
    provided_model_name: str | _Unset | None = _UNSET
    internal_model_id: str | _Unset | None = _UNSET
    model_id: str | _Unset | None = _UNSET
    model_parameters: Shown | _Unset = _UNSET
    input_price: str | _Unset | None = _UNSET
    output_price: str | _Unset | None = _UNSET
    total_price: str | _Unset | None = _UNSET
    usage_details: dict[str, int] | _Unset = _UNSET
    cost_details: dict[str, float] | _Unset = _UNSET
    usage_uncertain: str | _Unset | None = _UNSET
    unpriced_usage: tuple[str, ...] | _Unset = _UNSET
    service_tier: str | _Unset | None = _UNSET
    usage_role: str | _Unset | None = _UNSET
    """``summary`` if the trace counts the usage of the observation's descendants instead of its
    own; else null."""
    computed_total_cost: float | _Unset | None = _UNSET
    """Computed cost, if it differs by more than 10 % from the given cost, which is used."""
    total_cost: float | _Unset | None = _UNSET
    usage_pricing_tier_name: str | _Unset | None = _UNSET
    prompt_id: str | _Unset | None = _UNSET
    prompt_name: str | _Unset | None = _UNSET
    prompt_version: int | _Unset | None = _UNSET
    latency: float | _Unset | None = _UNSET
    time_to_first_token: float | _Unset | None = _UNSET
    tags: list[str] | _Unset = _UNSET
    release: str | _Unset | None = _UNSET
    trace_name: str | _Unset | None = _UNSET


def observation_v2(
    row: StoredObservation,
    trace: StoredTrace | None,
    groups: frozenset[str],
    expanded: frozenset[str],
) -> ObservationV2:
    """Return an observation; ``expanded`` has the metadata keys that are not cut.

    The user, the session and the context of the trace are those of ``trace``.
    """
    shown = ObservationV2(
        id=row.id,
        trace_id=row.trace_id,
        start_time=iso(row.start_us),
        end_time=iso_or_none(row.end_us),
        project_id=row.project_id,
        parent_observation_id=row.parent_id or None,
        type=row.type,
    )
    for group in groups:
        for name, value in _GROUPS[group](row, trace).items():
            setattr(shown, name, value)
    if "metadata" in groups:
        shown.metadata = {
            key: value if key in expanded else _cut(value)
            for key, value in members(row.metadata).items()
        }
    return shown


def _core(_row: StoredObservation, _trace: StoredTrace | None) -> dict[str, Any]:
    return {}


def _basic(row: StoredObservation, trace: StoredTrace | None) -> dict[str, Any]:
    return {
        "name": row.name or None,
        "level": row.level,
        "status_message": row.status_message or None,
        "version": row.version or None,
        "environment": row.environment,
        "bookmarked": False,
        "public": bool(trace.public) if trace else False,
        "user_id": (trace.user_id if trace else row.user_id) or None,
        "session_id": (trace.session_id if trace else row.session_id) or None,
        "is_root_observation": not row.parent_id or row.app_root > 0,
    }


def _time(row: StoredObservation, _trace: StoredTrace | None) -> dict[str, Any]:
    stored_at = iso(row.inserted_ms * 1000)
    return {
        "completion_start_time": iso_or_none(sent_first_token_us(row)),
        "created_at": stored_at,
        "updated_at": stored_at,
    }


def _io(row: StoredObservation, _trace: StoredTrace | None) -> dict[str, Any]:
    return {
        "input": row.input or None,
        "output": row.output or None,
        "tool_definitions": row.tool_definitions,
        "tool_calls": row.tool_calls,
        "tool_call_names": row.tool_call_names,
    }


def _model(row: StoredObservation, _trace: StoredTrace | None) -> dict[str, Any]:
    return {
        "model": row.model or None,
        "provided_model_name": row.model or None,
        "internal_model_id": row.price_id or None,
        "model_id": row.price_id or None,
        "model_parameters": shown_parameters(row),
        "input_price": None,
        "output_price": None,
        "total_price": None,
    }


def _usage(row: StoredObservation, _trace: StoredTrace | None) -> dict[str, Any]:
    differing = differing_cost_pico(row)
    return {
        "usage_details": usage_details(row.usage, row.reported_usage),
        "cost_details": cost_details(row),
        "usage_uncertain": row.usage_uncertain or None,
        "unpriced_usage": row.unpriced_usage,
        "service_tier": row.service_tier or None,
        "usage_role": usage_role(row),
        "computed_total_cost": None if differing is None else usd_number(differing),
        "total_cost": usd_number(row.total_cost_pico) if has_cost(row) else None,
        "usage_pricing_tier_name": None,
    }


def _prompt(row: StoredObservation, _trace: StoredTrace | None) -> dict[str, Any]:
    return {
        "prompt_id": row.prompt_id,
        "prompt_name": row.prompt_name or None,
        "prompt_version": row.prompt_version or None,
    }


def _metrics(row: StoredObservation, _trace: StoredTrace | None) -> dict[str, Any]:
    return {
        "latency": seconds_between(row.start_us, row.end_us),
        "time_to_first_token": seconds_between(row.start_us, first_token_us(row)),
    }


def _trace_context(_row: StoredObservation, trace: StoredTrace | None) -> dict[str, Any]:
    return {
        "tags": list(trace.tags) if trace else [],
        "release": (trace.release or None) if trace else None,
        "trace_name": (trace.name or None) if trace else None,
    }


_GROUPS: Final[Mapping[str, Callable[[StoredObservation, StoredTrace | None], dict[str, Any]]]] = (
    MappingProxyType(
        {
            "core": _core,
            "basic": _basic,
            "time": _time,
            "io": _io,
            "metadata": _core,
            "model": _model,
            "usage": _usage,
            "prompt": _prompt,
            "metrics": _metrics,
            "trace_context": _trace_context,
        }
    )
)
GROUPS: Final = tuple(_GROUPS)


def _cut(value: msgspec.Raw) -> msgspec.Raw:
    """Cut a string, or the JSON of another value, if it is too long."""
    raw = bytes(value)
    if len(raw) <= METADATA_CUT:
        return value
    # Other values are not decoded: a number in them may be beyond the range of doubles.
    text = msgspec.json.decode(raw, type=str) if raw.startswith(b'"') else raw.decode()
    return msgspec.Raw(msgspec.json.encode(text[:METADATA_CUT]))
