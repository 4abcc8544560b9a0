"""A call through LiteLLM with its callback for OpenTelemetry."""

import os

import litellm
from litellm.litellm_core_utils.thread_pool_executor import executor

litellm.callbacks = ["langfuse_otel"]
litellm.completion(
    model="openai/gpt-4o-mini",
    messages=[{"role": "user", "content": "Where is my invoice?"}],
    api_base=os.environ["PROVIDER_URL"],
    api_key="k",
    temperature=0.2,
    metadata={
        "generation_name": "answer",
        "trace_name": "support-chat",
        "trace_user_id": "ada",
        "session_id": os.environ["SESSION"],
        "tags": ["alpha", "beta"],
    },
)
executor.shutdown()  # the callback runs in a thread
