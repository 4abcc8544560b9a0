"""Estimate token counts from texts, with the encoding of the model's family.

The estimate is exact for OpenAI's text models, except for tokens that the provider adds around
messages, and for texts longer than ``TEXT_MAX_CHARS``. It is approximate for others, whose
encodings are not public or not included. Rows with estimates are marked. Encodings come from the
optional package bpe-openai; nothing is downloaded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from typing import Any, Final, Protocol

import msgspec

from streams.core.bounded_cache import BoundedCache
from streams.core.observations.json_texts import json_of
from streams.core.pricing.models import MODEL_LENGTH_MAX

TEXT_MAX_CHARS: Final = 32_000
"""Characters of a prompt or reply whose tokens are counted; for longer texts, the count is
extrapolated."""

CACHE_BYTES_MAX: Final = 4 * 2**20
"""Maximum size of the cache that contains the name of the encoding for each model."""
_PER_MESSAGE: Final = 4
_PER_REPLY: Final = 3
"""Tokens around each message and before the reply in OpenAI's chat format. Source: their
cookbook."""

_OTHER_FAMILIES: Final = (
    r"claude|gemini|gemma|grok|deepseek|mistral|ministral|mixtral|magistral|codestral|devstral|"
    r"pixtral|command|embed-|kimi|moonshot|glm-|minimax|nova-|sonar|jamba"
)
_ENCODINGS: Final = tuple(
    (re.compile(rf"(?:^|[/.:])(?:{pattern})"), encoding)
    for pattern, encoding in (
        (r"gpt-4o|chatgpt-4o|gpt-4\.[15]|gpt-[5-9]|gpt-oss|o[1-9](?:-|$)|codex", "o200k_base"),
        (r"gpt-4|gpt-3\.5|gpt-35|text-embedding-(?:3|ada)", "cl100k_base"),
        (r"voyage-", "voyage3_base"),
        # Their encodings are derived from cl100k.
        (r"qwen|qwq|qvq|(?:meta-)?llama-?[3-9]|phi-4", "cl100k_base"),
        # Their encodings resemble o200k more than cl100k in most languages.
        (_OTHER_FAMILIES, "o200k_base"),
    )
)


class Encoding(Protocol):
    """An encoding, which counts the tokens of a text."""

    def count(self, text: str) -> int: ...


class EstimatedTokens:
    """An estimator of usage; ``load_encoding`` is called once per encoding."""

    def __init__(self, load_encoding: Callable[[str], Encoding]) -> None:
        self._load_encoding = lru_cache(len(_ENCODINGS))(load_encoding)

    def usage_of(self, model: str, input_text: str, output_text: str) -> dict[str, int]:
        """Return ``input`` and ``output`` tokens; empty if the model's family is unknown."""
        name = encoding_name_of(model)
        if name is None:
            return {}
        encoding = self._load_encoding(name)
        messages = _messages(input_text)
        prompt = [text for message in messages for text in _texts_of(message)]
        counts = {
            "input": _count(encoding, prompt if messages else [input_text]),
            "output": _count(encoding, _reply_texts(output_text)),
        }
        if messages:
            counts["input"] += len(messages) * _PER_MESSAGE + _PER_REPLY
        return {usage_type: count for usage_type, count in counts.items() if count}


def encoding_name_of(model: str) -> str | None:
    """Return the encoding for a model; None if its family is unknown."""
    return _encoding_names[model] if len(model) <= MODEL_LENGTH_MAX else None


def _encoding_name_of(model: str) -> str | None:
    name = model.lower()
    return next((encoding for family, encoding in _ENCODINGS if family.search(name)), None)


_encoding_names: Final = BoundedCache(
    _encoding_name_of, bytes_max=CACHE_BYTES_MAX, key_chars_max=MODEL_LENGTH_MAX
)


def installed_tokens() -> EstimatedTokens | None:
    """Return an estimator with the encodings of bpe-openai; None if it is not installed."""
    package = find_spec("bpe_openai")
    spec = package and PathFinder.find_spec("_bindings", package.submodule_search_locations)
    if spec is None or spec.loader is None:
        return None
    # Only the native module is loaded: the package would load every encoding as a dictionary, too.
    native = module_from_spec(spec)
    spec.loader.exec_module(native)
    return EstimatedTokens(native.tokenizer_for_encoding)


def _count(encoding: Encoding, texts: list[str]) -> int:
    length, counted_chars, tokens = sum(map(len, texts)), 0, 0
    for text in texts:
        counted = text[: TEXT_MAX_CHARS - counted_chars]
        tokens += encoding.count(_encodable(counted))
        counted_chars += len(counted)
        if counted_chars == TEXT_MAX_CHARS:
            return tokens * length // counted_chars
    return tokens


def _encodable(text: str) -> str:
    """Return ``text`` without unpaired surrogates, which encodings do not accept."""
    return text.encode(errors="replace").decode() if not text.isascii() else text


def _reply_texts(text: str) -> list[str]:
    value = _json_of(text)
    replies = value if isinstance(value, list) else [value]
    if replies and all(isinstance(reply, dict) and _CONTENT & reply.keys() for reply in replies):
        return [text for reply in replies for text in _texts_of(reply)]
    return [text]


_CONTENT: Final = {"content", "parts", "tool_calls", "text"}


def _messages(text: str) -> list[dict[str, Any]]:
    """Return the chat messages of a JSON text; empty if it has another format."""
    value = _json_of(text)
    if isinstance(value, dict):
        value = value.get("messages")
    if isinstance(value, list) and value and all(_is_message(message) for message in value):
        return value
    return []


def _is_message(value: Any) -> bool:
    return isinstance(value, dict) and "role" in value


def _texts_of(message: dict[str, Any]) -> Iterator[str]:
    """Yield the texts of a message, without images, and its tool calls as JSON."""
    for key in ("content", "parts", "text"):
        text = message.get(key)
        if isinstance(text, str):
            yield text
        elif isinstance(text, list):
            for part in text:
                if isinstance(part, str):
                    yield part
                elif isinstance(part, dict) and isinstance(part.get("text"), str):
                    yield part["text"]
    calls = message.get("tool_calls")
    if calls:
        yield msgspec.json.encode(calls).decode()


def _json_of(text: str) -> Any:
    return json_of(text) if text[:1] in ("[", "{") else None
