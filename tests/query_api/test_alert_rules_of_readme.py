"""Each example of the README is one request that creates a rule or a budget."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.query_api.harness import Api

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
