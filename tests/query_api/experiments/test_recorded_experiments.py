"""Experiments that SDKs record only as attributes of spans are runs of datasets."""

from __future__ import annotations

from typing import Any

import msgspec

from clickhouse.rows import ObservationRow
from producers.documents.kinds.dataset_run import DatasetRunItem
from query_api.experiments.attributes import attributes_of
from query_api.settings import QuerySettings
from tests.query_api.documents.rows import document
from tests.query_api.harness import Api, observation, opened, score, trace
from tests.query_api.test_dataset_routes import RUN_ITEMS, dataset, item
from tracemill.clock import now_us

MINUTE_US = 60_000_000
SINCE = {"fromStartTime": "2026-01-01T00:00:00Z"}
RUNS = "/api/public/datasets/d/runs"
EXPERIMENTS = "/api/public/experiments"
ITEMS = "/api/public/experiment-items"


def span(
    item_id: str, experiment: str = "e1", start_us: int | None = None, **fields: Any
) -> ObservationRow:
    """The root observation of an item, as Python's SDK 5 describes it."""
    id_ = f"o-{item_id}-{experiment}"
    attributes = {
        "id": experiment,
        "name": f"run {experiment}",
        "item.id": item_id,
        "item.root_observation_id": id_,
        **fields.pop("attributes", {}),
    }
    metadata = {"own": 1, **{f"langfuse.experiment.{key}": attributes[key] for key in attributes}}
    at_us = now_us() if start_us is None else start_us
    return observation(
        f"t-{item_id}-{experiment}",
        id_,
        at_us,
        end_us=at_us + 1_000,
        metadata=msgspec.json.encode(metadata).decode(),
        **fields,
    )


async def get(api: Api, path: str, **parameters: Any) -> Any:
    answer = await api.client.get(path, params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_run_that_only_spans_record_is_listed_read_compared_and_deleted(api: Api) -> None:
    made = await dataset(api, "d")
    for each in ("a", "b"):
        await item(api, "d", id=each)
    of_run = {
        "dataset.id": made["id"],
        "description": "first try",
        "metadata": '{"model":"m"}',
        "item.expected_output": '"Berlin"',
    }
    spans = [span(each, attributes=of_run) for each in ("a", "b")]
    child = msgspec.structs.replace(spans[0], id="child", parent_id=spans[0].id)
    await api.insert(
        *spans,
        *spans,  # a replay
        child,
        trace(spans[0].trace_id, total_cost_pico=10**9),
        score("s1", trace_id=spans[0].trace_id, name="right", value=1.0),
        score("s2", dataset_run_id="e1", name="mean", value=0.5),
    )
    (run,) = (await get(api, RUNS))["data"]
    assert (run["id"], run["name"], run["description"]) == ("e1", "run e1", "first try")
    assert (run["metadata"], run["datasetName"]) == ({"model": "m"}, "d")
    whole = await get(api, f"{RUNS}/run%20e1")
    linked = {
        each["datasetItemId"]: (each["traceId"], each["observationId"])
        for each in whole["datasetRunItems"]
    }
    assert linked == {"a": ("t-a-e1", "o-a-e1"), "b": ("t-b-e1", "o-b-e1")}
    items = await get(api, RUN_ITEMS, datasetId=made["id"], runName="run e1", limit=1, page=2)
    assert items["data"] == whole["datasetRunItems"][1:]
    assert items["meta"]["totalItems"] == 2
    assert (await get(api, "/api/public/datasets/d"))["runs"] == ["run e1"]

    compared = await get(api, "/v1/experiments/compare", dataset="d", runs="run e1")
    assert compared["runs"][0]["scores"]["right"]["mean"] == 1.0
    assert [(each["item_id"], each["reason"]) for each in compared["missing"]] == [
        ("b", "no_trace")
    ]

    (experiment,) = (await get(api, EXPERIMENTS, **SINCE, fields="metadata,scores"))["data"]
    assert (experiment["itemCount"], experiment["datasetId"]) == (2, made["id"])
    assert [each["name"] for each in experiment["scores"]] == ["mean"]
    found = await get(api, ITEMS, experimentId="e1", fields="io,metadata,scores")
    by_item = {each["experimentItemId"]: each for each in found["data"]}
    assert by_item["a"]["expectedOutput"] == "Berlin"
    assert by_item["a"]["metadata"] == {"own": 1}
    assert [each["value"] for each in by_item["a"]["scores"]] == [1.0]

    assert (await api.client.delete(f"{RUNS}/run%20e1")).status_code == 200
    assert (await get(api, RUNS))["data"] == []
    assert (await get(api, EXPERIMENTS, **SINCE))["data"] == []
    assert (await get(api, ITEMS, **SINCE))["data"] == []
    assert (await api.client.delete(f"{RUNS}/run%20e1")).status_code == 404
    later = span("a", start_us=now_us() + MINUTE_US, attributes=of_run, row_version=2)
    await api.insert(msgspec.structs.replace(later, trace_id="t-again"))
    assert [each["itemCount"] for each in (await get(api, EXPERIMENTS, **SINCE))["data"]] == [1]
    assert len((await get(api, f"{RUNS}/run%20e1"))["datasetRunItems"]) == 1


async def test_an_item_that_is_linked_and_recorded_counts_once(api: Api) -> None:
    made = await dataset(api, "d")
    await item(api, "d", id="a")
    body = {"runName": "r", "datasetItemId": "a", "traceId": "t-a-X", "metadata": {"k": 1}}
    run_id = (await api.client.post(RUN_ITEMS, json=body)).json()["datasetRunId"]
    recorded = span("a", run_id, attributes={"name": "r", "dataset.id": made["id"]})
    await api.insert(msgspec.structs.replace(recorded, trace_id="t-a-X"))
    answer = await get(api, RUNS)
    assert [(each["id"], each["metadata"]) for each in answer["data"]] == [(run_id, {"k": 1})]
    assert answer["meta"]["totalItems"] == 1
    assert len((await get(api, f"{RUNS}/r"))["datasetRunItems"]) == 1
    (experiment,) = (await get(api, EXPERIMENTS, **SINCE))["data"]
    assert (experiment["id"], experiment["itemCount"]) == (run_id, 1)
    (found,) = (await get(api, ITEMS, **SINCE))["data"]
    assert (found["id"], found["traceId"]) == (recorded.id, "t-a-X")


async def test_runs_of_both_kinds_are_in_one_order_on_pages(api: Api) -> None:
    made = await dataset(api, "d")
    await item(api, "d", id="a")
    start_us = now_us() - 10 * MINUTE_US
    for number in range(3):
        created = f"2026-11-20T12:00:0{number}Z"
        body = {"runName": f"linked {number}", "datasetItemId": "a", "traceId": "t"}
        assert (await api.client.post(RUN_ITEMS, json={**body, "createdAt": created})).is_success
    of_run = {"dataset.id": made["id"]}
    await api.insert(
        *[span("a", f"e{n}", start_us + n * MINUTE_US, attributes=of_run) for n in range(3)]
    )
    everything = [each["name"] for each in (await get(api, RUNS))["data"]]
    assert everything == ["run e2", "run e1", "run e0", "linked 2", "linked 1", "linked 0"]
    pages = [await get(api, RUNS, limit=2, page=page) for page in (1, 2, 3, 4)]
    assert [each["name"] for page in pages for each in page["data"]] == everything
    assert {page["meta"]["totalItems"] for page in pages} == {6}
    assert await paged_names(api) == everything
    assert await paged_names(api, datasetId=made["id"], name="linked 1,run e0") == [
        "run e0", "linked 1",
    ]  # fmt: skip
    ends = '[{"type":"string","column":"name","operator":"ends with","value":"2"}]'
    assert await paged_names(api, filter=ends) == ["run e2", "linked 2"]
    until = {"fromStartTime": "2026-11-20T12:00:01Z", "toStartTime": "2026-11-20T12:00:02Z"}
    (linked,) = (await get(api, EXPERIMENTS, **until, fields="metadata"))["data"]
    assert (linked["name"], linked["itemCount"], linked["datasetId"]) == ("linked 1", 1, made["id"])
    assert (linked["startTime"], linked["metadata"]) == ("2026-11-20T12:00:01.000Z", None)
    assert await paged_names(api, ITEMS) == everything
    assert await paged_names(api, ITEMS, experimentName="linked 1,run e0") == ["run e0", "linked 1"]
    assert await paged_names(api, ITEMS, datasetId=made["id"], experimentItemId="a") == everything
    assert await paged_names(api, ITEMS, experimentId=linked["id"]) == ["linked 1"]
    assert await paged_names(api, ITEMS, filter=ends.replace("name", "experimentName")) == [
        "run e2", "linked 2",
    ]  # fmt: skip
    assert (await api.client.delete(f"{RUNS}/linked%201")).status_code == 200
    assert "linked 1" not in await paged_names(api)
    assert "linked 1" not in await paged_names(api, ITEMS)


async def test_a_linked_item_has_what_its_trace_run_and_item_have(api: Api) -> None:
    made = await dataset(api, "d")
    await item(api, "d", id="a", expectedOutput="Berlin", metadata={"m": 1})
    body = {"runName": "r", "datasetItemId": "a", "runDescription": "try", "metadata": {"k": 1}}
    for each in ("t1", "t2"):
        answer = await api.client.post(RUN_ITEMS, json={**body, "traceId": each})
        assert answer.is_success
    await api.insert(
        trace("t1", input="in", output="out", level="ERROR"),
        score("s", trace_id="t1", name="right", value=1.0),
    )
    fields = "core,dataset,io,itemMetadata,experimentMetadata,scores"
    found = (await get(api, ITEMS, **SINCE, fields=fields))["data"]
    assert [each["traceId"] for each in found] == ["t2", "t1"]
    stored = {name: found[1][name] for name in ("input", "output", "expectedOutput", "level")}
    assert stored == {"input": "in", "output": "out", "expectedOutput": "Berlin", "level": "ERROR"}
    assert (found[1]["experimentItemMetadata"], found[1]["experimentMetadata"]) == (
        {"m": 1}, {"k": 1},
    )  # fmt: skip
    assert (found[1]["experimentDatasetId"], found[1]["experimentName"]) == (made["id"], "r")
    assert [each["value"] for each in found[1]["scores"]] == [1.0]
    assert (found[0]["input"], found[0]["endTime"]) == (None, None), "its trace is not stored yet"


async def test_stored_and_new_runs_are_counted_together(api: Api) -> None:
    await dataset(api, "d")
    await item(api, "d", id="a")
    body = {"runName": "r", "datasetItemId": "a", "createdAt": "2026-11-20T12:00:00Z"}
    made = (await api.client.post(RUN_ITEMS, json={**body, "traceId": "t1"})).json()
    stored = DatasetRunItem(
        run_id=made["datasetRunId"], run_name="r", dataset_item_id="a", trace_id="t2"
    )
    await api.insert(document("stored", stored))
    (found,) = (await get(api, EXPERIMENTS, **SINCE))["data"]
    assert (found["itemCount"], found["endTime"]) == (2, "2026-11-21T12:00:00.000Z")


async def paged_names(api: Api, path: str = EXPERIMENTS, **parameters: str) -> list[str]:
    """Return the names of experiments, from pages of one."""
    field = "name" if path == EXPERIMENTS else "experimentName"
    names: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = await get(api, path, **SINCE, limit=1, **parameters, **cursor)
        assert len(page["data"]) <= 1
        names += [each[field] for each in page["data"]]
        if "cursor" not in page["meta"]:
            return names
        cursor = {"cursor": page["meta"]["cursor"]}


async def test_experiments_on_local_data_are_found_filtered_and_compared(api: Api) -> None:
    start_us = now_us()
    spans = [
        span(each, experiment, start_us + number)
        for number, experiment in enumerate(("e1", "e2", "e3"))
        for each in ("a", "b")
    ]
    await api.insert(*spans, score("s", trace_id="t-a-e2", name="right", value=1.0))
    assert await paged_names(api) == ["run e3", "run e2", "run e1"]
    found = await get(api, EXPERIMENTS, **SINCE, id="e1,e3")
    assert [each["id"] for each in found["data"]] == ["e3", "e1"]
    condition = '[{"type":"string","column":"name","operator":"=","value":"run e2"}]'
    found = await get(api, EXPERIMENTS, **SINCE, filter=condition)
    assert [each["id"] for each in found["data"]] == ["e2"]
    items = await get(api, ITEMS, **SINCE, experimentName="run e2", experimentItemId="a")
    assert [each["traceId"] for each in items["data"]] == ["t-a-e2"]
    compared = await get(api, "/v1/experiments/compare", runs="run e1,e2")
    assert [each["name"] for each in compared["runs"]] == ["run e1", "run e2"]
    assert compared["runs"][1]["scores"]["right"]["mean"] == 1.0
    assert (await api.client.get("/v1/experiments/compare?runs=none")).status_code == 404
    assert (await api.other.get(EXPERIMENTS, params=SINCE)).json()["data"] == []


async def test_an_item_whose_start_moved_to_another_minute_is_one_item(api: Api) -> None:
    start_us = now_us() - 10 * MINUTE_US
    old = span("a", start_us=start_us)
    moved = msgspec.structs.replace(old, start_us=start_us + MINUTE_US, row_version=2)
    gone = observation(old.trace_id, old.id, start_us, row_version=2, is_deleted=1)
    await api.insert(old)
    await api.insert(moved, gone)
    assert len((await get(api, ITEMS, **SINCE))["data"]) == 1


async def test_a_list_of_too_many_recorded_runs_is_refused(
    clickhouse_url: str, shared_database: str, api: Api
) -> None:
    settings = QuerySettings(recorded_runs_max=1, readiness_cache_s=0)
    async with opened(clickhouse_url, shared_database, settings) as limited:
        made = await dataset(limited, "d")
        of_run = {"dataset.id": made["id"]}
        await api.insert(*[span("a", each, attributes=of_run) for each in ("e1", "e2")])
        answer = await limited.client.get(RUNS)
        assert answer.status_code == 422
        assert "recorded_runs_max" in answer.text


def test_attributes_of_each_encoding_are_read() -> None:
    found = attributes_of(
        '{"langfuse.experiment.id":"e","langfuse.experiment.item.id":7,'
        '"langfuse.experiment.metadata.model":"\\"m\\"","langfuse.experiment.metadata.n":"2",'
        '"langfuse.experiment.item.metadata":"[1]","langfuse.experiment.item.version":"x",'
        '"langfuse.experiment.item.expected_output":"{broken"}'
    )
    assert (found.name, found.item_id, found.dataset_id) == ("e", "7", None)
    assert found.metadata == {"model": "m", "n": 2}
    assert (found.item_metadata, found.item_version_us) == ({"metadata": [1]}, None)
    assert found.expected_output == "{broken"
    assert attributes_of("no JSON").name == ""


def test_a_number_beyond_doubles_is_its_text() -> None:
    found = attributes_of(
        '{"langfuse.experiment.name":"n","langfuse.experiment.item.id":1e999,'
        '"langfuse.experiment.metadata":{"a":-1e999},"langfuse.experiment.dataset.id":[1e999]}'
    )
    assert (found.name, found.item_id, found.dataset_id) == ("n", "1e999", "[1e999]")
    assert found.metadata == {"metadata": '{"a":-1e999}'}
