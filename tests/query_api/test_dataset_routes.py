"""Datasets, their items and runs, in the format of Langfuse."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from clickhouse.rows import DocumentRow
from query_api.settings import QuerySettings
from tests.query_api.harness import NOON_US, PROJECT, Api, observation, opened, score, trace

ITEMS = "/api/public/dataset-items"
RUN_ITEMS = "/api/public/dataset-run-items"
DATASETS = "/api/public/v2/datasets"


async def dataset(api: Api, name: str = "support/billing", **fields: Any) -> Any:
    answer = await api.client.post(DATASETS, json={"name": name, **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def item(api: Api, name: str = "support/billing", **fields: Any) -> Any:
    answer = await api.client.post(ITEMS, json={"datasetName": name, **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def ids(api: Api, **parameters: Any) -> list[str]:
    answer = (await api.client.get(ITEMS, params=parameters)).json()
    return [each["id"] for each in answer["data"]]


async def test_a_dataset_is_created_changed_and_found_by_its_name_with_slashes(api: Api) -> None:
    created = await dataset(api, description="first", metadata={"a": 1})
    changed = await dataset(api, description=None, metadata=[1])
    assert changed == {**created, "metadata": [1], "updatedAt": changed["updatedAt"]}
    for path in ("support/billing", "support%2Fbilling"):
        assert (await api.client.get(f"{DATASETS}/{path}")).json() == changed
    assert (await api.client.get(f"{DATASETS}/support")).status_code == 404
    assert (await api.other.get(f"{DATASETS}/support/billing")).status_code == 404
    await dataset(api, "second")
    page = (await api.client.get(DATASETS, params={"limit": 1})).json()
    assert [each["name"] for each in page["data"]] == ["second"]
    assert page["meta"] == {"page": 1, "limit": 1, "totalItems": 2, "totalPages": 2}
    assert (await api.other.get(DATASETS)).json()["data"] == []


async def test_an_item_is_created_changed_archived_and_deleted(api: Api) -> None:
    answer = await api.client.post(ITEMS, json={"datasetName": "support/billing"})
    assert (answer.status_code, answer.json()["message"]) == (404, "Dataset not found")
    made = await dataset(api)
    first = await item(api, id="a/b", input={"q": 1}, expectedOutput="x", sourceTraceId="t")
    assert first["datasetId"] == made["id"]
    assert (first["status"], first["metadata"], first["mediaReferences"]) == ("ACTIVE", None, [])
    changed = await item(api, id="a/b", input={"q": 2})
    assert changed == {**first, "input": {"q": 2}, "updatedAt": changed["updatedAt"]}
    for path in ("a/b", "a%2Fb"):
        assert (await api.client.get(f"{ITEMS}/{path}")).json() == changed
    second = await item(api)
    assert await ids(api) == [second["id"], "a/b"]
    assert await ids(api, datasetName="support/billing", limit=1, page=2) == ["a/b"]
    assert await ids(api, datasetName="support%2Fbilling", limit=1) == [second["id"]]
    assert await ids(api, sourceTraceId="t") == ["a/b"]
    assert await ids(api, sourceObservationId="o") == []
    await item(api, id="a/b", status="ARCHIVED")
    assert await ids(api) == [second["id"]]
    assert (await api.client.get(f"{ITEMS}/a/b")).json()["status"] == "ARCHIVED"
    await dataset(api, "second")
    answer = await api.client.post(ITEMS, json={"datasetName": "second", "id": "a/b"})
    assert answer.status_code == 404
    assert "already exists in a dataset other than second" in answer.json()["message"]
    assert (await api.other.delete(f"{ITEMS}/a/b")).status_code == 404
    answer = await api.client.delete(f"{ITEMS}/a/b")
    assert answer.json() == {"message": "Dataset item successfully deleted"}
    assert (await api.client.get(f"{ITEMS}/a/b")).status_code == 404


async def test_items_are_read_as_of_a_time(api: Api) -> None:
    async def inputs(version: str) -> list[Any]:
        parameters = {"datasetName": "support/billing", "version": version}
        answer = (await api.client.get(ITEMS, params=parameters)).json()
        return [each["input"] for each in answer["data"]]

    await dataset(api)
    first = await item(api, id="a", input=1)
    of_javascript = f"{first['updatedAt'][:23]}Z"  # without microseconds
    assert await inputs(of_javascript) == [1]
    link = {"runName": "r", "datasetItemId": "a", "traceId": "t", "datasetVersion": of_javascript}
    assert (await api.client.post(RUN_ITEMS, json=link)).is_success
    changed = await item(api, id="a", input=2)
    await api.client.delete(f"{ITEMS}/a")

    assert await inputs(first["updatedAt"]) == [1]
    assert await inputs(changed["updatedAt"]) == [2]
    assert await inputs("2020-01-01T00:00:00Z") == []
    assert await ids(api) == []


async def test_stored_items_are_read_with_those_that_are_not_stored_yet(api: Api) -> None:
    made = await dataset(api)
    common = {
        "project_id": PROJECT,
        "kind": "dataset_item",
        "is_deleted": 0,
        "parent": made["id"],
        "name": "",
        "status": "ACTIVE",
        "subject": "",
        "row_version": 1,
    }
    body = f'{{"dataset_id":"{made["id"]}","dataset_name":"support/billing","input":INPUT}}'
    for number in range(3):
        at = {"created_us": NOON_US + number, "updated_us": NOON_US + number}
        text = body.replace("INPUT", str(number))
        rows = [
            DocumentRow(id=f"s{number}", version=each, revision=1, body=text, **at, **common)
            for each in (0, 1)
        ]
        await api.insert(*rows)
    assert await ids(api) == ["s2", "s1", "s0"]
    changed = await item(api, id="s1", input="new")
    assert changed["createdAt"] == "2026-11-21T12:00:00.000001Z"
    new = await item(api)
    assert await ids(api) == [new["id"], "s2", "s1", "s0"]
    assert await ids(api, limit=2, page=2) == ["s1", "s0"]
    await api.client.delete(f"{ITEMS}/s2")
    assert await ids(api) == [new["id"], "s1", "s0"]
    assert await ids(api, version="2026-11-21T12:00:00.000002Z") == ["s2", "s1", "s0"]
    assert (await api.client.get(f"{ITEMS}/s0")).json()["input"] == 0


@pytest.mark.parametrize(
    ("schema", "value", "fault"),
    [
        ({"type": "object", "required": ["q"]}, {}, "'q' is a required property"),
        ({"properties": {"q": {"items": {"type": "string"}}}}, {"q": ["a", 1]}, "q[1]: 1 is not"),
        ({"additionalProperties": False}, {"z": 1}, "the property 'z' is not allowed"),
        ({"properties": {"q": {"pattern": "^a+$"}}}, {"q": "b"}, "q: 'b' does not match '^a+$'"),
        ({"uniqueItems": True}, [1, 1], "the items of the array are not unique"),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "const": 1}, 2, "1 was expected"),
    ],
)
async def test_items_must_meet_the_schemas_of_their_dataset(
    api: Api, schema: Any, value: Any, fault: str
) -> None:
    await dataset(api, inputSchema=schema)
    answer = await api.client.post(ITEMS, json={"datasetName": "support/billing", "input": value})
    assert answer.status_code == 400
    (issue,) = answer.json()["error"]
    assert issue["path"] == ["input"]
    assert fault in issue["message"]
    assert await ids(api) == []
    await dataset(api, inputSchema=None)
    await item(api, id="a", input=value)
    answer = await api.client.post(
        DATASETS, json={"name": "support/billing", "inputSchema": schema}
    )
    assert answer.status_code == 400
    assert "the existing item 'a'" in answer.text


@pytest.mark.parametrize(
    ("schema", "fault"),
    [
        ({"type": "text"}, "type"),
        ({"properties": {"q": {"minLength": -1}}}, "properties.q.minLength"),
        ({"pattern": "(?=a)"}, "not supported by RE2"),
        ({"$ref": "http://127.0.0.1:1/schema"}, "is not in it"),
        ({"$ref": "#"}, "without end"),
        ({"$ref": "#/type", "type": "string"}, "no schema"),
        ({"$ref": "#/allOf/x", "allOf": [True]}, "no schema"),
        ({"$ref": "x", "$id": "http://["}, "no schema"),
        ({"$schema": 5}, "$schema"),
        ({"$schema": []}, "$schema"),
        ({"$schema": "http://json-schema.org/draft-03/schema#", "type": "any"}, "type"),
        ({"unevaluatedProperties": False}, "unevaluatedProperties"),
    ],
)
async def test_a_schema_that_cannot_be_used_is_refused(api: Api, schema: Any, fault: str) -> None:
    for field in ("inputSchema", "expectedOutputSchema"):
        answer = await api.client.post(DATASETS, json={"name": "d", field: schema})
        assert answer.status_code == 400
        assert answer.json()["error"][0]["path"] == [field]
        assert fault in answer.text


async def test_a_check_that_takes_too_long_is_ended(api: Api) -> None:
    defs: dict[str, Any] = {"d0": {"type": "object"}}
    for number in range(1, 30):
        twice = [{"$ref": f"#/$defs/d{number - 1}"}] * 2
        defs[f"d{number}"] = {"allOf": twice}
    await dataset(api, inputSchema={"$defs": defs, "$ref": "#/$defs/d29"})
    answer = await api.client.post(ITEMS, json={"datasetName": "support/billing", "input": {}})
    assert answer.status_code == 400
    assert "more than 50000 steps" in answer.text
    await dataset(api, inputSchema={"items": {"pattern": "^(a+)+$"}})
    await item(api, input=["a" * 10_000])


async def test_a_run_has_the_traces_of_its_items(api: Api) -> None:
    made = await dataset(api)
    for name in ("a", "b", "old"):
        await item(api, id=name)
    await item(api, id="old", status="ARCHIVED")
    await api.insert(observation("t2", "o2"))

    async def link(**body: Any) -> Any:
        return await api.client.post(RUN_ITEMS, json={"runName": "r/1", **body})

    first = (
        await link(datasetItemId="a", traceId="t1", runDescription="d", metadata={"k": 1})
    ).json()
    assert (first["datasetRunName"], first["traceId"], first["observationId"]) == (
        "r/1",
        "t1",
        None,
    )
    assert (await link(datasetItemId="a", traceId="t1")).json() == first
    second = (await link(datasetItemId="b", observationId="o2")).json()
    assert (second["traceId"], second["observationId"]) == ("t2", "o2")
    assert second["datasetRunId"] == first["datasetRunId"]
    for body, status in (
        ({"datasetItemId": "old", "traceId": "t"}, 404),
        ({"datasetItemId": "nowhere", "traceId": "t"}, 404),
        ({"datasetItemId": "a", "observationId": "nowhere"}, 404),
        ({"datasetItemId": "a"}, 400),
    ):
        assert (await link(**body)).status_code == status

    runs = "/api/public/datasets/support%2Fbilling/runs"
    listed = (await api.client.get(runs)).json()
    assert [each["name"] for each in listed["data"]] == ["r/1"]
    for path in ("r%2F1", "r/1"):
        run = (await api.client.get(f"{runs}/{path}")).json()
        assert (run["description"], run["metadata"]) == ("d", {"k": 1})
        assert run["datasetRunItems"] == [second, first]
    parameters = {"datasetId": made["id"], "runName": "r/1", "limit": 1}
    page = (await api.client.get(RUN_ITEMS, params=parameters)).json()
    assert (page["data"], page["meta"]["totalItems"]) == ([second], 2)
    old = (await api.client.get("/api/public/datasets/support/billing")).json()
    assert ([each["id"] for each in old["items"]], old["runs"]) == (["b", "a"], ["r/1"])
    assert (await api.other.delete(f"{runs}/r%2F1")).status_code == 404
    answer = await api.client.delete(f"{runs}/r%2F1")
    assert answer.json() == {"message": "Dataset run successfully deleted"}
    assert (await api.client.get(f"{runs}/r%2F1")).status_code == 404
    assert (await api.client.get(RUN_ITEMS, params=parameters)).status_code == 404


async def test_the_id_of_a_run_is_the_one_that_sdks_compute(api: Api) -> None:
    made = await dataset(api, "ü")
    await item(api, "ü", id="a")
    body = {"runName": "ラン", "datasetItemId": "a", "traceId": "t"}
    linked = (await api.client.post(RUN_ITEMS, json=body)).json()
    text = f'["langfuse-experiment-v1","{PROJECT}","{made["id"]}","ラン"]'
    assert linked["datasetRunId"] == hashlib.sha256(text.encode()).hexdigest()[:16]


async def test_an_item_may_be_larger_than_other_bodies(api: Api) -> None:
    await dataset(api)
    large = await item(api, input="x" * 1_000_000)
    assert len((await api.client.get(f"{ITEMS}/{large['id']}")).json()["input"]) == 1_000_000
    given = {"datasetName": "support/billing", "input": "x" * 4_600_000}
    answer = await api.client.post(ITEMS, json=given)
    assert answer.status_code == 413
    assert "document_body_max_bytes" in answer.text


async def test_runs_are_compared_by_the_traces_and_scores_of_their_items(api: Api) -> None:
    await dataset(api, "d")
    for name in ("a", "b", "c"):
        await item(api, "d", id=name)
    for run, name, trace_id in (("one", "a", "t1"), ("two", "a", "t2"), ("two", "b", "nowhere")):
        body = {"runName": run, "datasetItemId": name, "traceId": trace_id}
        assert (await api.client.post(RUN_ITEMS, json=body)).is_success
    await api.insert(
        trace("t1", end_us=NOON_US + 2_000_000, total_cost_pico=3 * 10**9, usage={"total": 30}),
        trace("t2", end_us=NOON_US + 1_000_000, total_cost_pico=10**9, error_count=1),
        score("s1", trace_id="t1", name="right", value=1.0),
        score("s2", trace_id="t2", name="right", value=0.5, data_type="BOOLEAN"),
        score("s3", trace_id="t2", name="right", value=0.0, observation_id="o"),
        score("s4", trace_id="t2", name="style", string_value="good", data_type="CATEGORICAL"),
    )
    path = "/v1/experiments/compare"
    found = (await api.client.get(path, params={"dataset": "d", "runs": "one,two"})).json()
    one, two = found["runs"]
    assert (one["name"], one["items"], one["cost_usd"]["mean"]) == ("one", 1, "0.003")
    assert (two["items"], two["failed"], two["latency_ms"]["mean"]) == (2, 1, 1000.0)
    assert two["scores"] == {"right": {"mean": 0.25, "count": 1, "ci95": None}}
    assert {each["measure"]: each["mean"] for each in found["differences"]} == {
        "cost_usd": "-0.002", "latency_ms": -1000.0, "tokens": -30.0, "scores.right": -0.75,
    }  # fmt: skip
    assert found["regressions"] == [
        {"run": "two", "item_id": "a", "score": "right", "from": 1.0, "to": 0.25}
    ]
    assert found["failed"] == [{"run": "two", "item_id": "a", "trace_id": "t2"}]
    assert [(each["run"], each["item_id"], each["reason"]) for each in found["missing"]] == [
        ("one", "b", "not_run"), ("one", "c", "not_run"), ("two", "c", "not_run"),
        ("two", "b", "no_trace"),
    ]  # fmt: skip
    assert [each["item_id"] for each in found["items"]] == ["a", "b", "c"]
    repeated = await api.client.get(path, params={"dataset": "d", "runs": ["one", "two"]})
    assert repeated.json() == found
    for parameters in ({"dataset": "nowhere", "runs": "one"}, {"dataset": "d", "runs": "three"}):
        assert (await api.client.get(path, params=parameters)).status_code == 404
    for runs in (",", "one,one", ["two", "one", "two"]):
        refused = await api.client.get(path, params={"dataset": "d", "runs": runs})
        assert (refused.status_code, refused.json()["error"]["field"]) == (422, "runs")
    body = {"runName": "one,two", "datasetItemId": "a", "traceId": "t1"}
    assert (await api.client.post(RUN_ITEMS, json=body)).is_success
    alone = (await api.client.get(path, params={"dataset": "d", "runs": "one,two"})).json()
    assert [each["name"] for each in alone["runs"]] == ["one,two"]


async def test_lists_of_a_comparison_are_cut_fairly_and_say_how_much_is_left_out(
    clickhouse_url: str, shared_database: str
) -> None:
    settings = QuerySettings(experiment_changes_max=4)
    async with opened(clickhouse_url, shared_database, settings) as api:
        await dataset(api, "d")
        for name in ("a", "b", "c", "d"):
            await item(api, "d", id=name)
        for run in ("one", "two", "three"):
            body = {"runName": run, "datasetItemId": "a", "traceId": "nowhere"}
            assert (await api.client.post(RUN_ITEMS, json=body)).is_success
        parameters = {"dataset": "d", "runs": "one,two,three"}
        answer = await api.client.get("/v1/experiments/compare", params=parameters)
    found = answer.json()
    assert [each["run"] for each in found["missing"]] == ["one", "two", "three", "three"]
    assert found["truncated"]
    assert found["left_out"] == {
        "regressions": 0, "improvements": 0, "missing": 8, "failed": 0,
    }  # fmt: skip


async def test_many_items_are_imported_and_refused_ones_are_named(api: Api) -> None:
    path = "/v1/datasets/items"
    given = [{"id": "a", "input": "x"}, {"id": "b", "input": 1}, {"input": "y"}]
    body = {"dataset": "d", "items": given}
    assert (await api.client.post(path, json=body)).status_code == 404
    await dataset(api, "d", inputSchema={"type": "string"})
    for _ in range(2):
        found = (await api.client.post(path, json=body)).json()
        assert found["written"] == 2
        assert [each["index"] for each in found["refused"]] == [1]
        assert "1 is not of type 'string'" in found["refused"][0]["message"]
    assert len(await ids(api, datasetName="d")) == 3
    await dataset(api, "e")
    moved = {"dataset": "e", "items": [{"id": "a"}]}
    found = (await api.client.post(path, json=moved)).json()
    assert "another dataset" in found["refused"][0]["message"]
    too_many = {"dataset": "e", "items": [{}] * 501}
    answer = await api.client.post(path, json=too_many)
    assert answer.status_code == 422
    assert "items_per_request_max" in answer.text or "at most 500" in answer.text
