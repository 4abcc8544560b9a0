"""Usage is kept as it was sent where that differs from the reconciled counts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from producers.gateway.values.usage import usage_of_json, usage_of_object, usage_of_older_object

DETAILS: list[tuple[dict[str, Any], dict[str, int] | None]] = [
    ({"input": 10, "output": 5}, None),
    ({"input": 10, "output": 5, "total": 15}, None),
    ({"input": "10", "output": 5}, None),
    ({"input": 51, "output": 0, "total": 100}, {"input": 51, "output": 0, "total": 100}),
    (
        {"prompt_tokens": 10, "completion_tokens": 20},
        {"prompt_tokens": 10, "completion_tokens": 20},
    ),
    (
        {"prompt_tokens": 100, "completion_tokens": 200, "total_tokens": 500},
        {"input": 100, "output": 200, "total": 500},
    ),
    ({"prompt_tokens": 100, "completion_tokens": 200, "total_tokens": 300}, None),
    (
        {"input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": 3},
        {"input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": 3},
    ),
    ({"input": 10, "output": 5, "cost": 2}, None),
    ({"words": "many"}, None),
]


@pytest.mark.parametrize(("sent", "reported"), DETAILS)
def test_details_are_reported_as_sent_if_they_differ_from_the_counts(
    sent: dict[str, Any], reported: dict[str, int] | None
) -> None:
    assert usage_of_object(sent).reported == reported
    assert usage_of_json(json.dumps(sent)).reported == reported


@pytest.mark.parametrize(
    ("sent", "reported"),
    [
        ({"input": 10, "output": 5, "total": 15, "unit": "TOKENS"}, None),
        ({"promptTokens": 10, "completionTokens": 5}, None),
        (
            {"promptTokens": 10, "completionTokens": 5, "totalTokens": 40},
            {"input": 10, "output": 5, "total": 40},
        ),
        (
            {"input": 51, "output": 0, "total": 100, "unit": "CHARACTERS"},
            {"input": 51, "output": 0, "total": 100},
        ),
        ({"input": 51, "output": 3, "unit": "SECONDS"}, None),
    ],
)
def test_older_usage_is_reported_with_its_given_total(
    sent: dict[str, Any], reported: dict[str, int] | None
) -> None:
    usage, _ = usage_of_older_object(sent)
    assert usage.reported == reported
