"""Metrics can be grouped and filtered by the experiment of a trace, however it is recorded."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from producers.documents.kinds.dataset_run import DatasetRun, DatasetRunItem
from tests.query_api.documents.rows import document
from tests.query_api.experiments.test_recorded_experiments import span
from tests.query_api.harness import NOON_US, Api, Kept, observation, opened, score, trace
from tests.query_api.query.requests import RANGE, queried

LINK = {"run_id": "r1", "run_name": "linked"}
NONE = {"experiment_id": "", "experiment_name": "", "dataset_id": ""}
LINKED = {"experiment_id": "r1", "experiment_name": "linked", "dataset_id": "d1"}
RECORDED = {"experiment_id": "e1", "experiment_name": "run e1", "dataset_id": "d2"}
PICO = 10**12


RECORDED_SPAN = span(
    "a", start_us=NOON_US, attributes={"dataset.id": "d2"}, total_cost_pico=2 * PICO
)
ROWS = [
    document("r1", DatasetRun(dataset_id="d1", dataset_name="d", name="linked")),
    document("i1", DatasetRunItem(**LINK, dataset_item_id="a", trace_id="t1")),
    document("i2", DatasetRunItem(**LINK, dataset_item_id="b", trace_id="t2"), is_deleted=1),
    *(observation(each, "o", total_cost_pico=PICO) for each in ("t1", "t2")),
    RECORDED_SPAN,
    *(trace(each, total_cost_pico=PICO) for each in ("t1", "t2", RECORDED_SPAN.trace_id)),
    score("s1", trace_id="t1", value=0.5),
    score("s2", dataset_run_id="r2", value=1.0),
]


@pytest.fixture(scope="module")
def stored_rows(kept: Kept) -> str:
    return kept(ROWS)


@pytest.fixture
async def stored(clickhouse_url: str, stored_rows: str) -> AsyncIterator[Api]:
    async with opened(clickhouse_url, stored_rows) as api:
        yield api


@pytest.mark.parametrize("view", ["observations", "traces"])
async def test_traces_are_grouped_and_filtered_by_their_experiment(stored: Api, view: str) -> None:
    body = {"view": view, "measures": ["count"], "group_by": list(NONE)}
    found = [each["group"] for each in (await queried(stored, **body))["data"]]
    assert sorted(found, key=str) == sorted([NONE, LINKED, RECORDED], key=str)
    only = await queried(stored, **body, filter={"experiment_name": ["linked"]})
    assert [(each["group"], each["values"]["count"]) for each in only["data"]] == [(LINKED, 1)]
    condition = {"field": "dataset_id", "operator": "is_set"}
    both = await queried(stored, view=view, measures=["count"], filters=[condition])
    assert both["data"][0]["values"]["count"] == 2


async def test_scores_are_those_of_traces_and_of_runs(stored: Api) -> None:
    found = await queried(stored, view="scores", measures=["value.avg"], group_by=["experiment_id"])
    values = {each["group"]["experiment_id"]: each["values"] for each in found["data"]}
    assert values == {"r1": {"value.avg": 0.5}, "r2": {"value.avg": 1.0}}


async def test_the_langfuse_api_has_the_dimensions_too(stored: Api) -> None:
    query = {
        "view": "observations",
        "metrics": [{"measure": "totalCost", "aggregation": "sum"}],
        "dimensions": [{"field": "experimentName"}],
        "filters": [
            {"column": "experimentId", "operator": "any of", "value": ["e1", "r1"],
             "type": "stringOptions"},
        ],
        "fromTimestamp": RANGE["from"],
        "toTimestamp": RANGE["to"],
    }  # fmt: skip
    answer = await stored.client.get("/api/public/v2/metrics", params={"query": json.dumps(query)})
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"] == [
        {"experimentName": "run e1", "sum_totalCost": 2.0},
        {"experimentName": "linked", "sum_totalCost": 1.0},
    ]
