import json
from typing import Any

import pytest

from clickhouse.rows import ENTRY, ROOT_OF_TRACE
from query_api.settings import QuerySettings
from tests.query_api.counting import reached
from tests.query_api.harness import (
    DAY_US,
    NOON_US,
    PROJECT,
    Api,
    make_api,
    observation,
    score,
    trace,
)

SECOND_US = 1_000_000


async def answer_question(api: Api) -> None:
    """A trace without input whose root has one."""
    await api.insert(
        trace(
            "t1", end_us=NOON_US + 1_842_001, name="answer", user_id="u1", session_id="s1",
            tags=("a", "b"), release="1.0", version="v1", metadata='{"region":"eu","n":{"x":1}}',
            root_observation_id="o1", observation_count=2, total_cost_pico=3_100_000_000_001,
            usage={"input": 10, "output": 5}, environment="production", public=1,
        ),
        observation("t1", "o1", end_us=NOON_US + 1_842_001, name="root", input='{"q":"what?"}',
            output="42"),
        observation(
            "t1", "o2", NOON_US + 412_000, end_us=NOON_US + 1_842_000, parent_id="o1",
            completion_start_us=NOON_US + 733_000, type="GENERATION", name="call", model="gpt-4o",
        ),
        score("sc1", trace_id="t1", value=1.0, data_type="BOOLEAN", string_value="True"),
    )  # fmt: skip


async def test_a_trace_comes_with_its_observations_and_scores(api: Api) -> None:
    await answer_question(api)
    found = (await api.client.get("/api/public/traces/t1")).json()
    assert {name: found[name] for name in found if name not in {"createdAt", "updatedAt",
        "observations", "scores"}} == {
        "id": "t1", "projectId": PROJECT, "timestamp": "2026-11-21T12:00:00.000Z", "name": "answer",
        "userId": "u1", "sessionId": "s1", "release": "1.0", "version": "v1",
        "environment": "production",
        "externalId": None, "public": True, "bookmarked": False, "tags": ["a", "b"],
        "level": "DEFAULT",
        "input": {"q": "what?"}, "output": "42", "metadata": {"region": "eu", "n": {"x": 1}},
        "htmlPath": "/project/acme/traces/t1", "latency": 1.842001, "totalCost": 3.100000000001,
    }  # fmt: skip
    assert [each["id"] for each in found["observations"]] == ["o1", "o2"]
    assert found["observations"][1]["timeToFirstToken"] == 0.321
    assert found["scores"][0]["id"] == "sc1"
    assert found["scores"][0]["stringValue"] == "True"


async def test_a_list_of_traces_names_observations_and_scores(api: Api) -> None:
    await answer_question(api)
    answer = (await api.client.get("/api/public/traces")).json()
    assert answer["meta"] == {"page": 1, "limit": 50, "totalItems": 1, "totalPages": 1}
    (listed,) = answer["data"]
    assert (listed["observations"], listed["scores"]) == (["o1", "o2"], ["sc1"])
    assert (listed["input"], listed["totalCost"]) == ({"q": "what?"}, 3.100000000001)


async def test_groups_of_fields_leave_the_rest_out(api: Api) -> None:
    await answer_question(api)
    for path in ("/api/public/traces/t1", "/api/public/traces"):
        answer = (await api.client.get(path, params={"fields": "core"})).json()
        (found,) = answer.get("data", [answer])
        assert (found["observations"], found["scores"], found["input"]) == ([], [], None)
        assert (found["totalCost"], found["latency"]) == (-1, -1)
    refused = await api.client.get("/api/public/traces", params={"fields": "core,secrets"})
    assert refused.status_code == 400
    assert "secrets" in refused.text


async def test_an_unknown_trace_is_not_found(api: Api) -> None:
    refused = await api.client.get("/api/public/traces/nobody")
    assert refused.status_code == 404
    assert refused.json() == {
        "message": "Trace nobody not found within authorized project",
        "error": "LangfuseNotFoundError",
    }


async def test_only_the_newest_version_of_a_row_is_seen(api: Api) -> None:
    await api.insert(
        trace("t1", name="old", total_cost_pico=1), observation("t1", "o1", name="old")
    )
    await api.insert(
        trace("t1", name="new", row_version=2, observation_count=1),
        observation("t1", "o1", name="new", row_version=2),
    )
    await api.insert(trace("t1", name="old"), observation("t1", "o1", name="old"))
    found = (await api.client.get("/api/public/traces/t1")).json()
    assert (found["name"], found["totalCost"]) == ("new", 0)
    assert [each["name"] for each in found["observations"]] == ["new"]
    listed = (await api.client.get("/api/public/traces")).json()
    assert listed["meta"]["totalItems"] == 1
    assert (await api.client.get("/api/public/observations")).json()["meta"]["totalItems"] == 1


async def test_a_row_that_moved_to_another_day_is_seen_once(api: Api) -> None:
    """The streams write it under its new key and delete it under the old one."""
    await api.insert(trace("t1"), observation("t1", "o1"))
    await api.insert(
        trace("t1", row_version=2, is_deleted=1),
        trace("t1", NOON_US + 3 * DAY_US, row_version=2, name="moved", observation_count=1),
        observation("t1", "o1", row_version=2, is_deleted=1),
        observation("t1", "o1", NOON_US + 3 * DAY_US, row_version=2, name="moved"),
    )
    found = (await api.client.get("/api/public/traces/t1")).json()
    assert (found["name"], found["timestamp"]) == ("moved", "2026-11-24T12:00:00.000Z")
    assert [each["name"] for each in found["observations"]] == ["moved"]
    for path in ("/api/public/traces", "/api/public/observations", "/api/public/v2/observations"):
        assert [each["name"] for each in (await api.client.get(path)).json()["data"]] == ["moved"]
    single = (await api.client.get("/api/public/observations/o1")).json()
    assert single["startTime"] == "2026-11-24T12:00:00.000Z"


async def test_observations_far_from_their_trace_are_found_too(api: Api) -> None:
    """A client may give a trace any timestamp."""
    await api.insert(
        trace("t1", NOON_US, end_us=NOON_US + 1, observation_count=2),
        observation("t1", "near"),
        observation("t1", "far", NOON_US - 30 * DAY_US),
    )
    found = (await api.client.get("/api/public/traces/t1")).json()
    assert [each["id"] for each in found["observations"]] == ["far", "near"]
    (listed,) = (await api.client.get("/api/public/traces")).json()["data"]
    assert listed["observations"] == ["far", "near"]
    tree = (await api.client.get("/v1/traces/t1/tree")).json()
    assert [child["id"] for child in tree["root"]["children"]] == ["far", "near"]


async def test_more_observations_than_an_answer_may_hold_are_refused(api: Api) -> None:
    await api.insert(
        trace("t1", observation_count=4), *(observation("t1", f"o{number}") for number in range(4))
    )
    small, clients = make_api(api.store, QuerySettings(trace_observations_max=3))
    refused = await small.client.get("/api/public/traces/t1")
    assert (refused.status_code, refused.json()["error"]) == (422, "TooManyError")
    tree = (await small.client.get("/v1/traces/t1/tree")).json()
    assert (tree["truncated"], tree["observation_count"]) == (True, 4)
    assert len(tree["root"]["children"]) == 3
    for client in clients:
        await client.aclose()


async def test_a_list_has_some_ids_of_a_large_trace_and_marks_it(api: Api) -> None:
    await api.insert(
        trace("large", observation_count=4), *(observation("large", f"o{n}") for n in range(4)),
        trace("small", NOON_US - 1, observation_count=3),
        *(observation("small", f"p{n}") for n in range(3)),
        *(score(f"s{n}", trace_id="large") for n in range(4)), score("s9", trace_id="small"),
    )  # fmt: skip
    few, clients = make_api(api.store, QuerySettings(trace_ids_max=3))
    before = reached("trace_ids_max")
    large, small = (await few.client.get("/api/public/traces")).json()["data"]
    assert (large["observations"], large["scores"]) == (["o0", "o1", "o2"], ["s0", "s1", "s2"])
    assert large["truncated"] == ["observations", "scores"]
    assert (small["observations"], small["scores"]) == (["p0", "p1", "p2"], ["s9"])
    assert "truncated" not in small
    assert reached("trace_ids_max") == before + 1
    for client in clients:
        await client.aclose()


async def test_more_scores_than_an_answer_may_hold_are_refused(api: Api) -> None:
    await api.insert(trace("t1"), *(score(f"s{n}", trace_id="t1") for n in range(3)))
    for limit, status in ((3, 200), (2, 422)):
        small, clients = make_api(api.store, QuerySettings(trace_scores_max=limit))
        answer = await small.client.get("/api/public/traces/t1")
        assert answer.status_code == status
        for client in clients:
            await client.aclose()
    assert "/api/public/v2/scores" in answer.json()["message"]


async def test_a_trace_without_metadata_has_that_of_its_root(api: Api) -> None:
    said = {"input": "q", "output": "a", "metadata": '{"of":"root"}'}
    await api.insert(
        trace("t1", root_observation_id="o", observation_count=1, input="mine"),
        trace("t2", NOON_US - 1, root_observation_id="o", observation_count=1,
            metadata='{"of":"me"}'),
        observation("t1", "o", **said), observation("t2", "o", **said),
    )  # fmt: skip
    listed = (await api.client.get("/api/public/traces")).json()["data"]
    single = [(await api.client.get(f"/api/public/traces/{name}")).json() for name in ("t1", "t2")]
    for shown in (listed, single):
        assert [each["metadata"] for each in shown] == [{"of": "root"}, {"of": "me"}]
        assert [each["input"] for each in shown] == ["mine", "q"]


async def test_the_url_that_sdks_print_leads_to_the_trace(api: Api) -> None:
    answer = await api.anonymous.get("/project/acme/traces/a%2Fb")
    assert answer.status_code == 307
    assert answer.headers["location"] == "/api/public/traces/a%2Fb"


@pytest.mark.parametrize(
    ("merge_state", "inherits"), [("", True), ('{"first_us":5}', False)], ids=["spans", "event"]
)
async def test_a_trace_that_an_event_created_shows_no_texts_of_its_root_observation(
    api: Api, merge_state: str, inherits: bool
) -> None:
    root = {"input": "switched off", "output": "switched off", "metadata": '{"secret":"x"}'}
    await api.insert(
        trace("t1", root_observation_id="o1", observation_count=1, merge_state=merge_state),
        observation("t1", "o1", **root),
    )
    expected = {"input": None, "output": None, "metadata": {}}
    if inherits:
        expected = {"input": "switched off", "output": "switched off", "metadata": {"secret": "x"}}
    for found in (
        (await api.client.get("/api/public/traces/t1")).json(),
        (await api.client.get("/api/public/traces")).json()["data"][0],
    ):
        assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("rootness", "inherits"),
    [
        ({}, True),
        ({"parent_id": "o9"}, False),
        ({"parent_id": "o9", "app_root": ROOT_OF_TRACE}, True),
        ({"parent_id": "o9", "app_root": ENTRY}, False),
        ({"app_root": ENTRY}, True),
    ],
    ids=["root", "orphan", "root of an application", "first span", "first span, a root"],
)
async def test_a_trace_takes_texts_of_a_root_and_not_of_an_observation_whose_parent_is_elsewhere(
    api: Api, rootness: dict[str, Any], inherits: bool
) -> None:
    await api.insert(
        trace("t1", root_observation_id="o1", observation_count=1),
        observation("t1", "o1", output="said", **rootness),
    )
    filtered = [{"type": "string", "column": "output", "operator": "contains", "value": "said"}]
    params = {"filter": json.dumps(filtered)}
    shown = "said" if inherits else None
    assert (await api.client.get("/api/public/traces/t1")).json()["output"] == shown
    assert (await api.client.get("/api/public/traces")).json()["data"][0]["output"] == shown
    found = (await api.client.get("/api/public/traces", params=params)).json()["data"]
    assert [each["id"] for each in found] == (["t1"] if inherits else [])
