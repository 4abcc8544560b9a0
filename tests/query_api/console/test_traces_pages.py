"""The pages of traces: the list, a trace with its tree and texts, and what markup becomes."""

from __future__ import annotations

import json
import re
from html import unescape

import pytest

from query_api.console.settings import ConsoleSettings
from query_api.console.tree_rows import TreeRow
from tests.query_api.console.browser import HOME, signed_in, text_of
from tests.query_api.harness import NOON_US, Api, observation, score, trace
from tracemill.clock import now_us

MARKUP = """<script>alert(1)</script><img src=x onerror=alert(1)>"'`{{7*7}}${7}&amp;\\u003cb>"""
SECOND_US = 1_000_000


def links(page: str) -> list[str]:
    return [unescape(each) for each in re.findall(r'class="open" href="([^"]+)"', page)]


async def test_a_new_project_shows_how_to_send_the_first_trace(api: Api) -> None:
    async with signed_in(api) as client:
        page = await client.get(f"{HOME}/traces")
        shown = text_of(page.text)
        assert "No traces yet" in shown
        assert "LANGFUSE_HOST=http://tracemill" in shown
        assert "LANGFUSE_PUBLIC_KEY=pk-acme" in shown
        await api.insert(trace("t1", now_us()))
        assert "No traces yet" not in (await client.get(f"{HOME}/traces")).text
        assert "No traces yet" not in (await client.get(f"{HOME}/traces?q=name:absent")).text


async def test_the_list_shows_searches_sorts_and_pages(api: Api) -> None:
    start_us = now_us() - 60 * SECOND_US
    await api.insert(
        *(
            trace(
                f"t{n:03}", start_us - n * SECOND_US, name=f"name {n % 2}", user_id=f"user-{n}",
                end_us=start_us - n * SECOND_US + (n + 1) * 1_000, tags=("a b", "odd")[: 1 + n % 2],
                total_cost_pico=n * 10**9, error_count=int(n == 7),
                level="ERROR" if n == 7 else "DEFAULT", input=f"question {n}",
            )
            for n in range(120)
        ),
        trace("of-another", now_us(), project_id="globex", name="secret"),
    )  # fmt: skip
    async with signed_in(api) as client:

        async def found(query: str) -> list[str]:
            page = await client.get(f"{HOME}/traces?{query}")
            assert page.status_code == 200, text_of(page.text)
            return [each.rsplit("/", 1)[-1] for each in links(page.text)]

        page = await client.get(f"{HOME}/traces")
        seen = []
        for _ in range(3):
            seen += links(page.text)
            following = re.search(r'rel="next" href="([^"]+)"', page.text)
            if following:
                page = await client.get(f"{HOME}/traces{unescape(following[1])}")
        assert seen == [f"{HOME}/traces/t{n:03}" for n in range(120)]
        assert "secret" not in page.text
        assert (await found("order=totalCost.desc"))[:2] == ["t119", "t118"]
        assert (await found("order=timestamp.asc"))[:2] == ["t119", "t118"]
        assert (await found("order=latency.asc"))[0] == "t000"
        assert await found("q=user:user-5") == ["t005"]
        assert await found("q=level:error") == ["t007"]
        assert await found("q=errors%3E0") == ["t007"]
        assert await found("q=%22question+11%22+cost%3E0.05") == [f"t11{n}" for n in range(10)]
        assert len(await found("q=tag:odd+tag:%22a+b%22+latency%3E=0.11s")) == 6
        assert await found("q=absent") == []
        assert await found("to=2026-01-01T00:00:00Z") == []
        sorted_page = await client.get(f"{HOME}/traces?order=totalCost.desc&q=name:%221%22")
        following = re.search(r'rel="next" href="([^"]+)"', sorted_page.text)
        assert following
        rest = await client.get(f"{HOME}/traces{unescape(following[1])}")
        assert len(links(rest.text)) == 10


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("q=unknown:1", "is not one of name, input"),
        ("q=cost%3Emuch", "cost"),
        ("q=tokens%3E1e999", "is not a number"),
        ("q=name%3E1", "name is a text"),
        ("q=latency%3E%22%22", "latency"),
        ("q=tag%3E%22%22", "tag is a text"),
        ("q=metadata:1", "metadata.KEY:VALUE"),
        ("q=" + "a+" * 21, "at most 20 terms"),
        ("range=2h", "is not one of 1h"),
        ("from=yesterday", "not an ISO 8601 time"),
        ("order=input", "must be one of"),
        ("cursor=x", "cursor"),
    ],
)
async def test_what_cannot_be_searched_is_named(api: Api, query: str, message: str) -> None:
    async with signed_in(api) as client:
        page = await client.get(f"{HOME}/traces?{query}")
        assert page.status_code == 422
        assert message in text_of(page.text)


def nested(trace_id: str, number: int) -> list[object]:
    spans = [
        observation(
            trace_id, f"o{n}", NOON_US + n * 1_000, end_us=NOON_US + number * 2_000 - n * 1_000,
            parent_id=f"o{n - 1}" if n % 50 else "", name=f"step {n}", type="SPAN",
        )
        for n in range(number)
    ]  # fmt: skip
    return [trace(trace_id, observation_count=number, name="long", end_us=NOON_US + 10**6), *spans]


async def test_a_trace_shows_its_tree_and_its_script_gets_all_rows(api: Api) -> None:
    rows_max = ConsoleSettings().tree_rows_max
    await api.insert(*nested("a/b ü", rows_max + 20))
    path = f"{HOME}/traces/a%2Fb%20%C3%BC"
    async with signed_in(api) as client:
        page = await client.get(path)
        assert page.status_code == 200
        assert "step 0" in page.text
        assert re.search(r'class="number self">self \d', page.text)
        assert len(re.findall(r'<li class="row', page.text)) == rows_max
        source = re.search(r'data-src="([^"]+)"', page.text)
        assert source
        tree = (await client.get(unescape(source[1]))).json()
        fields = TreeRow.__struct_fields__
        rows = [dict(zip(fields, row, strict=True)) for row in tree["rows"]]
        assert [row["name"] for row in rows] == [f"step {n}" for n in range(rows_max + 20)]
        assert [row["depth"] for row in rows[:3]] == [0, 1, 2]
        assert rows[0]["descendants"] == 49
        assert rows[1]["start_us"] == 1_000
        compressed = await client.get(path, headers={"accept-encoding": "gzip"})
        assert compressed.headers["content-encoding"] == "gzip"
        assert compressed.text == page.text


async def test_a_row_is_previewed_beside_its_list(api: Api) -> None:
    await api.insert(
        trace("a/b", NOON_US, name="whole", input="question", end_us=NOON_US + SECOND_US),
        observation("a/b", "o", NOON_US, name="part", type="GENERATION", output=MARKUP, model="m"),
    )
    async with signed_in(api) as client:
        for path, name, text in (
            (f"{HOME}/traces/a%2Fb", "whole", "question"),
            (f"{HOME}/traces/a%2Fb?observation=o", "part", "{{7*7}}"),
        ):
            part = (await client.get(path, headers={"x-fragment": "peek"})).text
            assert "<html" not in part
            assert f'href="{path}">Open</a>' in part
            assert name in text_of(part)
            assert text in text_of(part)
            assert "<script>alert" not in part
        listed = await client.get(f"{HOME}/traces?range=all")
        assert 'aria-label="Preview whole"' in listed.text
        assert 'id="peek"' in listed.text


async def test_the_totals_of_a_trace_are_renewed_while_it_runs(api: Api) -> None:
    start_us = now_us() - 5_000_000
    await api.insert(
        trace("run", start_us, total_cost_pico=10**12, observation_count=1),
        trace("past", start_us - 86_400_000_000, end_us=start_us - 86_300_000_000),
    )
    async with signed_in(api) as client:
        page = await client.get(f"{HOME}/traces/run?format=plain")
        (source,) = re.findall(r'id="totals"[^>]* hx-get="([^"]+)" hx-trigger="every', page.text)
        await api.insert(
            trace("run", start_us, total_cost_pico=3 * 10**12, error_count=2, row_version=9)
        )
        part = (await client.get(unescape(source), headers={"hx-request": "true"})).text
        assert part.count("<dl") == 1
        assert "<html" not in part
        assert "Cost $3.00" in text_of(part)
        assert "q=trace%3Arun%20level%3Aerror" in part
        assert "hx-trigger" in part
        for headers in ({}, {"hx-request": "true"}):
            past = await client.get(f"{HOME}/traces/past", headers=headers)
            assert "hx-trigger" not in past.text


async def test_the_details_of_an_observation_are_part_of_the_page_and_alone(api: Api) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Where is my parcel?"}]},
        {"role": "assistant", "content": None,
         "tool_calls": [{"function": {"name": "track", "arguments": '{"id": 7}'}}]},
    ]  # fmt: skip
    await api.insert(
        trace("t", name="chat", observation_count=1, root_observation_id="o", input="of trace"),
        observation(
            "t", "o", name="answer", type="GENERATION", model="m-1", level="ERROR",
            status_message="429 slow down", input=json.dumps(messages), output="Berlin",
            end_us=NOON_US + 1_500_000, completion_start_us=NOON_US + 250_000,
            usage={"input": 1_000, "output": 20}, cost_pico={"input": 5 * 10**9},
            total_cost_pico=5 * 10**9, cost_source="computed",
            metadata='{"n": {"list": [1, true, null]}}',
        ),
        score("s", trace_id="t", name="helpful", value=0.5, comment="a comment"),
    )  # fmt: skip
    async with signed_in(api) as client:
        page = await client.get(f"{HOME}/traces/t?observation=o")
        shown = text_of(page.text)
        for text in ("429 slow down", "Where is my parcel?", "track", '{"id": 7}', "Berlin", "m-1",
                     "1.5 s", "250 ms", "1,000", "$0.0050", "helpful 0.5", "true"):  # fmt: skip
            assert text in shown, text
        alone = await client.get(
            f"{HOME}/traces/t?observation=o", headers={"x-fragment": "details"}
        )
        assert "<html" not in alone.text
        assert "429 slow down" in alone.text
        assert "of trace" in text_of((await client.get(f"{HOME}/traces/t")).text)
        missing = await client.get(f"{HOME}/traces/t?observation=absent")
        assert missing.status_code == 404


async def test_usage_is_shown_with_the_price_and_its_date(api: Api) -> None:
    at_us = now_us()
    body = {"name": "ours", "match": "^m-1$", "effective_from": "2026-01-02T00:00:00Z",
            "usd_per_million": {"input": "2.5", "output": "10"}}  # fmt: skip
    async with signed_in(api) as client:
        created = await api.client.post("/v1/prices", json=body)
        assert created.status_code == 201, created.text
        price_id = created.json()["id"]
        call = {"type": "GENERATION", "model": "m-1", "price_id": price_id,
                "cost_source": "computed", "usage": {"input": 1_000, "output": 100}}  # fmt: skip
        costs = {"input": 2_500 * 10**6, "output": 1_000 * 10**6}
        await api.insert(
            trace("t", at_us, observation_count=2),
            observation(
                "t", "now", at_us, cost_pico=costs, total_cost_pico=3_500 * 10**6, **call
            ),
            observation("t", "earlier", at_us, cost_pico={"input": 4 * 10**9},
                        total_cost_pico=4 * 10**9, **call),
        )  # fmt: skip
        page = await client.get(f"{HOME}/traces/t?observation=now")
        shown = text_of(page.text)
        assert "input 1,000 $2.50 $0.0025" in shown
        assert "output 100 $10.00 $0.0010" in shown
        assert "since 2026-01-02 00:00:00" in shown
        assert f'href="{HOME}/prices/{price_id}/edit"' in page.text
        assert "Prices have changed" not in shown
        earlier = text_of((await client.get(f"{HOME}/traces/t?observation=earlier")).text)
        assert "input 1,000 $4.00 $0.0040" in earlier
        assert "Prices have changed" in earlier


async def test_long_texts_are_cut_and_loaded_on_demand(api: Api) -> None:
    text = "lorem " * 10_000
    await api.insert(trace("t", input=text, output=json.dumps([text]), is_deleted=0))
    async with signed_in(api) as client:
        page = await client.get(f"{HOME}/traces/t")
        assert len(page.text) < 60_000
        assert "Show all 60,000 characters" in text_of(page.text)
        path = re.search(r'href="(/console/[^"]*field=input)"', page.text)
        assert path
        whole = await client.get(unescape(path[1]))
        assert whole.text == text
        assert whole.headers["content-type"].startswith("text/plain")
        nowhere = await client.get(unescape(path[1]).replace("field=input", "field=user_id"))
        assert nowhere.status_code == 404


async def test_markdown_is_formatted_or_plain_as_the_address_says(api: Api) -> None:
    answer = "# Title\n\n**bold** [link](https://a.example/x) <b>raw</b>"
    messages = [{"role": "user", "content": answer}, {"role": "tool", "content": answer}]
    await api.insert(
        trace("t", now_us(), input=json.dumps(messages), output=answer, session_id="s"),
    )
    async with signed_in(api) as client:
        for path in ("traces/t", "sessions/s"):
            page = await client.get(f"{HOME}/{path}?observation=&cursor=")
            assert page.text.count("<strong>bold</strong>") == 2, "a message and the output"
            assert page.text.count('href="https://a.example/x"') == 2
            assert "<b>raw" not in page.text
            switch = re.search(r'href="([^"]*texts=plain[^"]*)"', page.text)
            assert switch
            plain = await client.get(f"{HOME}/{path}{unescape(switch[1])}")
            assert "<strong>" not in plain.text
            assert text_of(plain.text).count("**bold** [link](https://a.example/x)") == 3
            assert 'https://a.example/x"' not in plain.text


async def test_other_projects_traces_are_not_found(api: Api) -> None:
    await api.insert(
        trace("theirs", project_id="globex", name="secret"),
        observation("theirs", "o", project_id="globex"),
    )
    async with signed_in(api) as client:
        for path in (
            f"{HOME}/traces/theirs",
            f"/console{HOME}/tree?trace=theirs",
            f"/console{HOME}/text?trace=theirs&field=input",
            f"/console{HOME}/text?trace=theirs&observation=o&field=input",
        ):
            answer = await client.get(path)
            assert answer.status_code == 404
            assert "secret" not in answer.text


async def test_every_text_is_shown_as_text(api: Api) -> None:
    texts = dict.fromkeys(
        ("name", "user_id", "session_id", "environment", "release", "version", "level"), MARKUP
    )
    shapes = {
        "text": MARKUP,
        "messages": json.dumps([
            {"role": MARKUP, "name": MARKUP, "content": MARKUP},
            {"role": "tool", "name": MARKUP, "content": [{"type": MARKUP, MARKUP: MARKUP}]},
            {"role": "user", "content": "", "tool_calls": [
                {"function": {"name": MARKUP, "arguments": MARKUP}}, MARKUP]},
        ]),
        "json": json.dumps({MARKUP: [MARKUP, {MARKUP: MARKUP}]}),
    }  # fmt: skip
    for name, value in shapes.items():
        await api.insert(
            trace(name, now_us(), **texts, tags=(MARKUP,), input=value, output=value,
                  metadata=value, observation_count=1, error_count=1),
            observation(
                name, MARKUP, now_us(), name=MARKUP, type=MARKUP, model=MARKUP, level=MARKUP,
                status_message=MARKUP, input=value, output=value, metadata=value,
                model_parameters=value, usage={MARKUP: 1}, prompt_name=MARKUP,
                service_tier=MARKUP, price_id=MARKUP, usage_uncertain=MARKUP,
            ),
            score(f"s-{name}", trace_id=name, name=MARKUP, string_value=MARKUP, comment=MARKUP),
        )  # fmt: skip
    async with signed_in(api) as client:
        quoted = MARKUP.replace("\\", "\\\\").replace('"', '\\"')
        asked = [
            ("", {"q": "name:script"}),
            ("", {"q": f'name:"{quoted}"'}),
            ("", {"q": f"{MARKUP}:1"}),
            (f"/{MARKUP.replace('/', '%2F')}", {}),
            *((f"/{name}", {}) for name in shapes),
            *((f"/{name}", {"observation": MARKUP}) for name in shapes),
        ]
        pages = [
            await client.get(f"{HOME}/traces{path}", params=query, headers=headers)
            for path, query in asked
            for headers in ({}, {"x-fragment": "details"})
        ]
    for page in pages:
        assert "<script>alert" not in page.text
        assert "<img src=x" not in page.text
        assert "49$" not in page.text
        assert "script>alert" in unescape(page.text)
