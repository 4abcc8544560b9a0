"""Windows, their rollups and spend answer like the observations from which they were computed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from random import Random
from typing import Any

import msgspec
import pytest

from clickhouse.rows import SpendRow, WindowRow
from query_api.langfuse import metrics
from query_api.query import answers, planned_query
from query_api.query.native_fields import DIMENSIONS
from query_api.query.page_groups import with_groups_of_page
from query_api.query.sources import Choice, choice_of
from streams.core.rollups.fold import ProjectFold, first_checkpoint
from tests.clickhouse.levels_for_tests import recompute
from tests.query_api.harness import OTHER, PROJECT, Api, Kept, opened
from tests.simulation.stage1_events import MIDNIGHT_US, random_events
from tests.streams.stage1.stage1_folding import Folding

HOUR_US = 3_600_000_000
TRACES = 40
FROM, TO = "2026-11-18T00:00:00Z", "2026-11-22T00:00:00Z"
WINDOW_GROUPS = tuple(name for name, each in DIMENSIONS["observations"].items() if each.window)
SPEND_GROUPS = ("user_id", "session_id", "trace_name", "model", "environment", "prompt_name")
EXACT = (
    "count", "errors", "cost_usd", "cost_usd.avg", "tokens", "tokens.input", "tokens.total",
    "tokens.cache_read", "tokens.cache_write",
    "unpriced", "cache_exact", "cache_semantic", "cache_miss", "prompt_cache_saved_usd",
    "app_cache_saved_usd",
)  # fmt: skip
PERCENTILES = tuple(
    f"{measure}.{level}"
    for measure in ("latency_ms", "ttft_ms", "output_tokens_per_s")
    for level in ("p50", "p95", "p99.9")
)


def _rows(seed: int) -> list[msgspec.Struct]:
    """Return what the streams write for random events: rows of observations, windows and spend."""
    folding = Folding()
    project = ProjectFold(first_checkpoint(0, 0, 0), lateness_s=10**7)
    newest: dict[Any, msgspec.Struct] = {}
    events = random_events(Random(seed), 900, TRACES)
    for number, event in enumerate(events):
        effects = folding.fold(_spread(event))
        for row in (*effects.observations, *effects.traces):
            newest[number, type(row), row.project_id, row.id, row.start_us] = row
        if missing := project.missing(effects.deltas):
            project.load(missing, [], [])
        project.apply(number, effects.deltas, MIDNIGHT_US // 10**6)
    flushed = project.flush()
    return [
        *newest.values(),
        *(msgspec.json.decode(line, type=WindowRow) for line in flushed.windows),
        *(msgspec.json.decode(line, type=SpendRow) for line in flushed.spend),
    ]


def _spread(event: Any) -> Any:
    """Move traces apart by some hours, and their projects to those of the tests."""
    shift_us = int(event.trace_id[1:]) * 97 * 60_000_000
    fields: dict[str, Any] = {"project_id": PROJECT if event.project_id == "p1" else OTHER}
    for name in ("start_us", "end_us", "completion_start_us"):
        if getattr(event, name, None) is not None:
            fields[name] = getattr(event, name) + shift_us
    return msgspec.structs.replace(event, **fields)


@pytest.fixture(scope="module")
def stored_rows(kept: Kept) -> str:
    return kept(_rows(3))


@pytest.fixture
async def stored(clickhouse_url: str, stored_rows: str) -> AsyncIterator[Api]:
    async with opened(clickhouse_url, stored_rows) as api:
        await recompute(api.store)
        yield api


def _random_query(random: Random) -> dict[str, Any]:
    hours = sorted(random.sample(range(96), 2))
    is_long = random.random() < 0.5
    day, hour = divmod(hours[0], 24)
    last, last_hour = divmod(hours[1], 24)
    body: dict[str, Any] = {
        "from": FROM if is_long else f"2026-11-{18 + day}T{hour:02}:15:00Z",
        "to": TO if is_long else f"2026-11-{18 + last}T{last_hour:02}:45:00Z",
        "limit": 1000,
    }
    if random.random() < 0.6:
        body["step"] = random.choice(("15m", "1h", "1d", "1w", "1mo"))
        body["time_zone"] = random.choice(("UTC", "Europe/Berlin", "Asia/Kolkata"))
    if random.random() < 0.3:
        body["filter"] = {"model": random.sample(["cheap", "dear", "m", ""], 2)}
    if random.random() < 0.3:
        body["compare_with"] = "previous"
    return body


def _observations_only(logical: Any) -> Choice:
    return Choice(logical.view, {})


def _query(api: Api, body: dict[str, Any]) -> Callable[[], Any]:
    return lambda: api.client.post("/v1/query", json=body)


async def _both(
    api: Api, patch: pytest.MonkeyPatch, module: Any, send: Callable[[], Any]
) -> tuple[Any, Any]:
    """Return the answers of the chosen source, and of observations."""
    found = await send()
    with patch.context() as only:
        only.setattr(module, "choice_of", _observations_only)
        expected = await send()
    assert found.status_code == expected.status_code == 200, (found.text, expected.text)
    return found.json(), expected.json()


def _same(found: Any, expected: Any) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one["group"] == other["group"]
        assert one["start"] == other["start"]
        for part in ("values", "previous"):
            for name, value in one.get(part, {}).items():
                wanted = other[part][name]
                if name in PERCENTILES and wanted is not None:
                    assert value == pytest.approx(wanted, rel=0.011), name
                else:
                    assert value == wanted, name


async def test_windows_and_rollups_have_the_numbers_of_observations(
    stored: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = Random(5)
    sources = set()
    for _ in range(40):
        groups = random.sample(WINDOW_GROUPS, random.randrange(3))
        measures = random.sample(EXACT, 4) + random.sample(PERCENTILES, 2)
        body = {**_random_query(random), "group_by": groups, "measures": measures}
        order = [*groups, "start"] if body.get("step") else groups
        body |= {"order_by": order[0]} if order else {}
        found, expected = await _both(stored, monkeypatch, planned_query, _query(stored, body))
        assert set(found["meta"]["sources"]) <= {"stream", "rollup"}
        assert set(expected["meta"]["sources"]) <= {"hot", "cold"}
        sources.update(found["meta"]["sources"])
        _same(found["data"], expected["data"])
    assert sources == {"stream", "rollup"}


async def test_spend_has_the_costs_of_observations(
    stored: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = Random(6)
    seen = Decimal(0)
    for _ in range(25):
        groups = ["user_id", *random.sample(SPEND_GROUPS[1:], random.randrange(3))]
        body = {
            **_random_query(random), "group_by": groups, "measures": ["cost_usd"],
            "order_by": "user_id",
        }  # fmt: skip
        found, expected = await _both(stored, monkeypatch, planned_query, _query(stored, body))
        assert found["meta"]["sources"] == ["rollup"]
        _same(found["data"], expected["data"])
        seen += sum(Decimal(row["values"]["cost_usd"]) for row in found["data"])
    assert seen > 0


async def test_pages_of_groups_are_the_same_if_spend_finds_the_groups(
    stored: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def as_planned(_reader: Any, planned: Any, _statistics: Any) -> Any:
        return planned, 0

    random = Random(8)
    ranked = 0
    for _ in range(25):
        groups = ["user_id", *random.sample(SPEND_GROUPS[1:], random.randrange(3))]
        body = {
            **_random_query(random), "group_by": groups, "limit": random.randrange(1, 4),
            "measures": ["latency_ms.avg", "cost_usd", "count"],
            "order_by": random.choice(("", "-")) + random.choice(("cost_usd", "count", "user_id")),
        }  # fmt: skip
        body.pop("step", None)
        for _ in range(3):
            found = (await _query(stored, body)()).json()
            with monkeypatch.context() as patched:
                patched.setattr(answers, "with_groups_of_page", as_planned)
                expected = (await _query(stored, body)()).json()
            for row in expected["data"]:
                for values in filter(None, (row["values"], row.get("previous"))):
                    mean = values["latency_ms.avg"]
                    values["latency_ms.avg"] = mean and pytest.approx(mean)
            assert found["data"] == expected["data"]
            assert found["meta"]["cursor"] == expected["meta"]["cursor"]
            assert "rollup" not in expected["meta"]["sources"]
            ranked += found["meta"]["sources"] == ["rollup", *expected["meta"]["sources"]]
            if not found["meta"]["has_more"]:
                break
            body["cursor"] = found["meta"]["cursor"]
    assert ranked > 10


async def test_a_page_is_whole_if_spend_has_a_group_whose_observations_are_not_stored(
    stored: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def with_absent_group(reader: Any, planned: Any, statistics: Any) -> Any:
        plan, groups = await with_groups_of_page(reader, planned, statistics)
        return plan, groups + 1 if groups else 0

    body = {
        "group_by": ["user_id"], "measures": ["latency_ms.avg", "count"], "order_by": "-count",
        "limit": 1, "from": FROM, "to": TO,
    }  # fmt: skip
    expected = (await _query(stored, body)()).json()
    assert "rollup" in expected["meta"]["sources"]
    monkeypatch.setattr(answers, "with_groups_of_page", with_absent_group)
    found = (await _query(stored, body)()).json()
    assert found["data"] == expected["data"]
    assert found["meta"]["has_more"] == expected["meta"]["has_more"]
    assert "rollup" not in found["meta"]["sources"]


async def test_other_groups_are_the_same_if_rows_are_read_once(
    stored: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = Random(9)
    for groups in (["model"], ["user_id"], ["prompt_version", "name"], ["tag"], ["trace_name"]) * 3:
        body = {
            **_random_query(random), "group_by": groups, "top": random.randrange(1, 4),
            "measures": random.sample(("cost_usd", "count", "errors", "tokens.input"), 3),
        }  # fmt: skip
        body.pop("step", None)
        found = (await _query(stored, body)()).json()
        with monkeypatch.context() as patched:
            patched.setattr(planned_query, "is_additive", lambda _metric: False)
            expected = (await _query(stored, body)()).json()
        assert found["data"] == expected["data"]
        assert found["meta"]["sources"] == expected["meta"]["sources"]


async def test_the_metrics_of_langfuse_have_the_same_numbers_from_both(
    stored: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = Random(7)
    for _ in range(20):
        metrics_asked = [
            {"measure": "count", "aggregation": "count"},
            {"measure": "totalCost", "aggregation": "sum"},
            {"measure": "totalTokens", "aggregation": "sum"},
            {"measure": "inputTokens", "aggregation": "sum"},
            {"measure": "latency", "aggregation": "p95"},
        ]
        names = random.sample(("providedModelName", "environment", "name", "type", "level"), 2)
        query = {
            "view": "observations", "fromTimestamp": FROM, "toTimestamp": TO,
            "metrics": metrics_asked, "dimensions": [{"field": name} for name in names],
            "orderBy": [{"field": names[0], "direction": "asc"}],
            "timeDimension": {"granularity": random.choice(("hour", "day", "week", "month"))},
            "config": {"row_limit": 1000},
        }  # fmt: skip
        path = random.choice(("/api/public/metrics", "/api/public/v2/metrics"))
        found, expected = await _both(
            stored, monkeypatch, metrics,
            lambda query=query, path=path: stored.client.get(
                path, params={"query": json.dumps(query)}
            ),
        )  # fmt: skip
        assert len(found["data"]) == len(expected["data"]) > 0
        for one, other in zip(found["data"], expected["data"], strict=True):
            assert one == {
                name: pytest.approx(value, rel=0.011 if name == "p95_latency" else 1e-9)
                if isinstance(value, float)
                else value
                for name, value in other.items()
            }
    assert choice_of is metrics.choice_of
