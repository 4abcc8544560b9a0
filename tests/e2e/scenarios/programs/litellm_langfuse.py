"""Calls through LiteLLM with its callback for Langfuse's SDK."""

import logging
import os
from contextlib import suppress
from typing import Any

import litellm
from litellm.litellm_core_utils.thread_pool_executor import executor

logging.disable()  # LiteLLM logs the error of the provider
litellm.success_callback = ["langfuse"]
litellm.failure_callback = ["langfuse"]


def call(name: str, question: str = "Where is my invoice?", **arguments: Any) -> Any:
    return litellm.completion(
        model="openai/gpt-4o-mini",
        messages=[{"role": "user", "content": question}],
        api_base=os.environ["PROVIDER_URL"],
        api_key="k",
        max_retries=0,
        metadata={
            "trace_id": f"{os.environ['SESSION']}-{name}",
            "generation_name": name,
            "trace_name": f"support-{name}",
            "trace_user_id": "ada",
            "session_id": os.environ["SESSION"],
            "tags": ["alpha", "beta"],
        },
        **arguments,
    )


call("plain", temperature=0.2)
for _ in call("stream", stream=True, stream_options={"include_usage": True}):
    pass
with suppress(litellm.RateLimitError):
    call("limited", "tell me HTTP 429")
executor.shutdown()  # the callbacks run in threads
