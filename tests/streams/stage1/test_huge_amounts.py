"""Implausible counts and costs are rejected, and totals beyond 64 bits are capped."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.streams.stage1.stage1_folding import Folding, last_row, last_trace, observation
from tracemill.contract import COST_MAX_PICO, COUNT_MAX

ROW_MAX = 2**63 - 1


@pytest.mark.parametrize("partial", [False, True])
def test_a_computed_cost_above_the_limit_leaves_the_observation_unpriced(partial: bool):
    folding = Folding()
    dear = observation(partial=partial, model="gold", usage={"output": 100_001})
    effects = folding.fold(dear)
    row, trace = last_row(effects), last_trace(effects)
    assert (row.cost_source, row.total_cost_pico, row.cost_pico) == ("unpriced", 0, {})
    assert (row.price_id, row.usage) == ("", {"output": 100_001, "total": 100_001})
    assert (trace.unpriced_count, trace.total_cost_pico) == (1, 0)
    (spend,) = effects.deltas[0].spend
    assert (spend.cost_pico, spend.observations, spend.output_tokens) == (0, 1, 100_001)
    assert folding.core.take_reached()["observation_cost_max"] >= 1


def test_a_cost_at_the_limit_is_accepted():
    folding = Folding()
    row = last_row(folding.fold(observation(model="gold", usage={"output": 100_000})))
    assert (row.cost_source, row.total_cost_pico) == ("computed", COST_MAX_PICO)
    given = {"a": COST_MAX_PICO - 1, "b": 1}
    row = last_row(folding.fold(observation("o2", cost=given)))
    assert (row.cost_source, row.total_cost_pico) == ("given", COST_MAX_PICO)
    assert folding.core.take_reached() == {}


def test_an_old_record_with_a_count_beyond_the_limit_is_a_dead_letter_and_the_others_count():
    effects = Folding().fold(
        observation("old", model="m", usage={"output": 2**53}),
        observation("new", model="m", usage={"output": COUNT_MAX}),
    )
    [letter] = effects.dead_letters
    assert (letter.reason, "usage" in letter.detail) == ("not_an_event", True)
    assert last_trace(effects).usage == {"output": COUNT_MAX, "total": COUNT_MAX}


costs = st.lists(st.integers(COST_MAX_PICO // 2, COST_MAX_PICO), min_size=1, max_size=60)


@given(st.lists(costs, min_size=1, max_size=6))
def test_the_total_of_a_trace_is_capped_instead_of_wrapping_and_can_be_corrected(records):
    folding = Folding()
    told, exact_pico, said = 0, 0, []
    for record in records:
        events = [
            observation(f"{len(said) + number}", cost={"total": pico})
            for number, pico in enumerate(record)
        ]
        said += events
        exact_pico += sum(record)
        effects = folding.fold(*events)
        total_pico = last_trace(effects).total_cost_pico
        assert total_pico == min(exact_pico, ROW_MAX)
        assert total_pico >= told
        told = total_pico
        assert effects.deltas[0].windows[0].cost_pico == sum(record)
        assert effects.deltas[0].spend[0].cost_pico == sum(record)
    corrected = [observation(event.id, 1, cost={"total": 1}) for event in said]
    assert last_trace(folding.fold(*corrected)).total_cost_pico == len(said)
