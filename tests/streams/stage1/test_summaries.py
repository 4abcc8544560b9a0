"""Observations that repeat the usage of their descendants count nothing for themselves."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.core.observations.summaries import (
    DEPTH_MAX,
    NOTHING,
    Amounts,
    Reported,
    SummaryTree,
)

Observations = dict[str, tuple[str, Reported | None]]


def call(input_: int, output: int, model: str = "gpt-4o", **flags: bool) -> Reported:
    return Reported(Amounts(input_, output, 2 * input_ + 5 * output), model, **flags)


def tree_of(observations: Observations) -> SummaryTree:
    return SummaryTree((id_, parent, reported) for id_, (parent, reported) in observations.items())


def test_an_agent_that_sums_up_two_calls_counts_nothing() -> None:
    tree = tree_of(
        {
            "agent": ("", call(113, 11, aggregates=True)),
            "step": ("agent", None),
            "first": ("step", call(57, 6)),
            "second": ("agent", call(56, 5)),
        }
    )
    assert tree.counted("agent") == NOTHING
    assert tree.counted("first") == Amounts(57, 6, 144)


def test_a_lone_agent_keeps_its_cost() -> None:
    assert tree_of({"agent": ("", call(9, 1, aggregates=True))}).counted("agent").input == 9


def test_an_agent_counts_what_its_descendants_leave() -> None:
    tree = tree_of({"agent": ("", call(100, 10, aggregates=True)), "call": ("agent", call(60, 10))})
    assert tree.counted("agent") == Amounts(40, 0, 80)


def test_a_call_around_a_different_call_counts_in_full() -> None:
    tree = tree_of(
        {"outer": ("", call(100, 10)), "tool": ("outer", None), "in": ("tool", call(7, 1))}
    )
    assert tree.counted("outer") == Amounts(100, 10, 250)


def test_a_chat_in_a_chat_counts_once_whatever_its_model_is_spelled_like() -> None:
    tree = tree_of(
        {
            "outer": ("", call(100, 10, "openai/gpt-4o")),
            "inner": ("outer", call(100, 10, "gpt-4o-2024-08-06")),
        }
    )
    assert tree.counted("outer") == NOTHING


def test_equal_tokens_of_another_model_are_the_same_call_only_at_the_same_cost() -> None:
    other = Reported(Amounts(100, 10, 999), "claude-3")
    tree = tree_of({"outer": ("", call(100, 10, "gpt-4o")), "inner": ("outer", other)})
    assert tree.counted("outer").input == 100
    alias = call(100, 10, "my-deployment")
    tree = tree_of({"outer": ("", call(100, 10, "gpt-4o")), "inner": ("outer", alias)})
    assert tree.counted("outer") == NOTHING


def test_a_sole_total_is_compared_with_both_sides() -> None:
    total = Reported(Amounts(110, 0, 0), "gpt-4o")
    tree = tree_of({"outer": ("", total), "inner": ("outer", call(100, 10))})
    assert tree.counted("outer") == NOTHING


def test_an_estimate_below_a_reported_call_of_the_same_model_is_part_of_it() -> None:
    tree = tree_of({"outer": ("", call(100, 10)), "inner": ("outer", call(90, 10, estimated=True))})
    assert tree.counted("outer") == Amounts(10, 0, 20)


def test_an_estimate_yields_to_usage_that_is_reported_below() -> None:
    observations: Observations = {"lm": ("", call(200, 60, estimated=True))}
    assert tree_of(observations).counted("lm").input == 200
    observations["completion"] = ("lm", call(700, 160))
    assert tree_of(observations).counted("lm") == NOTHING


def test_a_cycle_of_parents_counts_everything_as_reported() -> None:
    tree = tree_of({"a": ("b", call(5, 5)), "b": ("a", call(5, 5))})
    assert tree.tangled
    assert tree.counted("a") == tree.counted("b") == Amounts(5, 5, 35)


def test_a_tree_that_is_too_deep_counts_everything_as_reported() -> None:
    chain: Observations = {str(n): (str(n - 1), None) for n in range(1, DEPTH_MAX + 2)}
    chain["0"] = ("", call(3, 3, aggregates=True))
    chain["leaf"] = (str(DEPTH_MAX - 1), call(3, 3))
    assert tree_of(chain).counted("0") == NOTHING
    chain["leaf"] = (str(DEPTH_MAX + 1), call(3, 3))
    assert tree_of(chain).counted("0").input == 3


small = st.integers(0, 3)
reports = st.none() | st.builds(
    Reported,
    st.builds(Amounts, small, small, small),
    st.sampled_from(["gpt-4o", "gpt-4o-mini", "o1", ""]),
    aggregates=st.booleans(),
    estimated=st.booleans(),
)


@st.composite
def forests(draw: st.DrawFn) -> Observations:
    """Observations whose parents come before them, or never."""
    found: Observations = {}
    for n in range(draw(st.integers(1, 8))):
        parent = draw(st.sampled_from(["", "missing", *found]))
        found[str(n)] = (parent, draw(reports))
    return found


def counted_by_definition(observations: Observations, id_: str) -> Amounts:
    """Count bottom-up by recursion over the whole tree."""
    reported = observations[id_][1]
    if reported is None:
        return NOTHING
    tree = SummaryTree()
    tree.put(id_, "", reported)
    for other in descendants(observations, id_):
        report = observations[other][1]
        if report is not None:
            own = report._replace(amounts=counted_by_definition(observations, other))
            tree.put(f"{other}'", id_, own)
    return tree.counted(id_)


def descendants(observations: Observations, id_: str) -> list[str]:
    children = [other for other, (parent, _) in observations.items() if parent == id_]
    return children + [below for child in children for below in descendants(observations, child)]


@settings(max_examples=300)
@given(forests(), st.integers(0, 2**32), st.data())
def test_the_order_of_arrival_and_updates_change_nothing(
    observations: Observations, seed: int, data: st.DataObject
) -> None:
    expected = {id_: counted_by_definition(observations, id_) for id_ in observations}
    order = list(observations.items())
    Random(seed).shuffle(order)
    tree = SummaryTree()
    known: dict[str, Amounts] = {}
    for id_, (parent, reported) in order:
        if data.draw(st.booleans()):
            note(tree, known, id_, parent, None)
        if reported is not None and data.draw(st.booleans()):
            note(tree, known, id_, parent, data.draw(reports) or reported)
        note(tree, known, id_, parent, reported or observations[id_][1])
    if any(tree._nodes[id_].reported != observations[id_][1] for id_ in observations):
        return
    assert {id_: tree.counted(id_) for id_ in observations} == expected
    assert known == expected


def note(
    tree: SummaryTree, known: dict[str, Amounts], id_: str, parent: str, reported: Reported | None
) -> None:
    """Put an observation, and record the amounts that are reported as changed."""
    changed = tree.put(id_, parent, reported)
    assert changed is not None
    known.update({other: tree.counted(other) for other in changed if other in tree_ids(tree)})


def tree_ids(tree: SummaryTree) -> set[str]:
    return {id_ for id_, node in tree._nodes.items() if node.is_there}
