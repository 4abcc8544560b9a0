"""Answer as the providers' APIs do, with fixed usage, so that instrumentations can be run."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

CHAT_USAGE: Final = {
    "prompt_tokens": 2006,
    "completion_tokens": 300,
    "total_tokens": 2306,
    "prompt_tokens_details": {"cached_tokens": 1920, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 64, "audio_tokens": 0},
}
RESPONSES_USAGE: Final = {
    "input_tokens": 2006,
    "input_tokens_details": {"cached_tokens": 1920, "cache_write_tokens": 0},
    "output_tokens": 300,
    "output_tokens_details": {"reasoning_tokens": 64},
    "total_tokens": 2306,
}
MESSAGES_USAGE: Final = {
    "input_tokens": 3000,
    "cache_creation_input_tokens": 248,
    "cache_read_input_tokens": 1800,
    "cache_creation": {"ephemeral_5m_input_tokens": 148, "ephemeral_1h_input_tokens": 100},
    "output_tokens": 503,
    "service_tier": "standard",
}
GEMINI_USAGE: Final = {
    "promptTokenCount": 1500,
    "candidatesTokenCount": 100,
    "thoughtsTokenCount": 60,
    "totalTokenCount": 1660,
    "cachedContentTokenCount": 800,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 1500}],
    "cacheTokensDetails": [{"modality": "TEXT", "tokenCount": 800}],
}
CONVERSE_USAGE: Final = {
    "inputTokens": 3000,
    "outputTokens": 100,
    "totalTokens": 4300,
    "cacheReadInputTokens": 1000,
    "cacheWriteInputTokens": 200,
}


def answer_of(path: str, model: str) -> dict[str, Any]:
    """Return the body that the API at this path answers with."""
    if "chat/completions" in path:
        message = {"role": "assistant", "content": "Yes.", "refusal": None}
        return {
            "id": "c1",
            "object": "chat.completion",
            "created": 1_790_000_000,
            "model": model,
            "service_tier": "flex",
            "choices": [
                {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
            ],
            "usage": CHAT_USAGE,
        }
    if "responses" in path:
        content = [{"type": "output_text", "text": "Yes.", "annotations": []}]
        item = {"type": "message", "id": "m1", "role": "assistant", "status": "completed"}
        return {
            "id": "r1",
            "object": "response",
            "created_at": 1_790_000_000,
            "status": "completed",
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "metadata": {},
            "model": model,
            "output": [{**item, "content": content}],
            "parallel_tool_calls": True,
            "temperature": 1.0,
            "tool_choice": "auto",
            "tools": [],
            "top_p": 1.0,
            "service_tier": "flex",
            "usage": RESPONSES_USAGE,
        }
    if "messages" in path:
        return {
            "id": "m1",
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": [{"type": "text", "text": "Yes."}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": MESSAGES_USAGE,
        }
    if "generateContent" in path:
        content = {"role": "model", "parts": [{"text": "Yes."}]}
        return {
            "candidates": [{"content": content, "finishReason": "STOP", "index": 0}],
            "usageMetadata": GEMINI_USAGE,
            "modelVersion": "gemini-2.5-flash",
        }
    return {
        "output": {"message": {"role": "assistant", "content": [{"text": "Yes."}]}},
        "stopReason": "end_turn",
        "usage": CONVERSE_USAGE,
        "metrics": {"latencyMs": 12},
    }


def events_of(message: dict[str, Any]) -> bytes:
    """Return the stream of events in which Anthropic sends a message."""
    start = {**message, "content": [], "usage": {**message["usage"], "output_tokens": 1}}
    text = {"type": "text", "text": ""}
    delta = {"type": "text_delta", "text": "Yes."}
    end = {"stop_reason": "end_turn", "stop_sequence": None}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": text},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": end, "usage": message["usage"]},
        {"type": "message_stop"},
    ]
    lines = (f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)
    return "".join(lines).encode()


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or "{}")
        found = answer_of(self.path, body.get("model", ""))
        streams = body.get("stream") is True and found.get("type") == "message"
        answer = events_of(found) if streams else json.dumps(found).encode()
        self.send_response(200)
        self.send_header("content-type", "text/event-stream" if streams else "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class's name
        """Write nothing."""


def start() -> str:
    """Serve on a free port of this machine until the process ends; return the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


if __name__ == "__main__":
    print(start(), flush=True)
    threading.Event().wait()
