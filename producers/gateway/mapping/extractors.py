"""Compute the fields that need more than one converted attribute."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from producers.gateway.mapping.values import attribute_text, encode_json, object_of
from producers.gateway.otlp import AttributeValue, ExportedSpan
from producers.gateway.values.usage import count_of

STATUS_ERROR: Final = 2
_PROMPT_VERSION_MAX: Final = 2**31 - 1
_LIVEKIT_DETAILS: Final = frozenset(
    [
        "user_speaking",
        "eou_detection",
        "llm_request_run",
        "tts_node",
        "tts_request",
        "tts_request_run",
        "tts_stream_adapter",
        "agent_speaking",
        "drain_agent_activity",
        "on_exit",
        "on_enter",
        "llm_fallback_adapter",
        "tts_fallback_adapter",
        "start_agent_activity",
    ]
)
"""Names of internal spans of livekit-agents."""


def vercel_name(span: ExportedSpan) -> str | None:
    """Return ``function:operation``, or only the operation if there is no function id."""
    operation = attribute_text(span.attributes.get("ai.operationId"))
    function = attribute_text(span.attributes.get("ai.telemetry.functionId"))
    return f"{function}:{operation}" if function and operation else operation


def level_of_status(span: ExportedSpan) -> str | None:
    return "ERROR" if span.status_code == STATUS_ERROR else None


def livekit_level(span: ExportedSpan) -> str | None:
    return "DEBUG" if span.name in _LIVEKIT_DETAILS else None


def message_of_status(span: ExportedSpan) -> str | None:
    return span.status_message or None


def genkit_model(span: ExportedSpan) -> str | None:
    """Return the name of a model span, which Genkit names after the model."""
    attributes = span.attributes
    is_model = attributes.get("genkit:metadata:subtype") == "model"
    return attribute_text(attributes.get("genkit:name")) if is_model else None


def after_start(key: str) -> Callable[[ExportedSpan], int | None]:
    """Return a function that adds the milliseconds in an attribute to the start of the span (µs).

    The milliseconds are rounded up.
    """

    def read(span: ExportedSpan) -> int | None:
        delay_ms = span.attributes.get(key)
        try:
            delay_ms = math.ceil(float(delay_ms))  # type: ignore[arg-type]
        except (TypeError, ValueError, OverflowError):
            return None
        if delay_ms < 0 or not span.start_ns:
            return None
        return span.start_ns // 1000 + delay_ms * 1000

    return read


def prompt_version_of(value: AttributeValue) -> int | None:
    version = count_of(value)
    return version if version is not None and version <= _PROMPT_VERSION_MAX else None


def vercel_prompt_name(value: AttributeValue) -> str | None:
    prompt = object_of(value)
    return attribute_text(prompt.get("name")) if prompt else None


def vercel_prompt_version(value: AttributeValue) -> int | None:
    prompt = object_of(value)
    return prompt_version_of(prompt.get("version")) if prompt else None


_VERCEL_PARAMETERS: Final[dict[str, tuple[str, ...]]] = {
    "maxSteps": ("ai.settings.maxSteps",),
    "toolChoice": ("ai.prompt.toolChoice",),
    "maxTokens": ("gen_ai.request.max_tokens",),
    "finishReason": ("gen_ai.response.finish_reasons", "gen_ai.finishReason"),
    "system": ("gen_ai.system", "ai.model.provider"),
    "maxRetries": ("ai.settings.maxRetries",),
    "mode": ("ai.settings.mode",),
    "temperature": ("gen_ai.request.temperature",),
    "service_tier": ("gen_ai.request.service_tier",),
}


def vercel_parameters(span: ExportedSpan) -> str | None:
    attributes = span.attributes
    found: dict[str, Any] = {}
    for name, keys in _VERCEL_PARAMETERS.items():
        for key in keys:
            if attributes.get(key) is not None:
                found[name] = attributes[key]
                break
    provider_metadata = object_of(attributes.get("ai.response.providerMetadata")) or {}
    openai = provider_metadata.get("openai")
    if isinstance(openai, dict) and isinstance(openai.get("serviceTier"), str):
        found["service_tier"] = openai["serviceTier"]
    found |= object_of(attributes.get("langfuse.observation.model.parameters")) or {}
    return encode_json(found).decode() if found else None


def genkit_parameters(span: ExportedSpan) -> str | None:
    request = object_of(span.attributes.get("genkit:input")) or {}
    config = request.get("config")
    if not isinstance(config, dict):
        response = object_of(span.attributes.get("genkit:output")) or {}
        echoed = response.get("request")
        config = echoed.get("config") if isinstance(echoed, dict) else None
    return encode_json(config).decode() if isinstance(config, dict) and config else None


def parameters_below(span: ExportedSpan, pairs: tuple[tuple[str, str], ...]) -> str | None:
    return encode_json({name: span.attributes[key] for key, name in pairs}).decode()
