"""What is known of spans by their origin alone, worked out once per resource and scope."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from producers.bounded_cache import BoundedCache
from producers.gateway.mapping.values import encode_json, text_of
from producers.gateway.otlp import AttributeValue, Origin
from tracemill.contract import DEFAULT_ENVIRONMENT

LANGFUSE_SCOPE: Final = "langfuse-sdk"
ENVIRONMENT_KEYS: Final = (
    "langfuse.environment",
    "deployment.environment.name",
    "deployment.environment",
)
_ENVIRONMENT_LENGTH_MAX: Final = 40
_ENVIRONMENT_PREFIX: Final = re.compile(r"^(?:langfuse[-_]?)+")
_ENVIRONMENT: Final = re.compile(r"[a-z0-9_-]+")
_VERSION: Final = re.compile(r"(\d{1,6})\.(\d{1,6})")
_JSON_METADATA_SINCE: Final = {"python": 5, "javascript": 6}
_NEVER: Final = 1 << 30
_LANGUAGES: Final = {"nodejs": "javascript", "webjs": "javascript"}
_GATING_SCOPES: Final = frozenset(
    {
        LANGFUSE_SCOPE,
        "ai",
        "genkit-tracer",
        "pydantic-ai",
        "gcp.vertex.agent",
        "livekit-agents",
        "@flue/opentelemetry",
    }
)
"""Scopes whose spans are read by rules of their own."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a group of spans speaks: all that decides which rules apply to its attributes, besides the attributes themselves."""

    scope: str = ""
    """The scope's name where it matters, else empty."""
    json_metadata: bool = False
    """Every metadata value is JSON text, strings included (langfuse-sdk: Python 5, JavaScript 6)."""
    environment_rank: int = 3
    """Place in ``ENVIRONMENT_KEYS`` of the key by which the resource names the environment; behind them if it doesn't."""
    untyped_generations: bool = False
    """Generations may say ``span`` of themselves (langfuse-sdk for Python up to 3.3)."""

    @property
    def is_langfuse(self) -> bool:
        return self.scope == LANGFUSE_SCOPE


@dataclass(frozen=True, slots=True, eq=False)
class OriginFacts:
    """What every observation of an origin gets."""

    dialect: Dialect
    defaults: dict[str, Any]
    """Fields of an observation that says nothing else, by name."""
    service_version: str | None
    release: str | None
    metadata: dict[str, msgspec.Raw]
    """``resourceAttributes`` and ``scope``, encoded."""
    metadata_text: str
    """The two as the JSON text of one object."""


@dataclass(frozen=True, slots=True)
class Sdk:
    """The Langfuse SDK that sent a request, as its headers say (``x-langfuse-sdk-name``, ``-version``); empty for other clients."""

    name: str = ""
    version: str = ""


_environments: BoundedCache[str, str] = BoundedCache("cached_environments_max_bytes", 1024 * 1024)


def normalise_environment(name: str) -> str:
    """Lower case, without leading ``langfuse``, at most 40 of ``a-z 0-9 - _``; else the default environment."""
    known = _environments.get(name)
    return _environments.keep(name, _normalised(name)) if known is None else known


def _normalised(name: str) -> str:
    cut = _ENVIRONMENT_PREFIX.sub("", name.lower())[:_ENVIRONMENT_LENGTH_MAX]
    return cut if _ENVIRONMENT.fullmatch(cut) else DEFAULT_ENVIRONMENT


def facts_of(origin: Origin, sdk: Sdk) -> OriginFacts:
    """Facts of a resource and scope, sent by ``sdk``."""
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
        # Spans of other scopes carry what a Langfuse SDK in their process propagates, in its encoding.
        return Dialect(
            scope=origin.scope_name if origin.scope_name in _GATING_SCOPES else "",
            environment_rank=environment_rank,
            json_metadata=_version(sdk.version)[0] >= _JSON_METADATA_SINCE.get(sdk.name, _NEVER),
        )
    version = _version(origin.scope_version)
    return Dialect(
        scope=LANGFUSE_SCOPE,
        environment_rank=environment_rank,
        json_metadata=version[0] >= _JSON_METADATA_SINCE.get(language, _NEVER),
        untyped_generations=language == "python" and (0, 0) < version <= (3, 3),
    )


def _version(text: str) -> tuple[int, int]:
    found = _VERSION.match(text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _text(attributes: dict[str, AttributeValue], key: str) -> str | None:
    return text_of(attributes.get(key))
