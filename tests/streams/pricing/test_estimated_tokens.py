"""Missing usage is estimated from texts."""

from __future__ import annotations

import json

import pytest

from streams.core.pricing import tokens
from streams.core.pricing.tokens import (
    TEXT_MAX_CHARS,
    EstimatedTokens,
    encoding_name_of,
    installed_tokens,
)


class Letters:
    """An encoding in which every character is a token."""

    def count(self, text: str) -> int:
        return len(text)


@pytest.fixture
def letters() -> EstimatedTokens:
    return EstimatedTokens(lambda _name: Letters())


@pytest.fixture(scope="module")
def real() -> EstimatedTokens:
    installed = installed_tokens()
    assert installed is not None
    return installed


def test_openai_models_are_counted_as_openai_counts(real: EstimatedTokens) -> None:
    text = "hello world"  # two tokens in each of its encodings
    for model in ("gpt-4o", "gpt-4", "gpt-3.5-turbo", "openai/gpt-5-mini", "azure/gpt-35-turbo"):
        assert real.usage_of(model, text, text) == {"input": 2, "output": 2}
    assert real.usage_of("text-embedding-3-small", "tokenization is fun", "") == {"input": 4}


@pytest.mark.parametrize(
    ("model", "encoding"),
    [
        ("gpt-4o-2024-08-06", "o200k_base"),
        ("ft:gpt-4o-mini-2024-07-18:acme::x", "o200k_base"),
        ("o3-mini", "o200k_base"),
        ("gpt-4-turbo", "cl100k_base"),
        ("us.anthropic.claude-sonnet-4-20250514-v1:0", "o200k_base"),
        ("models/gemini-2.5-pro", "o200k_base"),
        ("qwen-plus", "cl100k_base"),
        ("voyage-3", "voyage3_base"),
        ("proto-3", None),
        ("acme-9000", None),
        ("", None),
    ],
)
def test_the_family_decides_the_encoding(model: str, encoding: str | None) -> None:
    assert encoding_name_of(model) == encoding


def test_all_encodings_of_all_families_ship_with_the_package(real: EstimatedTokens) -> None:
    for model in ("gpt-4o", "gpt-4", "voyage-3", "claude-3", "qwen-plus"):
        assert real.usage_of(model, "some words", "")["input"] >= 2


def test_tokens_of_messages_are_counted_without_json_syntax(letters: EstimatedTokens) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 10_000}}
    messages = [
        {"role": "system", "content": "12345"},
        {"role": "user", "content": [{"type": "text", "text": "123"}, image]},
    ]
    reply = {"role": "assistant", "content": "1234"}
    for prompt in (messages, {"messages": messages}):
        usage = letters.usage_of("gpt-4o", json.dumps(prompt), json.dumps(reply))
        assert usage == {"input": 8 + 2 * 4 + 3, "output": 4}


def test_a_text_that_is_no_list_of_messages_is_counted_as_a_whole(letters: EstimatedTokens) -> None:
    for text in ('{"q":1}', "[1,2]", "[", "[]", "{nonsense", "plain"):
        assert letters.usage_of("gpt-4o", text, text) == {"input": len(text), "output": len(text)}


def test_a_very_long_text_is_counted_in_part_and_extrapolated(letters: EstimatedTokens) -> None:
    counted = []

    class Watching(Letters):
        def count(self, text: str) -> int:
            counted.append(len(text))
            return super().count(text)

    watching = EstimatedTokens(lambda _name: Watching())
    assert watching.usage_of("gpt-4o", "x" * 10 * TEXT_MAX_CHARS, "") == {
        "input": 10 * TEXT_MAX_CHARS
    }
    assert max(counted) == TEXT_MAX_CHARS


def test_a_model_of_no_known_family_and_empty_texts_give_nothing(letters: EstimatedTokens) -> None:
    assert letters.usage_of("acme-9000", "text", "text") == {}
    assert letters.usage_of("gpt-4o", "", "") == {}


def test_texts_with_unpaired_surrogates_are_accepted(real: EstimatedTokens) -> None:
    assert real.usage_of("gpt-4o", "\ud83d hello", "é")["output"] == 1


def test_without_the_package_there_is_no_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "find_spec", lambda _name: None)
    assert installed_tokens() is None


def test_tokens_of_very_many_texts_are_extrapolated(letters: EstimatedTokens) -> None:
    counted = []

    class Watching(Letters):
        def count(self, text: str) -> int:
            counted.append(len(text))
            return super().count(text)

    watching = EstimatedTokens(lambda _name: Watching())
    messages = [{"role": "user", "content": "x" * 1_000}] * 500
    usage = watching.usage_of("gpt-4o", json.dumps(messages), "")
    assert usage == {"input": 500 * 1_000 + 500 * 4 + 3}
    assert sum(counted) == TEXT_MAX_CHARS
