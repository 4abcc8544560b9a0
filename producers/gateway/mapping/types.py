"""Decide the type of a span by the first rule that applies."""

from __future__ import annotations

from typing import Final

from producers.gateway.mapping.sources import (
    Always,
    Choice,
    Computed,
    Present,
    Source,
    When,
    in_scope,
)
from producers.gateway.otlp import ExportedSpan


def _meanings(**names: str) -> dict[str, str]:
    """Return the type of each name, in lower case."""
    return {name.lower(): kind for kind, joined in names.items() for name in joined.split()}


GENERATION_KEYS: Final = (
    "langfuse.observation.model.name",
    "langfuse.observation.model.parameters",
    "langfuse.observation.usage_details",
    "langfuse.observation.cost_details",
    "langfuse.observation.completion_start_time",
    "langfuse.observation.prompt.name",
    "langfuse.observation.prompt.version",
)
"""Attributes that only generations have."""

MODEL_KEYS: Final = (
    "langfuse.observation.model.name",
    "gen_ai.request.model",
    "gen_ai.response.model",
    "llm.model_name",
    "llm.model",
    "llm.request.model",
    "model",
)

_LANGFUSE: Final = {
    name.lower(): name
    for name in [
        "SPAN",
        "GENERATION",
        "EVENT",
        "EMBEDDING",
        "AGENT",
        "TOOL",
        "CHAIN",
        "RETRIEVER",
        "GUARDRAIL",
        "EVALUATOR",
    ]
}
_LANGFUSE_BUT_SPAN: Final = {name: kind for name, kind in _LANGFUSE.items() if name != "span"}
_OPENINFERENCE: Final = _meanings(
    CHAIN="CHAIN",
    RETRIEVER="RETRIEVER",
    GENERATION="LLM",
    EMBEDDING="EMBEDDING",
    AGENT="AGENT",
    TOOL="TOOL",
    GUARDRAIL="GUARDRAIL",
    EVALUATOR="EVALUATOR",
)
_LANGSMITH: Final = _meanings(
    CHAIN="chain",
    RETRIEVER="retriever",
    GENERATION="llm",
    EMBEDDING="embedding",
    TOOL="tool",
)
_OPERATIONS: Final = _meanings(
    GENERATION="chat completion text_completion generate_content generate",
    EMBEDDING="embeddings",
    AGENT="invoke_agent create_agent agent_step",
    CHAIN="invoke_workflow",
    TOOL="execute_tool",
)
_GENKIT: Final = _meanings(
    GENERATION="model background-model",
    EMBEDDING="embedder",
    TOOL="tool tool.v2",
    RETRIEVER="retriever",
    EVALUATOR="evaluator",
)
_VERCEL_MODEL_KEYS: Final = (*MODEL_KEYS, "ai.model.id")
VERCEL_CALLS: Final = {
    "ai.generateText.doGenerate": "GENERATION",
    "ai.streamText.doStream": "GENERATION",
    "ai.generateObject.doGenerate": "GENERATION",
    "ai.streamObject.doStream": "GENERATION",
    "ai.embed.doEmbed": "EMBEDDING",
    "ai.embedMany.doEmbed": "EMBEDDING",
}
_LIVEKIT: Final = {
    "agent_turn": "AGENT",
    "start_agent_activity": "AGENT",
    "function_tool": "TOOL",
}


def _vercel_call(span: ExportedSpan) -> str | None:
    """Return the type of a model call, which is a span with a known operation and a model."""
    attributes = span.attributes
    if not any(attributes.get(key) for key in _VERCEL_MODEL_KEYS):
        return None
    named = attributes.get("operation.name")
    if isinstance(named, str):
        for operation, kind in VERCEL_CALLS.items():
            if named.startswith(operation):
                return kind
    operation_id = attributes.get("ai.operationId")
    return VERCEL_CALLS.get(operation_id) if isinstance(operation_id, str) else None


def _vercel_tool(span: ExportedSpan) -> str | None:
    named, operation_id = (span.attributes.get(key) for key in ("operation.name", "ai.operationId"))
    is_tool = operation_id == "ai.toolCall" or (
        isinstance(named, str) and named.startswith("ai.toolCall")
    )
    return "TOOL" if is_tool else None


def _livekit(span: ExportedSpan) -> str | None:
    return _LIVEKIT.get(span.name)


TYPE_RULES: Final[tuple[Source, ...]] = (
    When(
        lambda dialect: dialect.untyped_generations,
        Choice("langfuse.observation.type", _LANGFUSE_BUT_SPAN),
    ),
    When(lambda dialect: dialect.untyped_generations, Present(GENERATION_KEYS, "GENERATION")),
    Choice("langfuse.observation.type", _LANGFUSE),
    Choice("openinference.span.kind", _OPENINFERENCE),
    # Before the operation, which is "embeddings" for retrievers of LangSmith's SDK.
    Choice("langsmith.span.kind", _LANGSMITH),
    Choice("gen_ai.operation.name", _OPERATIONS),
    Choice("genkit:metadata:subtype", _GENKIT),
    Computed(("operation.name", "ai.operationId"), _vercel_call),
    Computed(("operation.name", "ai.operationId"), _vercel_tool),
    Present(("gen_ai.tool.name", "gen_ai.tool.call.id"), "TOOL"),
    Present(("flue.tool.name", "flue.tool.call_id"), "TOOL"),
    Present(("flue.task.id", "flue.task.agent"), "AGENT"),
    in_scope("livekit-agents", Computed((), _livekit)),
    Present(MODEL_KEYS, "GENERATION"),
    Always("SPAN"),
)
