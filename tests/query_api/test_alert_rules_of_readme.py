"""Each example of the README is one request that creates a rule or a budget."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clickhouse.rows import ObservationRow
from streams.core.rollups.sketch import key_of, state_hex
from tests.query_api.harness import NOON_US, PROJECT, Api
from tests.query_api.test_rule_backtests import at, window
from tests.query_api.test_rule_backtests_of_all_metrics import score, trace

README = Path(__file__).parents[2] / "README.md"
SECTION = README.read_text().split("### Alert rules", 1)[1].split("\n### ", 1)[0]
REQUESTS = re.findall(r"^post (/v1/\S+) '(.*)'$", SECTION, re.MULTILINE)
EXPECTED: list[dict[str, Any]] = [
    {"metric": "avg_latency", "comparison": ">", "threshold": 5},
    {"metric": "error_rate", "comparison": ">", "threshold": 0.1},
    {"metric": "cost", "comparison": ">", "threshold": "1000", "window": "1d"},
    {"metric": "trace_cost", "comparison": ">", "threshold": "2", "filter": {}},
    {"period": "day", "group_by": ["user_id"], "thresholds": [0.8, 1]},
    {"metric": "p95_ttft", "comparison": ">=", "threshold": 2, "compare_with": "week"},
    {"metric": "score_mean", "threshold": 0.7, "filter": {"score_name": ["quality"]}},
    {"metric": "score_mean", "group_by": ["model"], "window": "1h"},
    {"metric": "silence", "threshold": 300, "filter": {"environment": ["production"]}},
]


def test_the_section_has_an_example_of_each_condition() -> None:
    assert len(REQUESTS) == len(EXPECTED) == 9
    assert len(re.findall(r"^# ", SECTION.split("```")[1], re.MULTILINE)) == 9


@pytest.mark.parametrize("number", range(9))
async def test_an_example_creates_what_it_describes(api: Api, number: int) -> None:
    path, body = REQUESTS[number]
    answer = await api.client.post(path, json=json.loads(body))
    assert answer.status_code == 201, answer.text
    shown = answer.json()
    assert {name: shown[name] for name in EXPECTED[number]} == EXPECTED[number]


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`(?:GET|POST) (/v1/[^`]+)`", SECTION))))
async def test_the_section_names_paths_that_exist(api: Api, path: str) -> None:
    answer = await api.client.request("OPTIONS", re.sub(r"\{\w+\}", "x", path.partition("?")[0]))
    assert answer.status_code != 404


WEEK_S = 604_800
RULES = [json.loads(body) for path, body in REQUESTS if path == "/v1/alert-rules"]


def past_rows() -> Iterator[Any]:
    """Yield the past in which every rule of the section has a reason to fire, until silence."""
    for at_s in range(-3_600, 3_600, 10):
        ttft_us = 10**6 if at_s < 0 else 4 * 10**6
        latency_s = 1 if at_s < 0 else 30
        yield window(at_s, latency_s, count=5, error_count=int(at_s >= 0),
                     total_cost_pico=2 * 10**12,
                     ttft_state_hex=state_hex({key_of(ttft_us): 5}))  # fmt: skip
    for at_s in range(-WEEK_S - 3_600, -WEEK_S + 4_500, 60):
        yield window(at_s, 1, ttft_state_hex=state_hex({key_of(10**6): 1}))
    yield trace(1, 60, 3)
    for number in range(30):
        yield ObservationRow(
            project_id=PROJECT, trace_id="t", id=f"o{number}", start_us=NOON_US, row_version=1,
            model="m1", prompt_name="support", prompt_version=7,
        )  # fmt: skip
        yield score(number, number * 10, 0.2, trace_id="t", observation_id=f"o{number}")


async def test_every_rule_fires_on_a_past_that_meets_its_condition(api: Api) -> None:
    await api.insert(*past_rows())
    for rule in RULES:
        body = {"rule": rule, "from": at(0), "to": at(4_500)}
        answer = await api.client.post("/v1/alert-rules/backtest", json=body)
        assert answer.status_code == 200, answer.text
        episodes = answer.json()["episodes"]
        assert len(episodes) == 1, (rule["name"], episodes)
        if rule["metric"] == "silence":
            assert episodes[0]["fired_at"][11:16] in {"13:04", "13:05"}
