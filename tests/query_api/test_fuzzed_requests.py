"""No request is answered 500, whatever it contains."""

import json

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from query_api.errors import BadRequestError
from query_api.store.columns import OBSERVATION_COLUMNS
from query_api.store.filters import parse_filter
from tests.query_api.harness import Api

LANGFUSE_LISTS = (
    "/api/public/traces",
    "/api/public/observations",
    "/api/public/v2/observations",
    "/api/public/scores",
    "/api/public/v2/scores",
)


NATIVE_LISTS = ("/v1/windows", "/v1/alerts", "/v1/dead-letters")


texts = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        [
            "",
            "0",
            "-1",
            "1e9",
            "null",
            "true",
            "[]",
            "{}",
            "\x00",
            "'",
            "\\",
            "%",
            "🙂",
            "2026-11-21T12:00:00Z",
        ]
    ),
)


names = st.sampled_from(
    [
        "page", "limit", "cursor", "fields", "filter", "orderBy", "name", "userId", "tags",
        "tags[]", "environment",
        "fromTimestamp", "toTimestamp", "fromStartTime", "level", "type", "value", "operator",
        "scoreIds", "from", "to",
        "step", "group_by", "model", "time_zone", "parentObservationId", "isRootObservation",
        "expandMetadata", "stage",
    ]
)  # fmt: skip


entries = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["string", "number", "datetime", "stringOptions", "arrayOptions",
            "stringObject", "numberObject", "booleanObject", "boolean", "null", "nonsense"]),
        "column": st.sampled_from([*OBSERVATION_COLUMNS, "timestamp", "public", "nonsense"]),
        "operator": st.sampled_from(["=", "<>", ">", "<=", "contains", "matches", "any of",
            "none of", "all of", "is null", "is not null", "is set", "nonsense"]),
        "value": st.one_of(texts, st.integers(), st.floats(), st.booleans(), st.none(),
            st.lists(texts, max_size=3)),
        "key": texts,
    }
)  # fmt: skip


@pytest.fixture
async def fuzzed(api: Api) -> httpx.AsyncClient:
    return api.client


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    path=st.sampled_from([*LANGFUSE_LISTS, *NATIVE_LISTS]),
    params=st.lists(st.tuples(names, texts), max_size=4),
    filters=st.lists(entries, max_size=2),
)
async def test_no_query_of_a_client_is_answered_500(
    fuzzed: httpx.AsyncClient,
    path: str,
    params: list[tuple[str, str]],
    filters: list[dict[str, object]],
) -> None:
    asked = [*params, ("filter", json.dumps(filters))] if filters else params
    answer = await fuzzed.get(path, params=asked)
    assert answer.status_code in {200, 400, 422}, (asked, answer.text)
    assert answer.json()


@given(st.lists(entries, max_size=3))
def test_the_filter_grammar_is_understood_or_refused_by_name(
    drawn: list[dict[str, object]],
) -> None:
    refused = None
    try:
        parse_filter(json.dumps(drawn), OBSERVATION_COLUMNS)
    except BadRequestError as error:
        refused = error
    assert refused is None or refused.field.startswith("filter")


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.sampled_from(["/v1/budgets", "/v1/webhooks"]),
    body=st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(),
            st.floats(allow_nan=False, allow_infinity=False), texts),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(
                st.sampled_from(["name", "scope", "period", "time_zone", "limit_usd", "thresholds",
                    "url", "events", "user_id"]),
                inner,
                max_size=5,
            ),
        ),
        max_leaves=8,
    ),
)  # fmt: skip
async def test_no_body_is_answered_500(fuzzed: httpx.AsyncClient, path: str, body: object) -> None:
    answer = await fuzzed.post(path, json=body)
    assert answer.status_code in {201, 409, 422}, answer.text
