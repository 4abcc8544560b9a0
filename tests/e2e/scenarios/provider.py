"""A model provider on loopback, with the API of OpenAI.

Every call uses the same number of tokens, so that costs can be computed by hand. The answer depends
on the last message: see ``answer_to``.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Final

INPUT_TOKENS: Final = 1_200
CACHED_TOKENS: Final = 1_000
OUTPUT_TOKENS: Final = 300
EMBEDDING: Final = [0.25, -0.5, 1.0, 0.0]
ANSWERS: Final = {
    "Where is my invoice?": "Under Billing.",
    "How do I cancel?": "Under Plan.",
    "Who are you?": "The assistant.",
}
MISTAKE: Final = "I do not know."
WEAK_MODEL: Final = "gpt-4o-mini"
"""It answers the first question only."""


@dataclass
class Provider:
    """The address of a running provider, and the requests that it received."""

    url: str
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


@contextmanager
def running_provider() -> Iterator[Provider]:
    """Answer requests while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            provider.requests.append((self.path, request))
            if self.path.endswith("/embeddings"):
                self._answer(200, _embeddings(request))
            elif "tell me HTTP " in _last_text(request):
                status = int(_last_text(request).split("tell me HTTP ")[1][:3])
                error = {"message": f"the provider answers {status}", "type": "x", "code": None}
                self._answer(status, {"error": error})
            elif request.get("stream"):
                self._stream(request)
            else:
                self._answer(200, _completion(request))

        def _answer(self, status: int, body: dict[str, Any]) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _stream(self, request: dict[str, Any]) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("connection", "close")
            self.end_headers()
            for chunk in (*_chunks(request), "[DONE]"):
                text = chunk if isinstance(chunk, str) else json.dumps(chunk)
                self.wfile.write(f"data: {text}\n\n".encode())
            self.close_connection = True

        def log_message(self, *args: object) -> None:
            """Requests are kept, not printed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider = Provider(f"http://127.0.0.1:{server.server_port}/v1")
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def answer_to(question: str, model: str) -> str:
    """Return the answer of a model; weak models know only one."""
    found = next((each for each in ANSWERS if each in question), None)
    if found is None:
        answer = "Hello."
    elif model == WEAK_MODEL and found != "Where is my invoice?":
        answer = MISTAKE
    else:
        answer = ANSWERS[found]
    if "[[ ## answer ## ]]" in question:  # the format that DSPy asks for
        return f"[[ ## answer ## ]]\n{answer}\n\n[[ ## completed ## ]]"
    return answer


def _last_text(request: dict[str, Any]) -> str:
    content = request["messages"][-1].get("content") or ""
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content)
    return str(content)


def _usage() -> dict[str, Any]:
    return {
        "prompt_tokens": INPUT_TOKENS,
        "completion_tokens": OUTPUT_TOKENS,
        "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
        "prompt_tokens_details": {"cached_tokens": CACHED_TOKENS, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def _envelope(request: dict[str, Any], kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": kind, "created": 1_790_000_000, "model": request["model"]}


def _message(request: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Return the message, and the reason why it ends."""
    is_answered = any(each["role"] == "tool" for each in request["messages"])
    if request.get("tools") and not is_answered:
        function = request["tools"][0]["function"]["name"]
        call = {"name": function, "arguments": '{"topic": "invoice"}'}
        calls = [{"index": 0, "id": "call_1", "type": "function", "function": call}]
        return {"role": "assistant", "content": None, "tool_calls": calls}, "tool_calls"
    answer = answer_to(_last_text(request), request["model"])
    return {"role": "assistant", "content": answer}, "stop"


def _completion(request: dict[str, Any]) -> dict[str, Any]:
    message, reason = _message(request)
    choice = {"index": 0, "message": message, "finish_reason": reason, "logprobs": None}
    return _envelope(request, "chat.completion") | {"choices": [choice], "usage": _usage()}


def _chunks(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    message, reason = _message(request)
    words = (message["content"] or "").split(" ")
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    if "tool_calls" in message:
        deltas.append({"tool_calls": message["tool_calls"]})
    else:
        deltas += [{"content": word if n == 0 else f" {word}"} for n, word in enumerate(words)]
    envelope = _envelope(request, "chat.completion.chunk")
    for delta in deltas:
        yield envelope | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield envelope | {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}
    if (request.get("stream_options") or {}).get("include_usage"):
        yield envelope | {"choices": [], "usage": _usage()}


def _embeddings(request: dict[str, Any]) -> dict[str, Any]:
    texts = request["input"] if isinstance(request["input"], list) else [request["input"]]
    vector: Any = EMBEDDING
    if request.get("encoding_format") == "base64":
        vector = base64.b64encode(struct.pack("<4f", *EMBEDDING)).decode()
    data = [
        {"object": "embedding", "index": number, "embedding": vector}
        for number, _ in enumerate(texts)
    ]
    usage = {"prompt_tokens": INPUT_TOKENS, "total_tokens": INPUT_TOKENS}
    return {"object": "list", "model": request["model"], "data": data, "usage": usage}
