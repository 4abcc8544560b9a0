"""The libraries of the programs, in as few environments as their own requirements allow."""

from __future__ import annotations

from typing import Final

V2: Final = (
    "langfuse==2.60.10",
    "openai==1.109.1",
    "langchain==0.3.30",
    "langchain-openai==0.3.35",
    "litellm==1.59.12",
    "dspy-ai==2.4.17",
    "llama-index-core==0.14.25",
    "llama-index-llms-openai==0.8.3",
)
"""Version 2 of Langfuse's SDK, and the versions of other libraries that work with it."""
V3: Final = (
    "langfuse==3.15.0", "openai==3.57.0", "langchain==1.5.2", "langchain-openai==1.7.4",
    "jinja2==3.1.6",
)  # fmt: skip
V5: Final = (
    "langfuse==5.0.4", "openai==3.57.0", "langchain==1.5.2", "langchain-openai==1.7.4",
)  # fmt: skip
FRAMEWORKS: Final = (
    "langfuse==4.18.0",
    "litellm==1.110.2",
    "dspy==3.4.1",
    "openinference-instrumentation-dspy==0.1.48",
    "llama-index-core==0.14.25",
    "llama-index-llms-openai==0.8.3",
    "openinference-instrumentation-llama-index==4.6.1",
    "opentelemetry-exporter-otlp-proto-http==1.45.2",
)
