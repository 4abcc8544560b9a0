"""Derive the values that all spans of an origin (a resource and a scope) have in common."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from producers.bounded_cache import BoundedCache
from producers.gateway.mapping.values import attribute_text, encode_json
from producers.gateway.otlp import AttributeValue, Origin
from producers.langfuse_sdk import Sdk
from tracemill.contract import DEFAULT_ENVIRONMENT
from tracemill.environments import normal_environment
from tracemill.reconciliation import Dialect as UsageDialect
from tracemill.reconciliation import dialects

LANGFUSE_SCOPE: Final = "langfuse-sdk"
CLAUDE_CODE_SCOPE: Final = "com.anthropic.claude_code.tracing"
ENVIRONMENT_KEYS: Final = (
    "langfuse.environment",
    "deployment.environment.name",
    "deployment.environment",
)
_VERSION: Final = re.compile(r"(\d{1,6})\.(\d{1,6})")
_JSON_METADATA_SINCE: Final = {"python": 5, "javascript": 6}
_NEVER: Final = 1 << 30
_EVERY: Final = (_NEVER, 0)
_LANGUAGES: Final = {"nodejs": "javascript", "webjs": "javascript"}
_SCOPES_WITH_RULES: Final = frozenset(
    {
        LANGFUSE_SCOPE,
        "ai",
        "genkit-tracer",
        "pydantic-ai",
        "gcp.vertex.agent",
        "livekit-agents",
        "@flue/opentelemetry",
        CLAUDE_CODE_SCOPE,
    }
)
"""Names of scopes that have their own mapping rules."""
_USAGE_OF_SCOPES: Final[dict[str, tuple[UsageDialect, tuple[int, int]]]] = {
    "opentelemetry.instrumentation.bedrock": (dialects.GEN_AI_CACHE_BESIDE, (0, 63)),
    "@arizeai/openinference-instrumentation-anthropic": (dialects.GEN_AI_CACHE_BESIDE, (0, 2)),
    CLAUDE_CODE_SCOPE: (dialects.GEN_AI_CACHE_BESIDE, _EVERY),
    "openlit.instrumentation.anthropic": (dialects.GEN_AI_CACHE_BESIDE, _EVERY),
    "openlit.instrumentation.bedrock": (dialects.GEN_AI_CACHE_BESIDE, _EVERY),
    "openlit.instrumentation.google_ai_studio": (dialects.GEN_AI_OF_GEMINI, _EVERY),
    "openlit.instrumentation.vertexai": (dialects.GEN_AI_OF_GEMINI, _EVERY),
    "opentelemetry.instrumentation.google_generativeai": (dialects.GEN_AI_OF_GEMINI, _EVERY),
    "opentelemetry.instrumentation.vertexai": (dialects.GEN_AI_OF_GEMINI, _EVERY),
}
"""Instrumentations whose counts deviate from the convention, up to a version."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """The properties of an origin that select the mapping rules for its spans."""

    scope: str = ""
    """Name of the scope if it has its own rules, or else empty."""
    json_metadata: bool = False
    """Whether all metadata values, also strings, are JSON (langfuse-sdk: Python 5, JavaScript
    6)."""
    environment_rank: int = 3
    """Index in ``ENVIRONMENT_KEYS`` of the key that the resource has; 3 if it has none."""
    usage: UsageDialect = dialects.GEN_AI
    """What counts such as ``gen_ai.usage.input_tokens`` include."""
    untyped_generations: bool = False
    """Whether generations can have the type ``span`` (langfuse-sdk for Python up to 3.3)."""

    @property
    def is_langfuse(self) -> bool:
        return self.scope == LANGFUSE_SCOPE


@dataclass(frozen=True, slots=True, eq=False)
class OriginFacts:
    """The values that all observations of an origin have."""

    dialect: Dialect
    defaults: dict[str, Any]
    """Values of fields that a span does not set."""
    service_version: str | None
    release: str | None
    metadata: dict[str, msgspec.Raw]
    """``resourceAttributes`` and ``scope`` as JSON."""
    metadata_text: str
    """``metadata`` as the JSON text of one object."""


_environments: BoundedCache[str, str] = BoundedCache("cached_environments_max_bytes", 1024 * 1024)


def normalise_environment(name: str) -> str:
    """Return the normal form of an environment; results are cached."""
    known = _environments.get(name)
    return _environments.keep(name, normal_environment(name)) if known is None else known


def facts_of(origin: Origin, sdk: Sdk) -> OriginFacts:
    """Return the values that the spans of an origin have in common."""
    resource = origin.resource
    environments = [_text(resource, key) or "" for key in ENVIRONMENT_KEYS]
    environment = next(filter(None, environments), DEFAULT_ENVIRONMENT)
    environment_rank = next((rank for rank, text in enumerate(environments) if text), 3)
    scope: dict[str, AttributeValue] = {"name": origin.scope_name}
    if origin.scope_version:
        scope["version"] = origin.scope_version
    if origin.scope:
        scope["attributes"] = origin.scope
    defaults = {
        "environment": normalise_environment(environment),
        "version": _text(resource, "service.version"),
        "service_name": _text(resource, "service.name"),
        "scope_name": origin.scope_name or None,
        "scope_version": origin.scope_version or None,
    }
    metadata = {
        "resourceAttributes": msgspec.Raw(encode_json(resource)),
        "scope": msgspec.Raw(encode_json(scope)),
    }
    return OriginFacts(
        dialect=_dialect(origin, sdk, environment_rank),
        defaults={field: value for field, value in defaults.items() if value is not None},
        service_version=_text(resource, "service.version"),
        release=_text(resource, "langfuse.release"),
        metadata=metadata,
        metadata_text=encode_json(metadata).decode(),
    )


def _dialect(origin: Origin, sdk: Sdk, environment_rank: int) -> Dialect:
    language = _text(origin.resource, "telemetry.sdk.language") or sdk.name
    language = _LANGUAGES.get(language, language)
    if not origin.scope_name.startswith(LANGFUSE_SCOPE):
        # A Langfuse SDK in the same process also sets attributes, in its encoding, on other scopes.
        return Dialect(
            scope=origin.scope_name if origin.scope_name in _SCOPES_WITH_RULES else "",
            environment_rank=environment_rank,
            usage=_usage_dialect(origin),
            json_metadata=_version(sdk.version)[0] >= _JSON_METADATA_SINCE.get(sdk.name, _NEVER),
        )
    version = _version(origin.scope_version)
    return Dialect(
        scope=LANGFUSE_SCOPE,
        environment_rank=environment_rank,
        json_metadata=version[0] >= _JSON_METADATA_SINCE.get(language, _NEVER),
        untyped_generations=language == "python" and (0, 0) < version <= (3, 3),
    )


def _usage_dialect(origin: Origin) -> UsageDialect:
    found, until = _USAGE_OF_SCOPES.get(origin.scope_name, (dialects.GEN_AI, _EVERY))
    return found if _version(origin.scope_version) < until else dialects.GEN_AI


def _version(text: str) -> tuple[int, int]:
    found = _VERSION.match(text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _text(attributes: dict[str, AttributeValue], key: str) -> str | None:
    return attribute_text(attributes.get(key))
