"""Traffic is split by weight, and other weights move as few keys as possible."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.prompts.split import (
    SLOTS,
    label_of_slot,
    reweighted,
    shares_of,
    slot_of,
    slots_of,
)

WEIGHTS = st.dictionaries(
    st.sampled_from("abcdef"), st.integers(0, 1_000).map(Fraction), min_size=1
).filter(lambda weights: any(weights.values()))


@given(st.lists(WEIGHTS, min_size=1, max_size=6))
def test_each_label_has_its_share_and_only_the_minimum_moves(
    weights: list[dict[str, Fraction]],
) -> None:
    runs: tuple[tuple[str, int], ...] = ()
    for each in weights:
        before, held = runs, slots_of(runs)
        runs = reweighted(runs, each)
        shares = shares_of(each)
        assert slots_of(runs) == shares
        assert sum(shares.values()) == SLOTS
        total = sum(each.values())
        assert all(abs(shares.get(x, 0) - w * SLOTS / total) < 1 for x, w in each.items())
        if before:
            moved = sum(
                label_of_slot(before, slot) != label_of_slot(runs, slot)
                for slot in range(0, SLOTS, 97)
            )
            lost = sum(max(0, count - shares.get(x, 0)) for x, count in held.items())
            assert moved <= lost
            assert _moved(before, runs) == lost


def _moved(before: tuple[tuple[str, int], ...], after: tuple[tuple[str, int], ...]) -> int:
    """Count the slots with another label, run by run."""
    left, right = [list(run) for run in before], [list(run) for run in after]
    moved = 0
    while left and right:
        length = min(left[0][1], right[0][1])
        moved += length if left[0][0] != right[0][0] else 0
        for runs in (left, right):
            runs[0][1] -= length
            if not runs[0][1]:
                del runs[0]
    return moved


def test_keys_are_spread_evenly_and_differently_for_each_prompt() -> None:
    runs = reweighted((), {"a": Fraction(30), "b": Fraction(70)})
    of_a = {key for key in range(20_000) if label_of_slot(runs, slot_of("p", f"u{key}")) == "a"}
    of_q = {key for key in range(20_000) if label_of_slot(runs, slot_of("q", f"u{key}")) == "a"}
    assert abs(len(of_a) / 20_000 - 0.3) < 0.02
    assert abs(len(of_a & of_q) / len(of_a) - 0.3) < 0.03


def test_a_key_keeps_its_slot_in_later_versions() -> None:
    assert [slot_of("greet", key) for key in ("ada", "grace", "")] == [4925, 6810, 9744]


def test_weights_without_a_positive_one_are_refused() -> None:
    with pytest.raises(ValueError, match="positive"):
        reweighted((), {"a": Fraction(0)})
