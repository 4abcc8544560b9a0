"""The overview: totals with those before, charts and shares that lead to their traces."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

from clickhouse.rows import WindowRow
from streams.core.rollups.sketch import key_of, state_hex
from tests.query_api.console.browser import HOME, signed_in, text_of
from tests.query_api.harness import NOON_US, PROJECT, Api

NOON_S = NOON_US // 1_000_000
DAY = f"{HOME}?from=2026-11-21T00:00:00Z&to=2026-11-22T00:00:00Z"
MARKUP = "<script>alert(1)</script>"


def window(at_s: int, latency_us: float, **fields: Any) -> WindowRow:
    given = {
        "project_id": PROJECT, "environment": "production", "model": "m-1", "type": "GENERATION",
        "name": "call", "row_version": 1, "observation_count": 1,
        "latency_state_hex": state_hex({key_of(latency_us): 1}), **fields,
    }  # fmt: skip
    return WindowRow(window_s=at_s, **given)


async def test_the_overview_compares_with_the_period_before(api: Api) -> None:
    await api.insert(
        window(NOON_S, 2_000_000, total_cost_pico=30 * 10**11, usage={"input": 50, "output": 7}),
        window(NOON_S, 1_000_000, model=MARKUP, total_cost_pico=10**12, error_count=1),
        window(NOON_S + 7_200, 1_000, type="SPAN", model="", total_cost_pico=0),
        window(NOON_S - 86_400, 1_000_000, total_cost_pico=2 * 10**12),
        window(NOON_S, 1_000, project_id="globex", model="secret", total_cost_pico=10**15),
    )
    async with signed_in(api) as client:
        page = await client.get(DAY)
        assert page.status_code == 200, text_of(page.text)
        shown = text_of(page.text)
        assert "Cost $4.00 ▲ 100%" in shown
        assert "Calls 2 ▲ 100%" in shown
        assert "Tokens 57" in shown
        assert "Error rate 33%" in shown
        assert re.search(r"Latency p95 [\d.]+ m?s", shown)
        assert re.search(r"m-1 \$3\.00", shown)
        assert MARKUP in shown
        assert "<script>alert" not in page.text
        assert "secret" not in page.text
        assert len(re.findall(r'class="column"', page.text)) > 3 * 90
        steps = re.findall(r'href="([^"]+)"><title>[^<]*: \$3\.00|\$4\.00</title>', page.text)
        assert steps
        linked = re.search(r'href="(/project[^"]*)"[^>]*><title>[^<]*\$4\.00', page.text)
        assert linked
        assert "from=2026-11-21T12%3A00" in unescape(linked[1])
        assert (await client.get(unescape(linked[1]))).status_code == 200


async def test_a_project_without_calls_is_shown_as_such(api: Api) -> None:
    async with signed_in(api) as client:
        page = await client.get(HOME)
        assert page.status_code == 200
        assert "No calls in this time" in text_of(page.text)
        for query in ("from=2020-01-01T00:00:00Z", "range=all", "range=x", "from=x",
                      "from=2026-11-22T00:00:00Z&to=2026-11-21T00:00:00Z"):  # fmt: skip
            assert (await client.get(f"{HOME}?{query}")).status_code in {200, 400, 422}, query
