from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.query_api.harness import NOON_US, Api, Kept, opened, score

SECOND_US = 1_000_000
PATH = "/api/public/v3/scores"


@pytest.fixture(scope="module")
def stored_scores(kept: Kept) -> str:
    return kept(
        [
            score("n", trace_id="t1", name="accuracy", value=0.75, comment="fine",
                metadata='{"by":"me"}', config_id="c1"),
            score("b", NOON_US + SECOND_US, trace_id="t1", data_type="BOOLEAN", value=1.0,
                string_value="True"),
            score("c", NOON_US + 2 * SECOND_US, trace_id="t1", observation_id="o1",
                data_type="CATEGORICAL", string_value="good", source="EVAL"),
            score("s", NOON_US + 3 * SECOND_US, session_id="s1", value=2.0, environment="staging",
                queue_id="q", author_user_id="ada"),
            score("r", NOON_US + 3 * SECOND_US, dataset_run_id="run1", data_type="TEXT",
                string_value="well done"),
            score("x", NOON_US + 5 * SECOND_US, trace_id="t2", data_type="CORRECTION",
                name="output", string_value="better"),
        ]
    )  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scored(clickhouse_url: str, stored_scores: str) -> AsyncIterator[Api]:
    async with opened(clickhouse_url, stored_scores) as api:
        yield api


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, "xsrcbn"),
        ({"id": "b, n"}, "bn"),
        ({"name": "accuracy,output"}, "xn"),
        ({"source": "eval"}, "c"),
        ({"dataType": "boolean,Text"}, "rb"),
        ({"environment": "staging"}, "s"),
        ({"configId": "c1"}, "n"),
        ({"queueId": "q"}, "s"),
        ({"authorUserId": "ada"}, "s"),
        ({"traceId": "t1,t2"}, "xcbn"),
        ({"traceId": "t1", "observationId": "o1"}, "c"),
        ({"sessionId": "s1"}, "s"),
        ({"experimentId": "run1"}, "r"),
        ({"fromTimestamp": "2026-11-21T12:00:03Z"}, "xsr"),
        ({"toTimestamp": "2026-11-21T12:00:01Z"}, "n"),
        ({"dataType": "NUMERIC", "value": "2, 0.75"}, "sn"),
        ({"dataType": "NUMERIC", "value": "3"}, ""),
        ({"dataType": "NUMERIC", "valueMin": "0.75", "valueMax": "1.9"}, "n"),
        ({"dataType": "BOOLEAN", "value": "true"}, "b"),
        ({"dataType": "BOOLEAN", "value": "false"}, ""),
        ({"dataType": "CATEGORICAL", "value": "good,bad"}, "c"),
    ],
)
async def test_scores_are_narrowed_down(scored: Api, params: dict[str, str], expected: str) -> None:
    answer = await scored.client.get(PATH, params=params)
    assert answer.status_code == 200, answer.text
    assert "".join(each["id"] for each in answer.json()["data"]) == expected


@pytest.mark.asyncio(loop_scope="module")
async def test_pages_follow_each_other_without_gap_or_repetition(scored: Api) -> None:
    """Two scores share their time, and a page ends between them."""
    pages, cursor = [], {}
    while True:
        answer = (await scored.client.get(PATH, params={"limit": 2, **cursor})).json()
        pages.append("".join(each["id"] for each in answer["data"]))
        assert answer["meta"]["limit"] == 2
        if "cursor" not in answer["meta"]:
            break
        cursor = {"cursor": answer["meta"]["cursor"]}
    assert pages == ["xs", "rc", "bn"]


@pytest.mark.asyncio(loop_scope="module")
async def test_a_score_shows_the_groups_that_are_asked_for(scored: Api) -> None:
    core = (await scored.client.get(PATH)).json()["data"]
    assert {each["id"]: each["value"] for each in core} == {
        "n": 0.75, "b": True, "c": "good", "s": 2, "r": "well done", "x": "better",
    }  # fmt: skip
    assert all("subject" not in each and "comment" not in each for each in core)

    fields = {"fields": "details,subject,annotation"}
    whole = (await scored.client.get(PATH, params=fields)).json()["data"]
    by_id = {each["id"]: each for each in whole}
    assert {id_: each["subject"] for id_, each in by_id.items()} == {
        "n": {"kind": "trace", "id": "t1"},
        "b": {"kind": "trace", "id": "t1"},
        "c": {"kind": "observation", "id": "o1", "traceId": "t1"},
        "s": {"kind": "session", "id": "s1"},
        "r": {"kind": "experiment", "id": "run1"},
        "x": {"kind": "trace", "id": "t2"},
    }
    assert (by_id["n"]["comment"], by_id["n"]["configId"]) == ("fine", "c1")
    assert by_id["n"]["metadata"] == {"by": "me"}
    assert (by_id["s"]["authorUserId"], by_id["s"]["queueId"]) == ("ada", "q")


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"limit": "101"}, "limit"),
        ({"cursor": "nonsense"}, "cursor"),
        ({"fields": "details,trace"}, "fields"),
        ({"dataType": "NUMBER"}, "dataType"),
        ({"value": "1"}, "value"),
        ({"value": "1", "dataType": "NUMERIC,BOOLEAN"}, "value"),
        ({"value": "x", "dataType": "TEXT"}, "value"),
        ({"value": "1", "dataType": "BOOLEAN"}, "value"),
        ({"value": "inf", "dataType": "NUMERIC"}, "value"),
        ({"value": "one", "dataType": "NUMERIC"}, "value"),
        ({"valueMin": "1"}, "valueMin"),
        ({"valueMax": "1", "dataType": "BOOLEAN"}, "valueMax"),
        ({"observationId": "o1"}, "observationId"),
        ({"traceId": "t1", "sessionId": "s1"}, "sessionId"),
        ({"sessionId": "s1", "experimentId": "run1"}, "experimentId"),
    ],
)
async def test_the_error_for_an_invalid_parameter_names_it(
    scored: Api, params: dict[str, str], field: str
) -> None:
    answer = await scored.client.get(PATH, params=params)
    assert answer.status_code == 400
    (issue,) = answer.json()["error"]
    assert issue["path"] == [field]
