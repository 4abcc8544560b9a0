import pytest
from hypothesis import given
from hypothesis import strategies as st

from query_api.store.rows import StoredObservation, StoredTrace
from query_api.v1.call_tree import CallTree, Node, call_tree
from query_api.v1.shapes.tree import tree_out
from tests.query_api.harness import NOON_US, Api, observation, trace


def row(
    identifier: str, parent: str = "", start: int = 0, end: int = 10, **fields: object
) -> StoredObservation:
    """Times in microseconds since the trace began."""
    return StoredObservation(
        project_id="acme", trace_id="t", id=identifier, parent_id=parent, row_version=1,
        start_us=NOON_US + start, end_us=NOON_US + end, **fields,
    )  # fmt: skip


def walked(tree: CallTree) -> list[Node]:
    found, waiting = [], [tree.root]
    while waiting:
        node = waiting.pop()
        found.append(node)
        waiting.extend(node.children)
    return found


def path_of(tree: CallTree) -> list[tuple[str, int, int]]:
    return [
        (each.node.row.id if each.node.row else "", each.start_us - NOON_US, each.end_us - NOON_US)
        for each in tree.critical_path
    ]


def test_costs_tokens_and_errors_are_summed_over_descendants() -> None:
    tree = call_tree(
        [
            row("root", end=100, total_cost_pico=1),
            row("a", "root", 10, 40, total_cost_pico=10, usage={"input": 5, "output": 1}),
            row("b", "root", 30, 60, total_cost_pico=100, usage={"input": 2, "total": 9},
                level="ERROR"),
            row("c", "b", 35, 50, total_cost_pico=1000, usage={"output": 4}),
        ]
    )  # fmt: skip
    (root,) = tree.root.children
    a, b = root.children
    assert (tree.root.total_cost_pico, b.total_cost_pico, a.total_cost_pico) == (1111, 1100, 10)
    assert tree.root.total_usage == {"input": 7, "output": 5, "total": 19}
    assert (root.observation_count, root.error_count) == (4, 1)
    assert (root.self_us, b.self_us, tree.root.self_us) == (50, 15, 0)


def test_the_critical_path_follows_the_last_finishing_child() -> None:
    """Two calls at once and one after them: the later one of the two gated the third."""
    tree = call_tree(
        [
            row("root", end=100),
            row("short", "root", 10, 30),
            row("long", "root", 10, 50),
            row("next", "root", 60, 90),
            row("inner", "next", 70, 80),
        ]
    )
    assert path_of(tree) == [
        ("root", 0, 10),
        ("long", 10, 50),
        ("root", 50, 60),
        ("next", 60, 70),
        ("inner", 70, 80),
        ("next", 80, 90),
        ("root", 90, 100),
    ]
    assert {node.row.id for node in walked(tree) if node.critical and node.row} == {
        "root", "long", "next", "inner",
    }  # fmt: skip


def test_a_child_that_outlives_its_parent_counts_up_to_the_parents_end() -> None:
    tree = call_tree([row("root", end=50), row("late", "root", 20, 80)])
    assert path_of(tree)[:2] == [("root", 0, 20), ("late", 20, 50)]
    assert tree.root.end_us - NOON_US == 80


def test_orphans_are_children_of_the_trace_and_marked() -> None:
    tree = call_tree([row("root"), row("lost", "nowhere"), row("entry", "elsewhere", app_root=1)])
    assert {node.row.id: node.orphan for node in tree.root.children if node.row} == {
        "root": False, "lost": True, "entry": False,
    }  # fmt: skip


def test_a_cycle_is_broken_at_its_earliest_observation() -> None:
    tree = call_tree(
        [row("a", "c", 5), row("b", "a", 1), row("c", "b", 3), row("leaf", "c", 6),
            row("self", "self", 9)]
    )  # fmt: skip
    assert [(node.row.id, node.orphan) for node in tree.root.children if node.row] == [
        ("b", True),
        ("self", True),
    ]
    assert len(walked(tree)) == 6


def test_an_empty_trace_is_a_tree_without_observations() -> None:
    tree = call_tree([])
    assert (tree.root.children, tree.critical_path, tree.root.observation_count) == ([], [], 0)


def test_a_very_deep_trace_is_summed_whole_and_shown_to_a_depth() -> None:
    depth = 5_000
    rows = [row("n0", end=depth, total_cost_pico=1)]
    rows += [
        row(f"n{number}", f"n{number - 1}", number, depth, total_cost_pico=1)
        for number in range(1, depth)
    ]
    tree = call_tree(rows)
    assert tree.root.total_cost_pico == depth
    of_trace = StoredTrace(
        project_id="acme", id="t", start_us=NOON_US, row_version=1, observation_count=depth
    )
    shown = tree_out(of_trace, tree, truncated=False, depth_max=100)
    node, levels = shown.root, 0
    while node.children:
        node, levels = node.children[0], levels + 1
    assert (levels, node.hidden_children, shown.truncated) == (100, 1, True)
    assert node.total_cost_usd == "0.000000004901"


observations = st.lists(
    st.builds(
        lambda number, parent, start, length, cost: (number, parent, start, length, cost),
        st.integers(0, 12),
        st.integers(0, 15),
        st.integers(0, 50),
        st.integers(0, 50),
        st.integers(-5, 1000),
    ),
    max_size=13,
    unique_by=lambda each: each[0],
)


@given(observations)
def test_every_observation_is_in_the_tree_once_and_the_path_covers_the_trace(
    drawn: list[tuple[int, int, int, int, int]],
) -> None:
    rows = [
        row(f"o{number}", f"o{parent}", start, start + length, total_cost_pico=cost)
        for number, parent, start, length, cost in drawn
    ]
    tree = call_tree(rows)
    seen = [node.row.id for node in walked(tree) if node.row]
    assert sorted(seen) == sorted(each.id for each in rows)
    assert tree.root.total_cost_pico == sum(each.total_cost_pico for each in rows)
    assert tree.root.observation_count == len(rows)
    assert all(node.self_us >= 0 for node in walked(tree))
    at_us = tree.root.start_us
    for segment in tree.critical_path:
        assert segment.start_us == at_us
        assert segment.node.start_us <= segment.start_us < segment.end_us <= segment.node.end_us
        at_us = segment.end_us
    assert at_us == tree.root.end_us


async def test_the_tree_of_a_stored_trace(api: Api) -> None:
    await api.insert(
        trace("t", end_us=NOON_US + 100_000, name="answer", observation_count=2,
            total_cost_pico=12 * 10**9),
        observation("t", "root", end_us=NOON_US + 100_000, name="root", total_cost_pico=2 * 10**9),
        observation(
            "t", "call", NOON_US + 25_000, end_us=NOON_US + 75_500, parent_id="root",
            type="GENERATION",
            name="call", model="gpt-4o", total_cost_pico=10**10, usage={"input": 3, "output": 2},
        ),
    )  # fmt: skip
    shown = (await api.client.get("/v1/traces/t/tree")).json()
    assert (shown["trace_id"], shown["latency_ms"], shown["total_cost_usd"]) == (
        "t",
        100.0,
        "0.012",
    )
    top = shown["root"]
    assert (top["id"], top["type"], top["name"], top["total_cost_usd"]) == (
        None,
        "TRACE",
        "answer",
        "0.012",
    )
    (root,) = top["children"]
    (call,) = root["children"]
    assert (root["self_cost_usd"], root["total_cost_usd"]) == ("0.002", "0.012")
    assert (root["self_latency_ms"], root["latency_ms"]) == (49.5, 100.0)
    assert call["total_tokens"] == {"input": 3, "output": 2, "total": 5}
    assert [(each["observation_id"], each["duration_ms"]) for each in shown["critical_path"]] == [
        ("root", 25.0), ("call", 50.5), ("root", 24.5),
    ]  # fmt: skip
    missing = await api.client.get("/v1/traces/nobody/tree")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")


async def test_the_tree_shows_sources_of_costs_and_how_many_are_missing(api: Api) -> None:
    await api.insert(
        trace("t", observation_count=4, unpriced_count=2),
        observation("t", "root"),
        observation("t", "given", NOON_US + 1, parent_id="root", cost_source="given"),
        observation("t", "guess", NOON_US + 2, parent_id="root", cost_source="unpriced",
            usage_estimated=1),
        observation("t", "below", NOON_US + 3, parent_id="guess", cost_source="unpriced"),
    )  # fmt: skip
    shown = (await api.client.get("/v1/traces/t/tree")).json()
    assert (shown["unpriced_count"], shown["root"]["unpriced_count"]) == (2, 2)
    assert (shown["root"]["cost_source"], shown["root"]["usage_estimated"]) == ("none", False)
    (root,) = shown["root"]["children"]
    given, guess = root["children"]
    told = [
        (each["cost_source"], each["usage_estimated"], each["unpriced_count"])
        for each in (root, given, guess)
    ]
    assert given["computed_cost_usd"] is None
    assert told == [("none", False, 2), ("given", False, 0), ("unpriced", True, 2)]


@pytest.mark.parametrize("end", [0, 5])
def test_what_never_ended_has_no_latency(end: int) -> None:
    open_row = StoredObservation(
        project_id="acme", trace_id="t", id="o", row_version=1, start_us=NOON_US,
        end_us=end and NOON_US + end
    )  # fmt: skip
    of_trace = StoredTrace(project_id="acme", id="t", start_us=NOON_US, row_version=1)
    shown = tree_out(of_trace, call_tree([open_row]), truncated=False, depth_max=5)
    assert shown.root.children[0].latency_ms == (end / 1000 if end else None)
