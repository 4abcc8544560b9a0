"""The list of observations, the columns of lists, and the values that complete a search."""

from __future__ import annotations

import re
from html import unescape

import pytest

from clickhouse.rows import WindowRow
from streams.core.rollups.sketch import key_of, state_hex
from tests.query_api.console.browser import HOME, signed_in, text_of
from tests.query_api.harness import PROJECT, Api, observation, trace
from tracemill.clock import now_us

SECOND_US = 1_000_000
PAGE = f"{HOME}/observations"


def links(page: str) -> list[str]:
    return [unescape(each) for each in re.findall(r'class="open" href="([^"]+)"', page)]


def ids(page: str) -> list[str]:
    return [each.rpartition("=")[2] for each in links(page)]


async def fill(api: Api, number: int) -> None:
    start_us = now_us() - 600 * SECOND_US
    rows = [
        observation(
            "t", f"o{n:03}", start_us - n * SECOND_US, name=f"step {n % 2}",
            end_us=start_us - n * SECOND_US + (n + 1) * 1_000,
            completion_start_us=start_us - n * SECOND_US + 500, type="GENERATION",
            model="gpt-4o" if n % 2 else "other model", total_cost_pico=n * 10**9,
            cost_source="computed", level="ERROR" if n == 7 else "DEFAULT", user_id="ada",
            input=f"question {n}",
        )
        for n in range(number)
    ]  # fmt: skip
    await api.insert(trace("t", start_us, user_id="ada"), *rows)


async def test_observations_are_listed_searched_sorted_and_paged(api: Api) -> None:
    await fill(api, 120)
    await api.insert(observation("x", "secret", now_us(), project_id="globex"))
    async with signed_in(api) as client:

        async def found(query: str) -> list[str]:
            page = await client.get(f"{PAGE}?{query}")
            assert page.status_code == 200, text_of(page.text)
            return ids(page.text)

        async def all_pages(query: str) -> list[str]:
            page = await client.get(f"{PAGE}?{query}")
            seen = ids(page.text)
            while following := re.search(r'rel="next" href="([^"]+)"', page.text):
                page = await client.get(f"{PAGE}{unescape(following[1])}")
                seen += ids(page.text)
            return seen

        in_order = [f"o{n:03}" for n in range(120)]
        assert await all_pages("") == in_order
        assert await all_pages("order=startTime.asc") == in_order[::-1]
        assert await all_pages("order=totalCost.desc") == in_order[::-1]
        assert await all_pages("order=latency.asc") == in_order
        assert await found("q=level:error") == ["o007"]
        assert await found('q=model:"other model" cost>0.11') == [
            f"o{n}" for n in (112, 114, 116, 118)
        ]
        assert await found("q=user:ada question+119") == ["o119"]
        assert await found("q=absent") == []
        shown = await client.get(f"{PAGE}?q=level:error&columns=model&columns=user")
        assert "gpt-4o" in shown.text
        assert "question 7" not in shown.text
        assert links(shown.text) == [f"{HOME}/traces/t?observation=o007"]
        # The links of the page keep the chosen columns.
        assert "columns=model%2Cuser" in shown.text


async def test_a_search_is_completed_with_the_values_of_the_project(api: Api) -> None:
    window_s = now_us() // SECOND_US // 10 * 10 - 600
    await fill(api, 2)
    await api.insert(
        *(
            WindowRow(
                window_s=window_s, project_id=PROJECT, environment="default", type="GENERATION",
                name="step", model=model, row_version=1, observation_count=1,
                latency_state_hex=state_hex({key_of(1): 1}),
            )
            for model in ("gpt-4o", "other model")
        )
    )  # fmt: skip
    path = f"/console/project/{PROJECT}/values"
    async with signed_in(api) as client:

        async def values(**parameters: str) -> list[str]:
            answer = await client.get(path, params={"list": "observations", **parameters})
            assert answer.status_code == 200, answer.text
            return answer.json()

        assert sorted(await values(field="model", text="O")) == ["gpt-4o", "other model"]
        assert await values(field="model", text="OTHER") == ["other model"]
        assert await values(field="user", text="a", list="traces") == ["ada"]
        assert (
            await client.get(path, params={"list": "traces", "field": "cost"})
        ).status_code == 404


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("q=unknown:1", "is not one of name, type"),
        ("q=ttft%3Esoon", "is not a number"),
        ("order=cost", "must be one of startTime"),
        ("columns=secret", "must be of type, model"),
        ("cursor=x", "cursor"),
    ],
)
async def test_what_cannot_be_shown_is_named(refusing_api: Api, query: str, message: str) -> None:
    async with signed_in(refusing_api) as client:
        page = await client.get(f"{PAGE}?{query}")
        assert page.status_code == 422
        assert message in text_of(page.text)
