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
        window(
            NOON_S,
            2_000_000,
            total_cost_pico=30 * 10**11,
            usage={"input": 40, "input_cached_tokens": 10, "output": 7},
        ),
        window(NOON_S, 1_000_000, model=MARKUP, total_cost_pico=10**12, error_count=1),
        window(NOON_S + 7_200, 1_000, type="SPAN", model="", total_cost_pico=0),
        window(NOON_S - 86_400, 1_000_000, total_cost_pico=2 * 10**12),
        window(NOON_S, 1_000, project_id="globex", model="secret", total_cost_pico=10**15),
    )
    async with signed_in(api) as client:
        page = await client.get(DAY)
        assert page.status_code == 200, text_of(page.text)
        shown = text_of(page.text)
        assert re.search(r"Cost ▲ \+ 100% \$4\.00", shown)
        assert re.search(r"Traces 0", shown)
        assert "2 calls of models" in shown
        assert re.search(r"Tokens 57 50 in, 7 out", shown)
        types = re.findall(r'data-color="(?:generation|agent|retriever)">([^<]+)</th>', page.text)
        assert types[-3:] == ["Input", "Output", "input_cached_tokens"]
        assert "Error rate 33%" in shown
        assert "1 of 3 observations" in shown
        assert re.search(r"Latency p95 (. .? ?\d+% )?[\d.]+ m?s", shown)
        assert re.search(r"First token p95 .*? p50 \S+ p99 ", shown)
        assert "secret" not in page.text
        # The tables that the script draws have a row for each quarter of an hour.
        rows = re.findall(
            r'<tr data-from="\d+" data-to="\d+"><th[^>]*><a href="([^"]+)">', page.text
        )
        assert len(rows) == 4 * 96
        dearest = re.search(r'<a href="([^"]+)">[^<]*</a></th><td[^>]*>\$4\.00</td>', page.text)
        assert dearest
        assert "from=2026-11-21T12%3A00" in unescape(dearest[1])
        assert (await client.get(unescape(dearest[1]))).status_code == 200


async def test_the_largest_shares_are_a_part_of_the_overview_and_a_page(api: Api) -> None:
    await api.insert(
        window(NOON_S, 2_000_000, total_cost_pico=30 * 10**11, prompt_name="greet"),
        window(NOON_S, 1_000_000, model=MARKUP, total_cost_pico=10**12, error_count=1),
        window(NOON_S, 1_000, project_id="globex", model="secret", total_cost_pico=10**15),
    )
    async with signed_in(api) as client:
        path = DAY.replace("?", "/overview/tops?")
        part = await client.get(path, headers={"hx-request": "true"})
        assert part.status_code == 200, text_of(part.text)
        assert "<html" not in part.text
        shown = text_of(part.text)
        assert re.search(r"m-1 \$3\.00 <script>alert\(1\)</script> \$1\.00", shown)
        assert "greet $3.00" in shown
        assert "<script>alert" not in part.text
        assert "secret" not in part.text
        page = await client.get(f"{path}&by=errors")
        assert "<html" in page.text
        assert re.search(r"Model <script>alert\(1\)</script> 1 User", text_of(page.text))
        unknown = await client.get(f"{path}&by=beauty")
        assert unknown.status_code == 400
        assert "by: 'beauty' is not one of cost, observations, errors" in unescape(unknown.text)


async def test_filters_narrow_the_overview_and_are_kept_in_its_links(api: Api) -> None:
    await api.insert(
        window(NOON_S, 2_000_000, total_cost_pico=30 * 10**11, environment="staging"),
        window(NOON_S, 1_000_000, total_cost_pico=10**12),
    )
    async with signed_in(api) as client:
        added = await client.get(f"{DAY}&add=environment&value=staging")
        assert added.status_code == 303
        address = added.headers["location"]
        assert "filter=environment%3Astaging" in address
        page = await client.get(f"{HOME}{address}")
        assert page.status_code == 200, text_of(page.text)
        assert "Cost $3.00" in text_of(page.text)
        assert "Environment staging" in text_of(page.text)
        links = [unescape(each) for each in re.findall(r'href="([^"]*/traces\?[^"]*)"', page.text)]
        assert links
        assert all("env%3Astaging" in each for each in links)
        for form, field in (("budgets", "scope"), ("alert-rules", "filter")):
            link = re.search(rf'href="([^"]*/{form}/new\?[^"]*)"', page.text)
            assert link, "of a chart to a limit or a rule"
            filled = await client.get(unescape(link[1]))
            assert f'name="{field}.environment" value="staging"' in filled.text
        removed = re.search(r'<a href="(\?[^"]*)" aria-label="Remove the filter', page.text)
        assert removed
        assert "Cost $4.00" in text_of((await client.get(HOME + unescape(removed[1]))).text)
        for wrong in ("filter=color:red", "add=color&value=red", "filter=environment"):
            refused = await client.get(f"{DAY}&{wrong}")
            assert refused.status_code == 400, wrong
            assert "is not one of environment, user_id" in unescape(refused.text)


async def test_live_mode_is_offered_if_the_process_follows_events_with_these_fields(
    api: Api,
) -> None:
    context: Any = api.client._transport.app.state.context  # type: ignore[attr-defined]
    async with signed_in(api) as client:
        assert ">Live</a>" not in (await client.get(DAY)).text
        hub: Any = object()
        object.__setattr__(context, "events", hub)
        try:
            page = await client.get(f"{DAY}&filter=model:m-1")
            link = re.search(r'href="([^"]*)">Live</a>', page.text)
            assert link
            assert unescape(link[1]) == "?live=1&filter=model%3Am-1"
            live = await client.get(HOME + unescape(link[1]))
            stream = f"/console/project/{PROJECT}/stream?filter=model%3Am-1"
            assert f'data-stream="{stream}"' in live.text
            assert len(re.findall(r"<figure", live.text)) == 4
            assert live.text.count("<tr data-from=") == 4 * 90
            ended = re.search(r'href="([^"]*)" aria-current="true">Live</a>', live.text)
            assert ended
            assert unescape(ended[1]) == "?filter=model%3Am-1"
            assert "live=1" in unescape(re.findall(r'hx-get="([^"]*)"', live.text)[0])
            # The parts that the stream has no values for follow.
            part = await client.get(HOME + unescape(link[1]), headers={"hx-request": "true"})
            assert "<html" not in part.text
            assert re.findall(r'id="(\w+)"', part.text) == ["numbers", "slower", "firing"]
            tops = await client.get(f"{HOME}/overview/tops?live=1&by=errors",
                                    headers={"hx-request": "true"})  # fmt: skip
            again = re.search(r'hx-get="([^"]*)" hx-trigger="every 15s"', tops.text)
            assert again
            assert unescape(again[1]) == f"{HOME}/overview/tops?live=1&by=errors"
            without = await client.get(f"{HOME}?filter=level:ERROR")
            assert ">Live</a>" not in without.text
        finally:
            object.__setattr__(context, "events", None)


async def test_budgets_of_the_overview_show_their_spend(api: Api) -> None:
    body = {"name": "Everything", "period": "day", "limit_usd": "10", "thresholds": [0.5]}
    assert (await api.client.post("/v1/budgets", json=body)).status_code == 201
    async with signed_in(api) as client:
        part = await client.get(f"{HOME}/overview/budgets", headers={"hx-request": "true"})
        assert "Everything per day" in text_of(part.text)
        assert "$0.00 / $10.00" in text_of(part.text)
        page = await client.get(f"{HOME}/overview/budgets")
        assert page.headers["location"] == f"{HOME}/budgets"


async def test_a_project_without_calls_is_shown_as_such(api: Api) -> None:
    async with signed_in(api) as client:
        page = await client.get(HOME)
        assert page.status_code == 200
        assert "No calls in this time" in text_of(page.text)
        for query in ("from=2020-01-01T00:00:00Z", "range=all", "range=x", "from=x",
                      "from=2026-11-22T00:00:00Z&to=2026-11-21T00:00:00Z"):  # fmt: skip
            assert (await client.get(f"{HOME}?{query}")).status_code in {200, 400, 422}, query
