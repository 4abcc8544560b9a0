"""Scores pass through the fold of stage 1: the latest of an id stays, and deletions are kept."""

from __future__ import annotations

from streams.core.observations.fold import FoldLimits
from tests.streams.stage1.stage1_folding import LIMITS, NOW_US, Folding
from tracemill.contract import Score


def test_a_score_passes_through_and_the_latest_stays():
    def score(ts: int, value: float) -> Score:
        return Score(
            project_id="p", id="s", ts_us=NOW_US + ts, name="n", data_type="NUMERIC", value=value
        )

    folding = Folding()
    (row,) = folding.fold(score(0, 1.0)).scores
    assert folding.fold(score(0, 1.0), score(-5, 0.5)).scores == []
    (newer,) = folding.fold(score(5, 2.0)).scores
    assert (newer.value, newer.row_version > row.row_version) == (2.0, True)


def test_a_deleted_score_stays_deleted_until_a_later_one_has_its_id():
    def score(ts: int, **fields: object) -> Score:
        given = {"name": "n", "data_type": "NUMERIC", "value": 1.0, **fields}
        return Score(project_id="p", id="s", ts_us=NOW_US + ts, **given)  # type: ignore[arg-type]

    deletion = score(5, name="", value=None, deleted=True)
    for events in ((score(0), score(5), deletion), (deletion, score(5), score(0))):
        rows = [row for event in events for row in Folding().fold(event).scores]
        newest = max(rows, key=lambda row: row.row_version)
        assert (newest.is_deleted, newest.id) == (1, "s")
    rows = Folding().fold(score(0), deletion, score(6)).scores
    assert max(rows, key=lambda row: row.row_version).is_deleted == 0


def test_a_score_that_was_forgotten_is_written_again_in_the_same_version():
    def score(id_: str) -> Score:
        return Score(project_id="p", id=id_, ts_us=NOW_US, name="n", data_type="NUMERIC")

    folding = Folding(FoldLimits(100, 1_000, 1, LIMITS.dead_letters))
    first, _, again = folding.fold(score("a"), score("b"), score("a")).scores
    assert first == again
    assert folding.core.take_reached() == {"resident_scores_max": 2}
