from __future__ import annotations

import tracemalloc
from array import array

from hypothesis import given
from hypothesis import strategies as st

from streams.core.observations.fold import FoldLimits, ObservationsFold
from streams.core.observations.seen import SeenTraces, trace_hash
from streams.core.pricing.valuation import NoTokens
from tests.streams.stage1.stage1_folding import LIMITS, Folding, PerUnit, observation

KEYS = st.sets(st.integers(0, 300).map(lambda number: ("p", f"t{number}")), max_size=60)


@given(stored=KEYS, added=KEYS, asked=KEYS)
def test_exactly_the_stored_and_added_traces_are_seen(stored, added, asked):
    seen = SeenTraces(array("Q", sorted(map(trace_hash, stored))))
    for key in [*added, *added]:
        seen.add(key)
    assert {key for key in asked if key in seen} == asked & (stored | added)
    assert len(seen) == len(stored | added)


@given(stored=KEYS, added=KEYS, asked=KEYS, traces_max=st.integers(1, 80))
def test_above_the_limit_nothing_is_forgotten_and_nothing_more_is_kept(
    stored, added, asked, traces_max
):
    known = array("Q", sorted(map(trace_hash, stored))[:traces_max])
    seen = SeenTraces(known, traces_max)
    for key in added:
        seen.add(key)
    assert len(seen) <= traces_max
    assert all(key in seen for key in asked & (stored | added))
    if len(stored | added) >= traces_max:
        assert all(key in seen for key in asked)


def test_adding_to_a_million_hashes_allocates_only_the_new_one():
    stored, added = 1_000_000, 100_001
    step = 2**64 // stored
    seen = SeenTraces(array("Q", range(0, step * stored, step)))
    tracemalloc.start()
    try:
        for number in range(added):
            seen.add(("p", str(number)))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Arrays that grow are copied: at most all hashes once, eight bytes each.
    assert peak_bytes < 2 * 8 * (stored + added)
    assert len(seen) == stored + added


def test_traces_beyond_the_limit_of_hashes_are_counted_and_read_back():
    limits = FoldLimits(1, 1_000_000, 10, LIMITS.dead_letters)
    folding = Folding(limits)
    folding.core = ObservationsFold(
        "events", 0, limits, PerUnit(), NoTokens(), SeenTraces(traces_max=2)
    )
    folding.fold(*(observation(str(number), trace_id=f"t{number}") for number in range(5)))
    assert folding.core.take_reached()["seen_traces_max"] == 3
    assert "seen_traces_max" not in folding.core.take_reached()
    assert ("p", "t4") in folding.core.cache.seen
