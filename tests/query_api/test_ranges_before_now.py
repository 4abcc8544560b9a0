"""Bounds of ranges are durations before now wherever a range is read."""

from typing import Any

import pytest

from tests.query_api.harness import Api

RULE = {"name": "r", "metric": "cost", "comparison": ">", "threshold": "1", "window": "5m"}
BUDGET = {"name": "b", "period": "day", "limit_usd": "1"}


@pytest.mark.parametrize(
    "path",
    ["users", "sessions", "late-events", "prices/unpriced", "users/u/cost", "windows"],
)
async def test_a_range_of_parameters_is_before_now(api: Api, path: str) -> None:
    found = await api.client.get(f"/v1/{path}", params={"from": "-2d", "to": "-1h"})
    assert found.status_code == 200, found.text
    refused = await api.client.get(f"/v1/{path}", params={"from": "-2x"})
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, "from")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("what-if", {"model": "gpt-4o-mini"}),
        ("query", {"measures": ["count"]}),
        ("alert-rules/backtest", {"rule": RULE}),
        ("budgets/backtest", {"budget": BUDGET}),
    ],
)
async def test_a_range_of_a_body_is_before_now(api: Api, path: str, body: dict[str, Any]) -> None:
    found = await api.client.post(f"/v1/{path}", json=body | {"from": "-2d", "to": "-1h"})
    assert found.status_code == 200, found.text
