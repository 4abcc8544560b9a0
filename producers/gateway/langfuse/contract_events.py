"""Convert bodies of the ingestion API to events of the contract.

The body of a trace or an observation is a partial update, with the ``timestamp`` of its event. For
each field, the update with the latest timestamp wins, independent of the order of arrival. The
timestamp of ``*-update`` events is increased by ``UPDATE_DELAY_US``, so that they win over a create
event with the same timestamp.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from producers.errors import BodyError
from producers.gateway.langfuse.bodies import ObservationBody, TraceBody
from producers.gateway.mapping import normalise_environment
from producers.gateway.mapping.mapper import AGE_MAX_US, AHEAD_MAX_US
from producers.gateway.values.json_text import (
    contract_text,
    decode_raw,
    members_of,
    metadata_of,
)
from producers.gateway.values.reported_usage import SAME, reported_text
from producers.gateway.values.stated_costs import cost_in
from producers.gateway.values.usage import (
    cost_of_object,
    usage_of_object,
    usage_of_older_object,
)
from tracemill.contract import (
    AppCache,
    Observation,
    ObservationType,
    TraceAttributes,
    TraceUpdate,
)
from tracemill.marks import CACHE_NAMES, cache_mark_in, error_type_of
from tracemill.reconciliation import Reconciled
from tracemill.reconciliation.objects import tier_in

UPDATE_DELAY_US: Final = 1
QUOTED_CHARS_MAX: Final = 64

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

TYPE_OF_EVENT: Final[dict[str, ObservationType]] = {
    "span": "SPAN",
    "generation": "GENERATION",
    "event": "EVENT",
    "agent": "AGENT",
    "tool": "TOOL",
    "chain": "CHAIN",
    "retriever": "RETRIEVER",
    "evaluator": "EVALUATOR",
    "embedding": "EMBEDDING",
    "guardrail": "GUARDRAIL",
}
LEGACY_TYPES: Final[dict[str, ObservationType]] = {
    "GENERATION": "GENERATION",
    "SPAN": "SPAN",
    "EVENT": "EVENT",
}


class Times:
    """Parse the times of a request, which must be close enough to its arrival."""

    def __init__(self, received_us: int) -> None:
        self._plausible = range(received_us - AGE_MAX_US, received_us + AHEAD_MAX_US + 1)

    def read(self, text: str, field: str) -> int:
        """Convert an ISO 8601 time (UTC if it has no offset) to microseconds since the epoch.

        Raises:
            BodyError: it is not a time, or is too far from the arrival; the message names
                ``field``.
        """
        try:
            moment = datetime.fromisoformat(text)
        except ValueError as error:
            message = f"{field}: not an ISO 8601 time: {text[:QUOTED_CHARS_MAX]!r}"
            raise BodyError(message) from error
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        since = moment - _EPOCH
        time_us = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
        if time_us not in self._plausible:
            message = f"{field}: too far in the past or the future: {text[:QUOTED_CHARS_MAX]!r}"
            raise BodyError(message)
        return time_us

    def read_optional(self, text: str | None, field: str) -> int | None:
        """Convert a time like ``read``; return None for None."""
        return None if text is None else self.read(text, field)


def environment_of(text: str | None) -> str | None:
    """Return the normal form of an environment; None for None."""
    return None if text is None else normalise_environment(text)


def trace_update_of(
    body: TraceBody, times: Times, *, project_id: str, event_id: str, ts_us: int
) -> TraceUpdate:
    """Convert a ``trace-create`` to a partial update; the default id is that of the event."""
    return TraceUpdate(
        project_id=project_id,
        trace_id=body.id or event_id,
        ts_us=ts_us,
        environment=environment_of(body.environment),
        trace=TraceAttributes(
            name=body.name or None,
            user_id=body.user_id or None,
            session_id=body.session_id or None,
            release=body.release or None,
            version=body.version or None,
            public=body.public,
            tags=tuple(body.tags) if body.tags else None,
            metadata=metadata_of(body.metadata),
            input=_input_or_output(body.input, is_update=True),
            output=_input_or_output(body.output, is_update=True),
            start_us=times.read_optional(body.timestamp, "timestamp"),
            external_id=body.external_id or None,
        ),
    )


def observation_of(
    body: ObservationBody,
    times: Times,
    *,
    project_id: str,
    event_id: str,
    ts_us: int,
    observation_type: ObservationType,
    is_update: bool,
    trace_id: str | None,
) -> Observation:
    """Convert a create or an update of an observation to a partial update.

    If the body has no trace id, ``trace_id`` is used, or else the id of the observation.

    Raises:
        BodyError: an update has no id, a prompt name is set without a version or vice versa, or a
            time is invalid.
    """
    if is_update and body.id is None:
        message = "id: missing"
        raise BodyError(message)
    if (body.prompt_name is None) != (body.prompt_version is None):
        message = "promptName and promptVersion: set both or neither"
        raise BodyError(message)
    observation_id = body.id or event_id
    usage, cost = _usage_and_cost(body)
    start_us = times.read_optional(body.start_time, "startTime")
    end_us = times.read_optional(body.end_time, "endTime")
    first_token_us = times.read_optional(body.completion_start_time, "completionStartTime")
    return Observation(
        project_id=project_id,
        trace_id=body.trace_id or trace_id or observation_id,
        id=observation_id,
        ts_us=ts_us + UPDATE_DELAY_US if is_update else ts_us,
        partial=True,
        # SDKs also end agents and tools with ``span-update``, which must not change the type.
        type=None if is_update and observation_type == "SPAN" else observation_type,
        name=body.name,
        parent_id=body.parent_observation_id or None,
        environment=environment_of(body.environment),
        start_us=start_us,
        end_us=end_us,
        completion_start_us=first_token_us,
        level=body.level,
        status_message=body.status_message,
        error_type=error_type_of(body.status_message),
        version=body.version,
        model=body.model or None,
        model_parameters=_parameters(body.model_parameters),
        usage=usage.counts or None,
        reported_usage=(reported_text(usage) or SAME) if usage.counts else None,
        usage_uncertain=usage.uncertain if usage.counts else None,
        service_tier=usage.service_tier or _tier_in(body.metadata) or None,
        cost=cost,
        app_cache=_cache_mark_in(body.metadata),
        input=_input_or_output(body.input, is_update=is_update),
        output=_input_or_output(body.output, is_update=is_update),
        metadata=metadata_of(body.metadata),
        prompt_name=body.prompt_name,
        prompt_version=body.prompt_version,
    )


def _tier_in(metadata: msgspec.Raw) -> str:
    """Return the service tier in metadata, which are decoded only if they may contain one."""
    text = bytes(metadata)
    if b'"service_tier"' not in text and b'"serviceTier"' not in text:
        return ""
    return tier_in(members_of(metadata, ("service_tier", "serviceTier")))


def _cache_mark_in(metadata: msgspec.Raw) -> AppCache | None:
    """Return how a cache of the application answered, according to metadata."""
    if b"cache" not in bytes(metadata).lower():
        return None
    return cache_mark_in(members_of(metadata, CACHE_NAMES))


def _usage_and_cost(body: ObservationBody) -> tuple[Reconciled, dict[str, int] | None]:
    """Return usage, and cost in picodollars by type; use the older field ``usage`` as fallback."""
    details = decode_raw(body.usage_details, "body.usageDetails")
    usage = usage_of_object(details)
    cost = cost_of_object(decode_raw(body.cost_details, "body.costDetails"))
    cost = cost or cost_in(details)
    if not usage.counts or not cost:
        older_usage, older_cost = usage_of_older_object(decode_raw(body.usage, "body.usage"))
        usage, cost = usage if usage.counts else older_usage, cost or older_cost
    return usage, cost or None


def _input_or_output(raw: msgspec.Raw, *, is_update: bool) -> str | None:
    """Return an input or output as text; None for an empty object in an update."""
    text = contract_text(raw)
    return None if is_update and text == "{}" else text


def _parameters(parameters: dict[str, Any] | None) -> str | None:
    return msgspec.json.encode(parameters).decode() if parameters else None
