"""A placed event is the event that named its trace itself, whatever the order of its arrival."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from clickhouse.rows import ObservationRow
from producers.unplaced_events import encode_unplaced
from streams.core.placement.lines import events_of, placed_line, waiting_line
from tests.streams.stage1.stage1_folding import NOW_US, Folding, last_row, last_trace, observation
from tracemill.contract import Event, Observation, Score, decode_event

texts = st.one_of(st.none(), st.text(max_size=8))
updates = st.builds(
    lambda ts, fields: observation("o", ts, partial=True, trace_id="o", **fields),
    st.integers(0, 3),
    st.fixed_dictionaries(
        {
            "name": texts,
            "output": texts,
            "parent_id": st.sampled_from([None, "p"]),
            "end_us": st.sampled_from([None, NOW_US + 5]),
            "usage": st.sampled_from([None, {"input": 3}]),
            "metadata": st.sampled_from([None, '{"a":null}', '{"a":{"b":1}}']),
        }
    ),
)


def placed(event: Event, trace_id: str, *, is_written_again: bool = False) -> Event:
    (waiting,), unreadable = events_of(encode_unplaced(event), 7, 1_000)
    assert not unreadable
    if is_written_again:
        (again,), _ = events_of(waiting_line(waiting), 9, 5_000)
        assert (again.since_us, again.append_us, again.ids) == (1_000, 5_000, waiting.ids)
        waiting = again
    return decode_event(placed_line(waiting, trace_id))


@given(updates, st.booleans())
def test_an_update_that_is_placed_differs_in_its_trace_only(
    update: Observation, is_written_again: bool
) -> None:
    found = placed(update, "t", is_written_again=is_written_again)
    update.trace_id = "t"
    assert found == update
    assert placed(update, update.trace_id) == update


def test_a_score_is_placed_by_its_observation() -> None:
    score = Score(
        project_id="p", id="s", ts_us=1, name="n", data_type="NUMERIC", value=1.0,
        trace_id="o", observation_id="o",
    )  # fmt: skip
    found = placed(score, "t")
    assert isinstance(found, Score)
    assert (found.trace_id, found.observation_id) == ("t", "o")


@given(st.lists(updates, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_updates_that_come_late_and_twice_give_the_same_rows(
    sent: list[Observation], chance: Any
) -> None:
    create = observation("o", 0, partial=True, trace_id="t", name="call", start_us=NOW_US)
    in_order = [placed(each, "t") for each in sent]
    shuffled = [*in_order, *chance.choices(in_order, k=2)]
    chance.shuffle(shuffled)
    rows: list[ObservationRow] = []
    traces = []
    for events in ([create, *in_order], [*shuffled, create]):
        folding = Folding()
        for event in events:
            effects = folding.fold(event)
            if effects.observations:
                row, trace = last_row(effects), last_trace(effects)
        row.row_version = trace.row_version = 0
        row.merge_state = ""
        rows.append(row)
        traces.append(trace)
    assert rows[0] == rows[1]
    assert traces[0] == traces[1]
