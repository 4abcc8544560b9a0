"""Two traces are compared: their totals, their observations by name and order, and their texts."""

from __future__ import annotations

import re
import time
from html import unescape

import pytest

from query_api.console.aligned_trees import aligned_rows
from query_api.console.tree_rows import TreeRow
from tests.query_api.console.browser import HOME, csrf_in, signed_in, signed_in_with, text_of
from tests.query_api.harness import NOON_US, Api, observation, trace

PATH = f"{HOME}/trace-comparison"
MARKUP = "<script>alert(1)</script>/a b\"'"


def tree(*children: object) -> list[TreeRow]:
    """The rows of a tree; children are names, or pairs of a name and its children."""
    rows: list[TreeRow] = []
    for child in children:
        child_name, below = child if isinstance(child, tuple) else (child, ())
        inner = tree(*below)
        rows.append(row(str(child_name), len(inner)))
        rows += inner
    return rows


def row(name: str, descendants: int) -> TreeRow:
    return TreeRow(name, 0, descendants, name, "SPAN", "", "", 0, 1, 1, None, 0, 0, False, 0, 0)


def aligned(left: list[TreeRow], right: list[TreeRow]) -> list[tuple[int, str, str]]:
    return [
        (each.depth, each.left.name if each.left else "", each.right.name if each.right else "")
        for each in aligned_rows(left, right)
    ]


def test_observations_are_aligned_by_name_and_order_below_the_same_parent() -> None:
    left = tree(("plan", ("search", "search", "read")), "write")
    right = tree(("plan", ("search", "rank", "read", "search")), "check", ("write", ("call",)))
    assert aligned(left, right) == [
        (0, "plan", "plan"),
        (1, "search", "search"),
        (1, "", "rank"),
        (1, "search", "search"),
        (1, "read", "read"),
        (0, "", "check"),
        (0, "write", "write"),
        (1, "", "call"),
    ]  # fmt: skip


def test_a_trace_without_observations_is_aligned_with_any_other() -> None:
    assert aligned([], tree("a", ("b", ("c",)))) == [(0, "", "a"), (0, "", "b"), (1, "", "c")]
    assert aligned(tree("a"), []) == [(0, "a", "")]
    assert aligned([], []) == []


@pytest.mark.parametrize("shape", ["wide", "deep"])
def test_every_observation_of_a_large_trace_is_aligned_once_and_fast(shape: str) -> None:
    number = 10_000
    rows = [row(f"n{at % 7}", number - at - 1 if shape == "deep" else 0) for at in range(number)]
    started_s = time.process_time()
    found = list(aligned_rows(rows, rows[::-1] if shape == "wide" else rows))
    assert time.process_time() - started_s < 5
    assert sum(each.left is not None for each in found) == number
    assert sum(each.right is not None for each in found) == number


async def fill(api: Api) -> None:
    call = {"name": "answer", "type": "GENERATION", "cost_source": "computed"}
    await api.insert(
        trace("a/1", NOON_US, name="chat", end_us=NOON_US + 2_000_000, observation_count=1,
              total_cost_pico=10**10, usage={"input": 100, "output": 10},
              input="Where is it?", output="In Berlin\nsince Monday"),
        observation("a/1", "o1", NOON_US, end_us=NOON_US + 2_000_000, model="m-1",
                    completion_start_us=NOON_US + 300_000, total_cost_pico=10**10,
                    usage={"input": 100, "output": 10}, input='{"q": 1}', output="x", **call),
        trace("b", NOON_US, name="chat", end_us=NOON_US + 3_500_000, observation_count=2,
              error_count=1, total_cost_pico=4 * 10**10, usage={"input": 100, "output": 30},
              input="Where is it?", output="In Paris\nsince Monday"),
        observation("b", "o2", NOON_US, end_us=NOON_US + 3_000_000, model="m-2",
                    total_cost_pico=4 * 10**10, usage={"input": 100, "output": 30},
                    input='{"q": 2}', output="x", **call),
        observation("b", "o3", NOON_US + 1, name="retry", type="SPAN", level="ERROR"),
        trace("theirs", NOON_US, project_id="globex", name="secret"),
        trace(MARKUP, NOON_US, name=MARKUP, input=MARKUP, output=MARKUP, observation_count=1),
        observation(MARKUP, MARKUP, NOON_US, name=MARKUP, type=MARKUP, model=MARKUP, input=MARKUP),
    )  # fmt: skip


async def test_two_traces_are_compared(api: Api) -> None:
    await fill(api)
    async with signed_in(api) as client:
        page = await client.get(PATH, params={"a": "a/1", "b": "b"})
        shown = text_of(page.text)
        assert "Cost $0.040 A: $0.010 +$0.030" in shown
        assert "Latency 3.5 s A: 2 s +1.5 s" in shown
        assert "Errors 1 A: 0 +1" in shown
        assert "First token – A: 300 ms" in shown
        assert "answer m-1 → m-2 2 s 3 s +1 s $0.010 $0.040 +$0.030 110 130 +20" in shown
        assert "retry only B" in shown
        assert '<span class="changed">Berlin</span>' in page.text
        path = re.search(r'class="open" href="([^"]+o1[^"]+)"', page.text)
        assert path
        texts = await client.get(f"{PATH}{unescape(path[1])}")
        assert '<span class="changed">2</span>' in texts.text
        assert "The texts are the same." in texts.text
        hostile = await client.get(PATH, params={"a": MARKUP, "b": "b", "oa": MARKUP})
        assert hostile.status_code == 200
        assert "<script>alert" not in hostile.text

        form = await client.get(PATH, params={"a": "a/1"})
        assert 'value="a/1"' in form.text
        assert 'href="?a=a%2F1&amp;b=b"' in form.text
        assert 'trace-comparison?a=a%2F1"' in (await client.get(f"{HOME}/traces/a%2F1")).text

        for query in (
            {"a": "theirs", "b": "b"},
            {"a": "b", "b": "absent"},
            {"b": "theirs"},
            {"a": "b", "b": "a/1", "oa": "o1"},
            {"a": "x" * 2_000, "b": "b"},
        ):
            absent = await client.get(PATH, params=query)
            assert absent.status_code == 404, query
            assert "secret" not in absent.text


async def test_two_traces_are_chosen_from_the_list(api: Api) -> None:
    await fill(api)
    async with signed_in_with(api, "read") as client:
        page = await client.get(f"{HOME}/traces?range=all")
        token = csrf_in(page.text)
        assert 'name="trace.0"' in page.text
        assert "Add traces" not in text_of(page.text)
        chosen = {"csrf": token, "trace.0": "b", "trace.1": "a/1"}
        answer = await client.post(PATH, data=chosen)
        assert (answer.status_code, answer.headers["location"]) == (303, f"{PATH}?a=b&b=a%2F1")
        for extra in ({"trace.1": ""}, {"trace.2": "c"}):
            given = {name: each for name, each in (chosen | extra).items() if each}
            refused = await client.post(PATH, data=given)
            assert refused.status_code in {400, 422}
            assert "exactly two" in text_of(refused.text)
