"""Define the sources of each field of observations and traces; the first with a value wins.

The attributes are those of the Langfuse SDKs, of the OpenTelemetry GenAI semantic conventions,
OpenInference, Traceloop, the Vercel AI SDK, Genkit, Logfire, pydantic-ai, MLflow, LiveKit, Flue and
Google's ADK.
"""

from __future__ import annotations

from typing import Final

from producers.gateway.mapping.cost_sources import COST
from producers.gateway.mapping.extractors import (
    after_start,
    genkit_model,
    genkit_parameters,
    level_of_status,
    livekit_level,
    message_of_status,
    parameters_below,
    prompt_version_of,
    vercel_name,
    vercel_parameters,
    vercel_prompt_name,
    vercel_prompt_version,
)
from producers.gateway.mapping.marks import (
    CacheMark,
    class_name_of,
    error_type_of_events,
    error_type_of_langfuse,
    error_type_of_status,
)
from producers.gateway.mapping.metadata import TraceMetadata
from producers.gateway.mapping.origin import CLAUDE_CODE_SCOPE, ENVIRONMENT_KEYS
from producers.gateway.mapping.sources import (
    Always,
    Attribute,
    Choice,
    Computed,
    Environment,
    Events,
    InMetadata,
    Prefixed,
    Source,
    Status,
    in_scope,
)
from producers.gateway.mapping.types import TYPE_RULES
from producers.gateway.mapping.usage_sources import USAGE, vercel_service_tier
from producers.gateway.mapping.values import (
    is_true,
    object_text_of,
    provider_name_of,
    reference_of,
    service_tier_of,
    tags_of,
    time_us_of,
    true_or_none,
)

_LEVELS: Final = {
    name.lower(): level
    for level, names in {
        "DEBUG": "DEBUG TRACE VERBOSE",
        "DEFAULT": "DEFAULT INFO LOG NOTICE OK SUCCESS",
        "WARNING": "WARNING WARN",
        "ERROR": "ERROR FATAL CRITICAL",
    }.items()
    for name in names.split()
}
_MODEL_KEYS: Final = (
    "langfuse.observation.model.name",
    "gen_ai.response.model",
    "ai.response.model",
    "llm.response.model",
    "ai.model.id",
    "gen_ai.request.model",
    "llm.model_name",
    "llm.model",
    "llm.request.model",
    "embedding.model_name",
    "model_name",
    "model",
)
"""The model that served a call comes before the requested one."""
_PROVIDER_KEYS: Final = (
    "gen_ai.provider.name",
    "gen_ai.system",
    "ai.model.provider",
    "llm.provider",
    "llm.system",
    "embedding.provider",
    "langsmith.metadata.ls_provider",
)
_LANGSMITH_THREADS: Final = (
    "langsmith.metadata.session_id",
    "langsmith.metadata.thread_id",
    "langsmith.metadata.conversation_id",
)
_VERCEL_PROMPT: Final = "ai.telemetry.metadata.langfusePrompt"

OBSERVATION_FIELDS: Final[dict[str, tuple[Source, ...]]] = {
    "type": TYPE_RULES,
    "name": (
        Attribute("gen_ai.tool.name"),
        Attribute("genkit:name"),
        Attribute("logfire.msg"),
        Attribute("ai.toolCall.name"),
        Computed(("ai.operationId",), vercel_name),
    ),
    "environment": tuple(Environment(rank, key) for rank, key in enumerate(ENVIRONMENT_KEYS)),
    "version": (Attribute("langfuse.version"),),
    "level": (
        Choice("langfuse.observation.level", _LEVELS),
        Status(level_of_status),
        in_scope("livekit-agents", Computed((), livekit_level)),
        Always("DEFAULT"),
    ),
    "status_message": (
        Attribute("langfuse.observation.status_message"),
        Status(message_of_status),
    ),
    "error_type": (
        Attribute("error.type", class_name_of),
        Attribute("exception.type", class_name_of),
        Events(error_type_of_events),
        Status(error_type_of_status),
        Computed(("langfuse.observation.status_message",), error_type_of_langfuse),
    ),
    "model": (
        *(Attribute(key) for key in _MODEL_KEYS),
        Computed(("genkit:metadata:subtype",), genkit_model),
    ),
    "model_parameters": (
        in_scope("ai", Computed((), vercel_parameters)),
        Attribute("langfuse.observation.model.parameters", object_text_of),
        in_scope("genkit-tracer", Computed(("genkit:input", "genkit:output"), genkit_parameters)),
        Attribute("llm.invocation_parameters", object_text_of),
        Attribute("model_config", object_text_of),
        Prefixed(
            ("gen_ai.request.", "llm.invocation_parameters."),
            parameters_below,
            frozenset({"model"}),
        ),
    ),
    "completion_start_us": (
        Attribute("langfuse.observation.completion_start_time", time_us_of),
        Computed(("ai.response.msToFirstChunk",), after_start("ai.response.msToFirstChunk")),
        Computed(("ai.stream.msToFirstChunk",), after_start("ai.stream.msToFirstChunk")),
    ),
    "usage": USAGE,
    "service_tier": (
        Attribute("openai.response.service_tier"),
        Attribute("gen_ai.openai.response.service_tier"),
        Attribute("gen_ai.response.service_tier"),
        Attribute("anthropic.response.service_tier"),
        in_scope("ai", Computed(("ai.response.providerMetadata",), vercel_service_tier)),
        in_scope(CLAUDE_CODE_SCOPE, Choice("speed", {"fast": "fast"})),
        InMetadata("langfuse.observation.metadata.service_tier", service_tier_of),
        InMetadata("langfuse.observation.metadata.serviceTier", service_tier_of),
        Attribute("langsmith.metadata.service_tier", service_tier_of),
        Attribute("service_tier", service_tier_of),
    ),
    "provider": (
        *(Attribute(key, provider_name_of) for key in _PROVIDER_KEYS),
        InMetadata("langfuse.observation.metadata.ls_provider", provider_name_of),
    ),
    "cost": COST,
    "app_cache": (CacheMark(),),
    "app_root": (Attribute("langfuse.internal.as_root", true_or_none),),
    "app_entry": (Attribute("langfuse.internal.is_app_root", true_or_none),),
}

DESCRIPTIVE_FIELDS: Final = frozenset(
    {"type", "name", "environment", "version", "level", "model", "model_parameters", "provider"}
)
"""Fields that are usually equal for spans of an operation; cached by their attributes."""

PROMPT_FIELDS: Final[dict[str, tuple[Source, ...]]] = {
    "prompt_name": (
        Attribute("langfuse.observation.prompt.name"),
        Attribute("langfuse.prompt.name"),
        Attribute(_VERCEL_PROMPT, vercel_prompt_name),
    ),
    "prompt_version": (
        Attribute("langfuse.observation.prompt.version", prompt_version_of),
        Attribute("langfuse.prompt.version", prompt_version_of),
        Attribute(_VERCEL_PROMPT, vercel_prompt_version),
    ),
}
"""Fields that are read only from generations."""

TRACE_FIELDS: Final[dict[str, tuple[Source, ...]]] = {
    "name": (Attribute("langfuse.trace.name"),),
    "user_id": (
        Attribute("langfuse.user.id"),
        Attribute("user.id"),
        InMetadata("langfuse.observation.metadata.langfuse_user_id"),
        InMetadata("langfuse.trace.metadata.langfuse_user_id"),
        Attribute("ai.telemetry.metadata.userId"),
        Attribute("langsmith.metadata.user_id"),
    ),
    "session_id": (
        Attribute("langfuse.session.id", reference_of),
        Attribute("session.id", reference_of),
        Attribute("gen_ai.conversation.id", reference_of),
        InMetadata("langfuse.observation.metadata.langfuse_session_id", reference_of),
        InMetadata("langfuse.trace.metadata.langfuse_session_id", reference_of),
        Attribute("ai.telemetry.metadata.sessionId", reference_of),
        *(Attribute(key, reference_of) for key in _LANGSMITH_THREADS),
    ),
    "release": (Attribute("langfuse.release"),),
    "version": (Attribute("langfuse.version"),),
    "public": (
        Attribute("langfuse.trace.public", is_true),
        Attribute("langfuse.public", is_true),
    ),
    "tags": (
        Attribute("langfuse.trace.tags", tags_of),
        Attribute("langfuse.tags", tags_of),
        InMetadata("langfuse.observation.metadata.langfuse_tags", tags_of),
        InMetadata("langfuse.trace.metadata.langfuse_tags", tags_of),
        Attribute("ai.telemetry.metadata.tags", tags_of),
        Attribute("tag.tags", tags_of),
        Attribute("langsmith.span.tags", tags_of),
    ),
    "metadata": (TraceMetadata(),),
    "input": (Attribute("langfuse.trace.input"),),
    "output": (Attribute("langfuse.trace.output"),),
}

TRACE_FIELDS_OF_ROOT: Final[dict[str, tuple[Source, ...]]] = {
    **TRACE_FIELDS,
    "metadata": (TraceMetadata(of_root=True),),
}
