"""Conditions of a query become terms of a search, unless no term means the same."""

from __future__ import annotations

from typing import Any

import pytest

from query_api.console.explore_filters import (
    body_filters,
    filters_of,
    list_address,
    search_text,
    terms_of_body,
)


@pytest.mark.parametrize(
    "search",
    [
        "model:gpt-4o cost>0.1 latency<2",
        "env:production tag:a tag:b",
        'user:"Ada L" user:grace level:ERROR',
        "cost>=0.5 cost<1 tokens:3 input:refund",
        "",
    ],
)
def test_a_search_that_became_a_query_becomes_the_same_search(search: str) -> None:
    body = body_filters(filters_of("observations", search))
    terms, unlisted = terms_of_body(body)
    assert not unlisted
    again = search_text("observations", terms)
    assert again is not None
    assert body_filters(filters_of("observations", again)) == body


def test_a_member_of_the_metadata_is_a_term_of_lists_and_not_of_explore() -> None:
    given = {"field": "metadata", "key": "region", "operator": "=", "value": "eu"}
    terms, unlisted = terms_of_body({"filters": [given]})
    assert not unlisted
    assert list_address("", "observations", (0, 1), terms).endswith("q=metadata.region%3Aeu")
    assert search_text("observations", terms) is None


@pytest.mark.parametrize(
    ("body", "unlisted"),
    [
        ({"filter": {"model": []}}, {"model"}),
        ({"filter": {"tags": ["a", "b"]}}, {"tags"}),
        ({"filters": [{"field": "model", "operator": "!=", "value": "m"}]}, {"model"}),
        ({"filters": [{"field": "cost_usd", "operator": "is_set"}]}, {"cost_usd"}),
        ({"filters": [{"field": "metadata", "key": "k", "operator": "=", "value": 1}]},
         {"metadata"}),
        # Both must hold, but terms that are repeated mean one of them.
        ({"filter": {"model": ["a"]},
          "filters": [{"field": "model", "operator": "=", "value": "b"}]}, {"model"}),
        ({"filters": [{"field": "name", "operator": "=", "value": each} for each in "ab"]},
         {"name"}),
    ],
)  # fmt: skip
def test_what_no_term_expresses_is_named(body: dict[str, Any], unlisted: set[str]) -> None:
    terms, found = terms_of_body(body)
    assert found == unlisted
    assert not {each.field for each in terms} & unlisted
