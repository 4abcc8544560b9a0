"""The comparison of runs: totals, paired differences, and what is missing or failed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from query_api.experiments.comparison import (
    ItemResult,
    RunResults,
    differences,
    failed_of,
    missing_of,
    score_changes,
    summary_of,
)
from query_api.experiments.statistics import mean_of, percentile

USD = 10**12


def run(name: str, *scores: float | None, **fields: object) -> RunResults:
    items = {
        f"i{number}": ItemResult(
            f"{name}-{number}",
            cost_pico=(number + 1) * USD,
            latency_ms=10.0 * (number + 1),
            tokens=number,
            scores={} if score is None else {"right": score},
            **fields,  # type: ignore[arg-type]
        )
        for number, score in enumerate(scores)
    }
    return RunResults(f"id of {name}", name, items)


def test_a_run_is_summarized_exactly() -> None:
    found = summary_of(run("a", 1.0, 0.0, None))
    assert (found.items, found.failed) == (3, 0)
    assert (found.cost_usd.mean, found.cost_usd.total) == ("2", "6")
    assert (found.latency_ms.mean, found.latency_ms.p50, found.latency_ms.max) == (20, 20, 30)
    assert found.tokens.mean == 1
    assert (found.scores["right"].mean, found.scores["right"].count) == (0.5, 2)
    empty = summary_of(run("a"))
    assert (empty.cost_usd.mean, empty.latency_ms.p95, empty.scores) == (None, None, {})


def test_differences_are_those_of_the_same_items() -> None:
    before, after = run("a", 0.0, 0.5, 1.0, None), run("b", 0.2, 0.9)
    found = {each.measure: each for each in differences(before, after)}
    assert found.keys() == {"cost_usd", "latency_ms", "tokens", "scores.right"}
    score = found["scores.right"]
    assert (score.items, score.mean) == (2, pytest.approx(0.3))
    margin = 12.706204736174694 * 0.1
    assert score.ci95 == pytest.approx((0.3 - margin, 0.3 + margin), rel=1e-9)
    assert not score.significant
    cost = found["cost_usd"]
    assert (cost.mean, cost.ci95, cost.significant) == ("0", ("0", "0"), False)
    half = RunResults("c", "c", {"i0": ItemResult("t", cost_pico=USD + 1), "i1": ItemResult("t")})
    cost = {each.measure: each for each in differences(before, half)}["cost_usd"]
    assert cost.mean == "-0.999999999999", "rounded up from half a picodollar"
    assert cost.ci95 == ("-13.706204736181", "11.706204736182")
    many = run("a", *[0.0] * 30), run("b", *[0.5, 0.6] * 15)
    assert {each.measure for each in differences(*many) if each.significant} == {"scores.right"}


def test_changes_of_scores_are_listed_by_size() -> None:
    found = score_changes(run("a", 0.5, 0.5, 0.5, 0.5), run("b", 0.4, 0.5, 1.0, None))
    assert [(each.item_id, each.before, each.after) for each in found] == [
        ("i2", 0.5, 1.0),
        ("i0", 0.5, 0.4),
    ]


def test_missing_and_failed_items_are_named() -> None:
    found = run("a", 1.0, 1.0, failed=True)
    assert [(each.item_id, each.reason) for each in missing_of(found, ["i0", "i1", "i9"])] == [
        ("i9", "not_run")
    ]
    assert [each.trace_id for each in failed_of(found)] == ["a-0", "a-1"]
    untraced = run("a", 1.0, has_trace=False)
    assert [each.reason for each in missing_of(untraced, ["i0"])] == ["no_trace"]
    assert summary_of(untraced).cost_usd.mean is None
    assert summary_of(untraced).scores["right"].mean == 1.0


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50))
def test_the_mean_is_inside_of_its_interval(values: list[float]) -> None:
    found = mean_of(values)
    assert found is not None
    assert min(values) - 1e-6 <= found.mean <= max(values) + 1e-6
    if found.ci95 is not None:
        assert found.ci95[0] <= found.mean <= found.ci95[1]
    assert percentile(values, 0.5) in values


def test_paired_differences_have_the_interval_of_the_paired_t_test() -> None:
    # Welch's data of 1947, paired: scipy.stats.ttest_rel(after, before).confidence_interval().
    before = [27.5, 21.0, 19.0, 23.6, 17.0, 17.9, 16.9, 20.1, 21.9, 22.6, 23.1, 19.6, 19.0, 21.7]
    after = [27.1, 22.0, 20.8, 23.4, 23.4, 23.5, 25.8, 22.0, 24.8, 20.2, 21.9, 22.1, 22.9, 20.5]
    runs = [
        RunResults(name, name, {str(i): ItemResult("t", scores={"s": v}) for i, v in enumerate(of)})
        for name, of in (("before", [*before, 21.4]), ("after", [*after, 24.4]))
    ]
    (found,) = [each for each in differences(*runs) if each.measure == "scores.s"]
    assert found.ci95 == pytest.approx((0.436386812142165, 3.8969465211911682), rel=1e-9)
    assert found.significant


def test_what_rounding_leaves_is_no_difference() -> None:
    runs = [
        RunResults(name, name, {str(i): ItemResult("t", scores={"s": v}) for i, v in enumerate(of)})
        for name, of in (("a", [0.5, 0.6, 0.7, 0.3]), ("b", [0.6, 0.6 - 0.2, 0.7 + 0.1, 0.1 + 0.2]))
    ]
    (found,) = [each for each in differences(*runs) if each.measure == "scores.s"]
    assert found.mean == 0
    assert {each.item_id for each in score_changes(*runs)} == {"0", "1", "2"}


def test_what_rounding_leaves_of_each_item_is_not_significant() -> None:
    def run(name: str, cost_pico: int, score: float) -> RunResults:
        result = ItemResult("t", cost_pico=cost_pico, scores={"s": score})
        return RunResults(name, name, {str(each): result for each in range(4)})

    runs = [run("a", USD, 0.3), run("b", USD + 1, 0.1 + 0.2)]
    by_measure = {each.measure: each for each in differences(*runs)}
    found = by_measure["scores.s"]
    assert (found.mean, found.ci95, found.significant) == (0, (0, 0), False)
    assert by_measure["cost_usd"].mean == "0.000000000001", "costs are exact"
