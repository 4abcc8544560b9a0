"""Dashboards in the console: made, filtered by variables, arranged, saved from Explore, shared."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import Any

import httpx
import msgspec
import pytest

from clickhouse.rows import WindowRow
from streams.core.rollups.sketch import key_of, state_hex
from tests.query_api.console.browser import HOME, csrf_in, signed_in, signed_in_with, text_of
from tests.query_api.harness import NOON_US, OTHER, PROJECT, Api, Kept, observation, score, trace

pytestmark = pytest.mark.asyncio(loop_scope="module")
LIST = f"{HOME}/dashboards"
DAY = "from=2026-11-21T00:00:00Z&to=2026-11-22T00:00:00Z"
MARKUP = "<script>alert(1)</script>"
MODELS = ("m-1", MARKUP, "m-3")
HTMX = {"hx-request": "true"}
BY_MODEL = {
    "title": "By model", "chart": "bar", "query": {"measures": ["cost_usd"], "group_by": ["model"]},
}  # fmt: skip
FIGURES = {"title": MARKUP, "chart": "number", "query": {"measures": ["count"]}, "width": 1}
SCORES = {"title": "Scores", "chart": "number",
          "query": {"view": "scores", "measures": ["count"]}}  # fmt: skip
MODEL = {"name": "Model", "dimension": "model"}


@pytest.fixture(scope="module")
def database(kept: Kept) -> str:
    """Three calls of three models in two environments, and a score."""
    rows: list[msgspec.Struct] = [score("s", trace_id="t0", value=1.0, data_type="NUMERIC")]
    for at, model in enumerate(MODELS):
        start_us = NOON_US + at * 3_600_000_000
        fields = {"environment": "test" if at else "live", "model": model, "type": "GENERATION"}
        end_us = start_us + 1_000_000
        cost = {"total_cost_pico": (at + 1) * 10**12}
        rows.append(observation(f"t{at}", f"o{at}", start_us, **fields, end_us=end_us, **cost))
        rows.append(trace(f"t{at}", start_us, name="chat", user_id="ada"))
        rows.append(
            WindowRow(
                project_id=PROJECT, window_s=start_us // 1_000_000, row_version=1, name="",
                observation_count=1, latency_state_hex=state_hex({key_of(1_000_000): 1}),
                **fields, **cost,
            )
        )  # fmt: skip
    return kept(rows)


async def made(api: Api, *tiles: dict[str, Any], **more: Any) -> str:
    """The path of a new dashboard."""
    answer = await api.client.post("/v1/dashboards", json={"name": "D", "tiles": tiles, **more})
    assert answer.status_code == 201, answer.text
    return f"{LIST}/{answer.json()['id']}"


async def of(api: Api, path: str) -> dict[str, Any]:
    answer = await api.client.get(f"/v1/dashboards/{path.rpartition('/')[2]}")
    return answer.json()


async def tile(client: httpx.AsyncClient, path: str, at: int, query: str = "") -> str:
    part = await client.get(f"{path}/tiles/{at}?{DAY}&{query}", headers=HTMX)
    assert part.status_code == 200
    assert "<html" not in part.text
    assert "<script>alert" not in part.text
    return part.text


async def test_the_first_dashboard_is_made_by_one_click(filled_api: Api) -> None:
    home = f"/project/{OTHER}/dashboards"
    async with signed_in(filled_api, OTHER) as client:
        page = (await client.get(home)).text
        assert "No dashboards yet" in page
        texts = re.findall(r'name="(text\.[^"]+)" value="([^"]+)"', page)
        form = {"csrf": csrf_in(page), **dict(texts), "text.Cost by model": "Kosten"}
        answer = await client.post(f"{home}/first", data=form)
        shown = await client.get(answer.headers["location"])
        assert "Cost and latency by model" in text_of(shown.text)
        loaded = re.findall(r'hx-get="([^"]+/tiles/\d+)" hx-trigger="intersect once"', shown.text)
        titles = re.findall(r'<div class="tile-body"[^>]*>\s*<h2>([^<]+)</h2>', shown.text)
        assert "Kosten" in titles
        assert len(loaded) == len(titles) == 6
        for each in loaded:
            part = await client.get(f"{each}?{DAY}", headers=HTMX)
            assert 'class="fault"' not in part.text
        assert "Cost and latency by model" in text_of((await client.get(home)).text)


async def test_variables_filter_all_charts_that_have_them_and_lead_to_traces(
    client: httpx.AsyncClient, filled_api: Api
) -> None:
    path = await made(filled_api, BY_MODEL, FIGURES, SCORES, variables=[MODEL])
    assert re.search(
        rf"m-3 \$3\.00 {re.escape(MARKUP)} \$2\.00", text_of(await tile(client, path, 0))
    )
    assert "Count 3" in text_of(await tile(client, path, 1))
    query = "var.Model=m-1&var.Model=m-3"
    bars = await tile(client, path, 0, query)
    assert "m-3 $3.00 m-1 $1.00" in text_of(bars)
    assert MARKUP not in text_of(bars)
    # Each leads to the same rows: the bar to one, the tile to both.
    links = [unescape(each) for each in re.findall(r'href="([^"]+)"', bars)]
    counts = {}
    for link in links:
        if "/observations?" in link or "/explore?" in link:
            listed = (await client.get(link)).text
            counts[link] = len(re.findall(r'<a class="open"', listed))
    assert sorted(counts.values()) == [1, 1, 2, 2]
    assert "Count 2" in text_of(await tile(client, path, 1, query))
    assert "Count 1" in text_of(await tile(client, path, 1, f"{query}&env=live"))
    scores = text_of(await tile(client, path, 2, query))
    assert "Count 1" in scores
    assert "not filtered by Model" in scores


async def test_the_page_keeps_range_and_variables_in_its_address(
    client: httpx.AsyncClient, filled_api: Api
) -> None:
    path = await made(
        filled_api, BY_MODEL, range="7d", variables=[{**MODEL, "values": ["m-1", MARKUP]}]
    )
    page = (await client.get(path)).text
    assert "2 chosen" in text_of(page)
    assert f'hx-get="{path}/tiles/0"' in page
    assert 'aria-current="true">7d' in page
    # As the form sends it.
    sent = await client.get(f"{path}?range=1h&env=&env=live&var.Model=&var.Model=m-3&var.Model=")
    assert sent.headers["location"] == f"{path}?range=1h&env=live&var.Model=m-3"
    page = (await client.get(sent.headers["location"])).text
    tiles = re.search(r'hx-get="([^"]+/tiles/0\?[^"]+)"', page)
    assert tiles
    assert unescape(tiles[1]).endswith("/tiles/0?range=1h&env=live&var.Model=m-3")
    # No value at all means all of them, although others are chosen at first.
    everything = text_of((await client.get(f"{path}?var.Model=")).text)
    assert "Model all" in everything
    assert "m-3" in text_of(await tile(client, path, 0, "var.Model="))
    assert "m-3" not in text_of(await tile(client, path, 0))
    values = await client.get(f"{path}/values?of=var.Model&{DAY}", headers=HTMX)
    choices = re.findall(r'value="([^"]+)"( checked)?>', values.text)
    assert [(unescape(name), bool(checked)) for name, checked in choices] == [
        ("m-1", True), (MARKUP, True), ("m-3", False),
    ]  # fmt: skip
    for bad in ("range=all", "range=1y", "from=x", "env=" + "x" * 501):
        assert (await client.get(f"{path}?{bad}")).status_code == 400
    for missing in ("tiles/1", "tiles/x", "values?of=var.Planet"):
        assert (await client.get(f"{path}/{missing}")).status_code == 404


async def test_tiles_are_moved_resized_renamed_and_removed(
    client: httpx.AsyncClient, filled_api: Api
) -> None:
    path = await made(filled_api, BY_MODEL, FIGURES, SCORES)

    async def change(at: int, do: str, **fields: str) -> httpx.Response:
        page = (await client.get(f"{path}?edit=1&range=7d")).text
        version = re.search(r'name="version" value="([^"]+)"', page)
        assert version
        form = {"csrf": csrf_in(page), "version": version[1], "at": str(at), "do": do}
        return await client.post(f"{path}/tiles?range=7d", data={**form, **fields})

    async def shape() -> list[tuple[str, int, int]]:
        tiles = (await of(filled_api, path))["tiles"]
        return [(each["title"], each["width"], each["height"]) for each in tiles]

    moved = await change(0, "right")
    assert moved.headers["location"] == f"{path}?range=7d&edit=1&at=1&do=right"
    # The focus stays at the button, so that it can be pressed again.
    focused = re.findall(
        r"<button[^>]* autofocus", (await client.get(moved.headers["location"])).text
    )
    assert len(focused) == 1
    assert 'value="right"' in focused[0]
    assert [title for title, *_ in await shape()] == [MARKUP, "By model", "Scores"]
    await change(2, "up")
    assert [title for title, *_ in await shape()] == ["Scores", MARKUP, "By model"]
    for do in ("wider", "taller", "taller", "taller", "taller", "narrower", "shorter"):
        await change(0, do)
    assert (await shape())[0] == ("Scores", 2, 3)
    await change(1, "title", title="Named")
    await change(0, "remove")
    assert await shape() == [("Named", 1, 2), ("By model", 2, 2)]
    refused = await change(0, "title", title="\x00")
    assert refused.status_code == 422
    assert "tiles.0.title" in text_of(refused.text)
    stale = await change(0, "wider", version="x")
    assert stale.status_code == 412
    assert "Somebody has changed this" in text_of(stale.text)
    assert await shape() == [("Named", 1, 2), ("By model", 2, 2)]


async def test_a_view_of_explore_is_saved_to_a_new_dashboard_and_to_one_that_exists(
    client: httpx.AsyncClient, filled_api: Api
) -> None:
    query = "kind=bar&measure=count&by=model&q=env:test&range=7d"
    explore = (await client.get(f"{HOME}/explore?{query}")).text
    link = re.search(r'href="([^"]+/dashboards/save\?[^"]+)"', explore)
    assert link
    page = (await client.get(unescape(link[1]))).text
    assert 'name="title" value="Count · Model"' in page
    hidden = re.search(r'name="query" value="([^"]+)"', page)
    assert hidden
    form = {"csrf": csrf_in(page), "query": unescape(hidden[1]), "title": "Calls"}
    refused = await client.post(f"{LIST}/tiles", data={**form, "name": ""})
    assert refused.status_code == 422
    assert 'value="Calls"' in refused.text
    saved = await client.post(f"{LIST}/tiles", data={**form, "name": "Mine"})
    path, _, anchor = saved.headers["location"].partition("#")
    assert anchor == "tile-0"
    again = {**form, "dashboard": path.rpartition("/")[2], "title": "Again"}
    assert (await client.post(f"{LIST}/tiles", data=again)).headers["location"] == f"{path}#tile-1"
    found = await of(filled_api, path)
    assert (found["name"], [each["title"] for each in found["tiles"]]) == (
        "Mine",
        ["Calls", "Again"],
    )
    assert found["tiles"][0]["query"] == {
        "view": "observations", "measures": ["count"], "group_by": ["model"], "top": 8,
        "filter": {"environment": ["test"]},
    }  # fmt: skip
    bars = await tile(client, path, 0)
    assert f"{MARKUP} 1 m-3 1" in text_of(bars)
    # The chart leads back to the same view of Explore.
    back = re.search(r'href="([^"]+/explore\?[^"]+)"', bars)
    assert back
    assert "q=env%3Atest" in back[1]
    assert (await client.post(f"{LIST}/tiles", data={**again, "dashboard": "x"})).status_code == 404
    broken = await client.get(f"{LIST}/save?query=measure%3Dcount%26kind%3Dpie")
    assert "is not one of line" in text_of(broken.text)


async def test_settings_are_changed_unless_somebody_else_was_first(
    client: httpx.AsyncClient, filled_api: Api
) -> None:
    path = await made(filled_api, BY_MODEL, variables=[{**MODEL, "values": ["a, b", "c"]}])
    page = (await client.get(f"{path}/edit")).text
    version = re.search(r'name="version" value="([^"]+)"', page)
    assert version
    form = {
        "csrf": csrf_in(page), "version": version[1], "name": "Named", "description": "All of it",
        "range": "30d", "variables.0.dimension": "", "variables.1.dimension": "user_id",
        "variables.1.values": "ada\r\ngrace, too\r\n", "variables.2.dimension": "level",
        "variables.2.name": "Severity",
    }  # fmt: skip
    assert "a, b\nc</textarea>" in page
    refused = await client.post(f"{path}/edit", data={**form, "variables.2.dimension": "planet"})
    assert refused.status_code == 422
    assert "'planet' is not one of" in unescape(refused.text)
    saved = await client.post(f"{path}/edit", data=form)
    assert saved.headers["location"] == path
    found = await of(filled_api, path)
    assert (found["name"], found["range"], len(found["tiles"])) == ("Named", "30d", 1)
    assert found["variables"] == [
        {"name": "user_id", "dimension": "user_id", "values": ["ada", "grace, too"]},
        {"name": "Severity", "dimension": "level", "values": []},
    ]
    stale = await client.post(f"{path}/edit", data={**form, "name": "Later"})
    assert stale.status_code == 412
    assert 'value="Later"' in stale.text
    assert (await of(filled_api, path))["name"] == "Named"


async def test_a_dashboard_is_copied_downloaded_made_of_its_definition_and_deleted(
    client: httpx.AsyncClient, filled_api: Api
) -> None:
    path = await made(filled_api, BY_MODEL, FIGURES, variables=[MODEL], range="6h")
    csrf = {"csrf": csrf_in((await client.get(path)).text)}
    copied = await client.post(f"{path}/copies", data={**csrf, "name": "Copy of D"})
    file = await client.get(f"/console{path}/definition")
    assert file.headers["content-disposition"] == 'attachment; filename="dashboard.json"'
    definition = file.json()
    copy = await of(filled_api, copied.headers["location"])
    assert {**definition, "name": "Copy of D"} == {name: copy[name] for name in definition}
    again = await client.post(f"{LIST}/new", data={**csrf, "definition": file.text})
    assert (await of(filled_api, again.headers["location"]))["tiles"] == definition["tiles"]
    assert (await filled_api.client.post("/v1/dashboards", json=definition)).status_code == 201
    for text, message in (
        ("{", "this is not JSON"),
        ("[]", "must be a JSON object"),
        (json.dumps({**definition, "range": "1y"}), "range: "),
    ):
        refused = await client.post(f"{LIST}/new", data={**csrf, "definition": text})
        assert refused.status_code == 422
        assert message in text_of(refused.text)
    gone = await client.post(f"{path}/delete", data=csrf)
    assert gone.headers["location"] == LIST
    assert (await client.get(path)).status_code == 404


async def test_who_only_reads_cannot_change_dashboards(filled_api: Api) -> None:
    path = await made(filled_api, BY_MODEL)
    async with signed_in_with(filled_api, "read") as reader:
        page = (await reader.get(f"{path}?edit=1")).text
        assert "Arrange" not in page
        assert "Delete" not in text_of(page)
        assert 'name="do"' not in page
        assert "m-3" in await tile(reader, path, 0)
        explore = (await reader.get(f"{HOME}/explore?{DAY}")).text
        assert "Save to a dashboard" not in explore
        assert "New dashboard" not in (await reader.get(LIST)).text
