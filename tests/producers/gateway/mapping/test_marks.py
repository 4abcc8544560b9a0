"""Spans say how a cache of the application answered, and of which class an error is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.producers.gateway.mapping.test_mapping_fixtures import observed
from tracemill.marks import cache_mark_in, error_type_of


def field_of(name: str, attributes: dict[str, Any], **span: Any) -> Any:
    export = {"resource": {}, "scope": {"name": "s"}, "spans": [
        {"name": "call", "attributes": attributes, **span}]}  # fmt: skip
    (found,) = observed(export)
    return found.get(name)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"cache_hit": True}, "exact"),
        ({"cache_hit": "true", "cache.type": "semantic"}, "semantic"),
        ({"cache_hit": False, "cache.type": "semantic"}, "miss"),
        ({"cache.type": "exact"}, "exact"),
        ({"cache.type": "redis"}, None),
        ({"cache_hit": True, "cache.type": "redis"}, "exact"),
        ({"langfuse.observation.metadata.cache_hit": "true"}, "exact"),
        ({"langfuse.observation.metadata.cache": '{"hit": true, "type": "semantic"}'}, "semantic"),
        ({"langfuse.observation.metadata": '{"cache_hit": false}'}, "miss"),
        ({"metadata": '{"cache_hit": true, "cache.type": "semantic"}'}, "semantic"),
        ({"metadata": '{"other": 1}'}, None),
        ({"gen_ai.cache_hit": 1}, "exact"),
        ({"cache_hit": ""}, None),
        ({"http.cache_hit": True}, None),
    ],
)
def test_a_span_says_how_a_cache_answered(attributes: dict[str, Any], expected: str | None) -> None:
    assert field_of("app_cache", attributes) == expected


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"cacheHit": True}, "exact"),
        ({"cache": {"hit": False}}, "miss"),
        ({"cache": "warm"}, None),
        ({"cache_hit": "semantic"}, "semantic"),
        ({"cache_hit": None}, None),
        ({"cache_hit": [1]}, None),
        ({"cache_type": "miss"}, "miss"),
        ({}, None),
    ],
)
def test_metadata_say_how_a_cache_answered(metadata: dict[str, Any], expected: str | None) -> None:
    assert cache_mark_in(metadata) == expected
    assert field_of("app_cache", {"langfuse.metadata": json.dumps(metadata)}) == expected


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("openai.RateLimitError: Error code: 429", "RateLimitError"),
        ("429 Too Many Requests", "429"),
        ("Error code: 500 - oops", "500"),
        ("HTTP 503", "503"),
        ("ReadTimeout", "ReadTimeout"),
        ("it did not work", None),
        ("", None),
        (None, None),
    ],
)
def test_the_class_of_an_error_is_read_from_its_message(
    message: str | None, expected: str | None
) -> None:
    assert error_type_of(message) == expected


def test_the_class_of_an_error_is_its_attribute_or_that_of_its_exception() -> None:
    assert field_of("error_type", {"error.type": "openai.RateLimitError"}) == "RateLimitError"
    assert field_of("error_type", {"error.type": "429"}) == "429"
    assert field_of("error_type", {"langfuse.observation.status_message": "KeyError: 'x'"}) == (
        "KeyError"
    )
