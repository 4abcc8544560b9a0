"""Explore: measures by dimensions as charts, which lead to the traces behind them."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import quote

import httpx
import msgspec
import pytest

from clickhouse.rows import WindowRow
from streams.core.rollups.sketch import key_of, state_hex
from tests.query_api.console.browser import HOME, text_of
from tests.query_api.harness import NOON_US, PROJECT, Api, Kept, observation, score, trace

pytestmark = pytest.mark.asyncio(loop_scope="module")
BOUNDS = {"from": "2026-11-21T00:00:00.000Z", "to": "2026-11-22T00:00:00.000Z"}
DAY = "from=2026-11-21T00:00:00Z&to=2026-11-22T00:00:00Z"
MARKUP = "<script>alert(1)</script>"
MODELS = ("m-1", MARKUP, "m-3")


@pytest.fixture(scope="module")
def database(kept: Kept) -> str:
    """Three calls of three models, one a day earlier, and one of another project."""
    rows: list[msgspec.Struct] = []
    for at, model in enumerate(MODELS):
        start_us = NOON_US + at * 3_600_000_000
        fields = {"environment": "production", "model": model, "type": "GENERATION"}
        latency_us = (at + 1) * 1_000_000
        rows.append(
            observation(
                f"t{at}", f"o{at}", start_us, **fields, end_us=start_us + latency_us,
                total_cost_pico=(at + 1) * 10**12,
            )
        )  # fmt: skip
        rows.append(trace(f"t{at}", start_us, name=f"chat-{at}", user_id="ada"))
        rows.append(
            WindowRow(
                project_id=PROJECT, window_s=start_us // 1_000_000, row_version=1,
                observation_count=1, total_cost_pico=(at + 1) * 10**12, name="",
                    latency_state_hex=state_hex({key_of(latency_us): 1}), **fields,
            )
        )  # fmt: skip
    rows.append(score("s1", trace_id="t0", value=0.5, data_type="NUMERIC"))
    earlier = {"project_id": PROJECT, "environment": "production", "model": "m-1"}
    rows.append(
        WindowRow(
            **earlier, type="GENERATION", name="", window_s=NOON_US // 1_000_000 - 86_400,
            row_version=1, observation_count=1, total_cost_pico=2 * 10**12,
            latency_state_hex=state_hex({key_of(1_000): 1}),
        )
    )  # fmt: skip
    rows.append(observation("x", "x", project_id="globex", model="secret", end_us=NOON_US + 1_000))
    return kept(rows)


async def explore(client: httpx.AsyncClient, query: str, status: int = 200) -> str:
    page = await client.get(f"{HOME}/explore?{DAY}&{query}")
    assert page.status_code == status, text_of(page.text)
    assert "secret" not in page.text
    assert "<script>alert" not in page.text
    return page.text


async def test_a_measure_by_a_dimension_is_drawn_over_time(client: httpx.AsyncClient) -> None:
    page = await explore(client, "measure=cost_usd&by=model&step=1h")
    heads = [unescape(each) for each in re.findall(r"<th class=\"number\"[^>]*>([^<]+)</th>", page)]
    assert heads == ["m-3", MARKUP, "m-1"]
    rows = re.findall(r'<tr data-from="\d+" data-to="\d+">', page)
    assert len(rows) == 24
    assert re.search(r"12:00:00</a></th>.*\$0\.00.*\$0\.00.*\$1\.00", page)
    assert "Read from windows of ten seconds" in text_of(page)
    assert "none: all values are exact" in text_of(page)


async def test_bars_lead_to_what_is_behind_them(client: httpx.AsyncClient) -> None:
    page = await explore(client, "kind=bar&measure=cost_usd&by=model&compare=1&q=env:production")
    shown = text_of(page)
    assert re.search(rf"m-3 \$3\.00 – {re.escape(MARKUP)} \$2\.00 – m-1 \$1\.00 ▼ 50%", shown)
    for model in MODELS:
        links = [unescape(each) for each in re.findall(r'class="open" href="([^"]+)"', page)]
        link = next(each for each in links if quote(model, safe="") in each)
        listed = await client.get(link)
        assert listed.status_code == 200
        assert len(re.findall(r'class="open"', listed.text)) == 1


@pytest.mark.parametrize("kind", ["bar", "table", "number"])
@pytest.mark.parametrize("measure", ["latency_ms.p95", "cost_usd.avg"])
async def test_measures_whose_names_have_a_dot_are_listed(
    client: httpx.AsyncClient, kind: str, measure: str
) -> None:
    page = await explore(client, f"kind={kind}&measure={measure}&by=model")
    if kind != "number":
        assert re.search(r"m-3 [\d$]", text_of(page))
        assert ('class="column" width="100.000%"' in page) == (kind == "bar")


async def test_values_of_a_measure_are_drawn_as_distribution_and_heatmap(
    client: httpx.AsyncClient,
) -> None:
    query = "measure=latency_ms.p95&by=model"
    page = await explore(client, f"{query}&kind=distribution")
    bars = re.findall(r'<th scope="row"><a href="([^"]+)">≥ ([^<]+)</a></th><td[^>]*>(\d)', page)
    assert [(text, count) for _, text, count in bars] == [
        ("724 ms", "1"), ("1.02 s", "0"), ("1.45 s", "1"), ("2.05 s", "0"), ("2.9 s", "1"),
    ]  # fmt: skip
    behind = await client.get(unescape(bars[0][0]))
    assert len(re.findall(r'class="open"', behind.text)) == 1
    page = await explore(client, f"{query}&kind=heatmap&step=1h")
    assert page.count('<path class="heat-') == 3
    # The dimension is kept for other kinds of charts.
    assert '<input type="hidden" name="by" value="model">' in page


async def test_the_request_of_the_api_returns_the_same(
    client: httpx.AsyncClient, filled_api: Api
) -> None:
    page = await explore(
        client,
        "kind=table&measure=cost_usd&measure=latency_ms.p95&formula=cost_usd+/+count"
        "&by=model&q=model:m-1+cost>0.5+latency<9s",
    )
    shown = re.search(r"POST /v1/query\s+(\{.*?\})</pre>", page, re.DOTALL)
    assert shown
    body = msgspec.json.decode(unescape(shown[1]))
    assert body["from"] == BOUNDS["from"]
    assert body["filter"] == {"model": ["m-1"]}
    answer = await filled_api.client.post("/v1/query", json=body)
    assert answer.status_code == 200, answer.text
    (row,) = answer.json()["data"]
    assert row["values"] == {"cost_usd": "1", "latency_ms.p95": pytest.approx(1_000, rel=0.02),
                             "formula": 1.0}  # fmt: skip
    assert re.search(r"m-1 \$1\.00 \S+ m?s 1 ", text_of(page))


@pytest.mark.parametrize("view", ["traces", "scores"])
async def test_other_views_have_defaults(client: httpx.AsyncClient, view: str) -> None:
    page = await explore(client, f"view={view}&was=observations&measure=cost_usd.p99&by=provider")
    assert 'name="measure" id="measure-1"' in page
    assert "No chart yet" not in page
    assert '<option value="name" selected>' in page
    page = await explore(client, f"view={view}&kind=bar&measure=count&by=user_id")
    assert "ada" in text_of(page)


@pytest.mark.parametrize(
    ("query", "field", "message"),
    [
        ("measure=beauty", "measure", "'beauty' is not a measure; allowed: count, errors"),
        ("measure=latency_ms", "measure", "allowed: latency_ms.avg"),
        ("kind=distribution&measure=count", "measure", "count has no distribution"),
        ("by=planet", "by", "'planet' is not a dimension; allowed: "),
        ("kind=bar&by=", "by", "required for bars"),
        ("by=model&by=name&by=type", "by", "at most 2"),
        ("q=planet:mars", "q", "'planet' is not one of model, name"),
        ("q=cost>x", "q", "cost: "),
        ("step=2h", "step", "'2h' is not one of 10s, 1m"),
        ("step=10s", "step", "more than 2000 steps"),
        ("top=0", "top", "a whole number from 1 to 100"),
        ("formula=cost_usd+*", "formula", "unexpected end at position 10"),
        ("kind=pie", "kind", "'pie' is not one of line"),
        ("view=planets", "view", "'planets' is not one of observations"),
        ("range=all&from=&to=", "range", "one of 1h"),
        ("range=1y&from=&to=", "range", "'1y' is not one of 1h"),
    ],
)
async def test_a_fault_is_shown_next_to_its_field(
    client: httpx.AsyncClient, query: str, field: str, message: str
) -> None:
    page = await client.get(f"{HOME}/explore?{query if 'from=' in query else f'{DAY}&{query}'}")
    assert 400 <= page.status_code < 500
    fault = re.search(rf'<span class="field-fault" id="fault-{field}">([^<]+)<', page.text)
    assert fault, text_of(page.text)
    assert message in unescape(fault[1])
    assert "No chart yet" in page.text


async def test_the_form_and_its_chart_are_a_part_whose_address_can_be_shared(
    client: httpx.AsyncClient,
) -> None:
    part = await client.get(
        f"{HOME}/explore?range=7d&was=observations&view=observations&measure=count&measure=&by=name"
        "&by=&top=8&step=&q=",
        headers={"hx-request": "true"},
    )
    assert "<html" not in part.text
    pushed = part.headers["hx-push-url"]
    assert pushed == f"{HOME}/explore?kind=line&measure=count&range=7d&by=name"
    page = await client.get(pushed)
    assert '<option value="count" selected>' in page.text
    assert "Nothing in this time" in page.text


async def test_going_back_loads_the_whole_page(client: httpx.AsyncClient) -> None:
    # As htmx asks for it, which accepts everything.
    headers = {"accept": "*/*", "hx-history-restore-request": "true"}
    page = await client.get(f"{HOME}/explore?kind=bar", headers=headers)
    assert page.status_code == 200
    assert "<html" in page.text
