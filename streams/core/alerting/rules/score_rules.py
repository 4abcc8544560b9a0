"""Remember the scores in the windows of rules, so that a later version replaces an earlier one.

Scores are rows with a version. They are read again after a restart and for a new rule, and may
arrive in any order; the highest version of an id counts, and a deleted score does not.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec

from clickhouse.feed import project_of_row
from clickhouse.rows import ScoreRow
from producers.alerting.metric import SCORE_SOURCES
from streams.core.alerting.rules.panes import PANE_S
from streams.core.alerting.rules.project import ProjectRules
from streams.core.alerting.rules.score_changes import ScoreChange, ScoreDelta, change_of, negated
from streams.core.alerting.rules.scored_calls import (
    NO_CALL,
    Call,
    CallKey,
    CallQuery,
    WaitingScores,
    change_with,
)
from streams.core.alerting.rules.series import SeriesKey

SCORES: Final = "scores"
"""Table of the rows, and source of the metrics."""
CALLS: Final = "scored_calls"
"""Source of the metrics if rules select fields of the scored observations."""
FORGET_INTERVAL_US: Final = 60_000_000
_SECOND_US: Final = 1_000_000
_row: Final = msgspec.json.Decoder(ScoreRow)


class _Score(NamedTuple):
    version: int
    start_s: int
    change: ScoreChange | None
    """None: the score is deleted."""
    of: CallKey | None = None
    """The scored observation; None: a whole trace or session."""
    call: Call | None = NO_CALL
    """The fields of the observation; None while they are not known."""

    @property
    def with_call(self) -> tuple[int, ScoreChange] | None:
        """Return what the score adds to rules about observations; None if nothing."""
        if self.change is None or self.call is None:
            return None
        return self.start_s, change_with(self.change, self.call)


@dataclass(slots=True)
class _ProjectScores:
    """The scores of a project with rules about them.

    Attributes:
        needed_from_us: append time from which scores are needed.
        keep_s: age from which scores are in no window any more.
        is_read: whether all of them were read.
        known: the series that contain what was read.
        by_id: scores in the order of arrival.
        is_cut: whether some were forgotten because there were too many.
        has_calls: whether rules select fields of the scored observations.
        waiting: scores whose observations are looked up, if ``has_calls``.
    """

    needed_from_us: int
    keep_s: int
    is_read: bool = False
    known: set[SeriesKey] = field(default_factory=set)
    by_id: OrderedDict[str, _Score] = field(default_factory=OrderedDict)
    is_cut: bool = False
    has_calls: bool = False
    waiting: WaitingScores = field(default_factory=WaitingScores)


class ScoreRules:
    """The scores of the projects of a partition.

    Attributes:
        dropped: number of forgotten scores; the evaluator reads and resets it.
        unknown_calls: number of scores whose observation was not found in time; likewise.
    """

    def __init__(self, late_max_s: int, scores_max: int, call_wait_max_s: int = 60) -> None:
        self.dropped = 0
        self.unknown_calls = 0
        self._call_wait_max_us = call_wait_max_s * _SECOND_US
        self._late_max_s = late_max_s
        self._scores_max = scores_max
        self._count = 0
        self._projects: dict[str, _ProjectScores] = {}
        self._forgot_us = 0

    # Rules

    def rules_changed(self, project: ProjectRules, now_us: int) -> None:
        """Add the scores that are known to new series; request older ones if necessary."""
        keys = {key for key in project.series if key.source in SCORE_SOURCES}
        if not keys:
            gone = self._projects.pop(project.project_id, None)
            self._count -= 0 if gone is None else len(gone.by_id)
            return
        keep_s = max(key.window_s for key in keys) + self._late_max_s + PANE_S
        from_us = max(0, now_us - keep_s * _SECOND_US)
        mine = self._projects.get(project.project_id)
        if mine is None:
            mine = self._projects[project.project_id] = _ProjectScores(from_us, keep_s)
        elif keep_s > mine.keep_s:
            mine.keep_s, mine.needed_from_us, mine.is_read = keep_s, from_us, False
        self._note_calls(mine, keys, now_us)
        scores = [(each.start_s, each.change) for each in mine.by_id.values() if each.change]
        calls = [each.with_call for each in mine.by_id.values()]
        older = ScoreDelta(scores, [each for each in calls if each is not None])
        for key in keys - mine.known:
            project.add_older_scores(key, older, now_us)
            project.series[key].is_truncated |= mine.is_cut
        mine.known = keys
        if mine.is_read:
            self._complete(project, mine)

    def _note_calls(self, mine: _ProjectScores, keys: set[SeriesKey], now_us: int) -> None:
        """Start or stop looking up observations, depending on whether rules need them."""
        had_calls, mine.has_calls = mine.has_calls, any(key.source == CALLS for key in keys)
        if mine.has_calls and not had_calls:
            for score_id, each in mine.by_id.items():
                if each.change is not None and each.call is None and each.of is not None:
                    mine.waiting.add(score_id, each.of, now_us)
            mine.waiting.note_older()
        elif not mine.has_calls:
            mine.waiting.clear()

    def _complete(self, project: ProjectRules, mine: _ProjectScores) -> None:
        complete_s = -(-mine.needed_from_us // (PANE_S * _SECOND_US)) * PANE_S
        project.completed(
            {
                key
                for key in mine.known
                if project.series[key].complete_from_s > complete_s
                and not (key.source == CALLS and mine.waiting.older)
            },
            complete_s,
        )

    def sources(self) -> dict[str, int]:
        """Return the table of scores and since when they are needed, if there are rules."""
        if not self._projects:
            return {}
        return {SCORES: min(each.needed_from_us for each in self._projects.values())}

    def older(self) -> dict[str, int]:
        """Return by table the append time in µs from which rows must be read again."""
        wanted = [each.needed_from_us for each in self._projects.values() if not each.is_read]
        return {SCORES: min(wanted)} if wanted else {}

    def rows_read(self, older: Mapping[str, int], projects: Mapping[str, ProjectRules]) -> None:
        """Evaluate the rules of projects whose scores were all read, those since ``older``."""
        from_us = older.get(SCORES)
        for project_id, mine in self._projects.items():
            if not mine.is_read and from_us is not None and from_us <= mine.needed_from_us:
                mine.is_read = True
                mine.waiting.note_older()
                self._complete(projects[project_id], mine)

    # Scores

    def apply(self, value: bytes, append_us: int, projects: Mapping[str, ProjectRules]) -> None:
        """Apply the scores of a record, one after the other; an unreadable one is left out."""
        for line in value.split(b"\n"):
            project_id = project_of_row(line).decode(errors="replace")
            mine = self._projects.get(project_id)
            if mine is None:
                continue
            try:
                row = _row.decode(line)
            except (msgspec.DecodeError, UnicodeError, RecursionError):
                continue  # the sink writes its dead letter
            self._apply(mine, row, append_us, projects[project_id])

    def _apply(
        self, mine: _ProjectScores, row: ScoreRow, append_us: int, project: ProjectRules
    ) -> None:
        before = mine.by_id.get(row.id)
        if before is not None and row.row_version <= before.version:
            return
        start_s = min(row.event_us, append_us) // _SECOND_US // PANE_S * PANE_S
        change = None if row.is_deleted else change_of(row)
        of = (row.trace_id, row.observation_id) if row.observation_id else None
        call = NO_CALL if of is None else None
        if before is not None and before.of == of:
            call = before.call
        score = _Score(row.row_version, start_s, change, of, call)
        self._remember(mine, row.id, score)
        mine.waiting.remove(row.id)
        if mine.has_calls and of is not None and call is None and change is not None:
            mine.waiting.add(row.id, of, append_us)
        # The new version first: if it begins a pane, the windows that end contain the earlier one,
        # and no window is evaluated without both.
        project.apply(_delta_of(score, mine, sign=1), append_us)
        if before is not None:
            project.apply(_delta_of(before, mine, sign=-1), append_us)
        project.flush()

    # Scored observations

    def calls_wanted(self, count_max: int) -> list[CallQuery]:
        """Return the look-ups of observations for which scores wait, of one project each."""
        return [
            CallQuery(project_id, calls)
            for project_id, mine in self._projects.items()
            if (calls := mine.waiting.wanted(count_max))
        ]

    def calls_found(
        self,
        project: ProjectRules,
        query: CallQuery,
        found: Mapping[CallKey, Call] | None,
        now_us: int,
    ) -> None:
        """Count scores whose observations are known, or were not found for too long.

        While the store does not answer (``found`` is None), the rules are incomplete.
        """
        mine = self._projects.get(project.project_id)
        if mine is None:
            return
        for key in mine.known:
            if key.source == CALLS and key in project.series:
                project.series[key].is_waiting = found is None
        if found is None:
            return
        was_incomplete = bool(mine.waiting.older)
        for score_id, of, since_us in mine.waiting.of_calls(frozenset(query.calls)):
            call = found.get(of)
            if call is None and now_us - since_us < self._call_wait_max_us:
                continue
            self.unknown_calls += call is None
            mine.waiting.remove(score_id)
            score = mine.by_id.get(score_id)
            if score is None or score.change is None:
                continue
            score = mine.by_id[score_id] = score._replace(call=call or NO_CALL)
            counted = score.with_call
            assert counted is not None
            project.apply(ScoreDelta(calls=[counted]), now_us)
        project.flush()
        if was_incomplete and not mine.waiting.older and mine.is_read:
            self._complete(project, mine)

    def _remember(self, mine: _ProjectScores, score_id: str, score: _Score) -> None:
        self._count += score_id not in mine.by_id
        mine.by_id[score_id] = score
        mine.by_id.move_to_end(score_id)
        if self._count > self._scores_max:
            forgotten, _ = mine.by_id.popitem(last=False)
            mine.waiting.remove(forgotten)
            mine.is_cut = True
            self._count -= 1
            self.dropped += 1

    def forget(self, now_us: int) -> None:
        """Forget the scores that are in no window any more, once a minute."""
        if now_us < self._forgot_us + FORGET_INTERVAL_US:
            return
        self._forgot_us = now_us
        for mine in self._projects.values():
            oldest_s = now_us // _SECOND_US - mine.keep_s
            old = [key for key, each in mine.by_id.items() if each.start_s < oldest_s]
            for key in old:
                del mine.by_id[key]
                mine.waiting.remove(key)
            self._count -= len(old)


def _delta_of(score: _Score, mine: _ProjectScores, *, sign: int) -> ScoreDelta:
    """Return the changes that add or subtract a score."""
    delta = ScoreDelta()
    if score.change is not None:
        delta.scores.append((score.start_s, score.change))
    counted = score.with_call if mine.has_calls else None
    if counted is not None:
        delta.calls.append(counted)
    if sign < 0:
        delta.scores = [(start_s, negated(each)) for start_s, each in delta.scores]
        delta.calls = [(start_s, negated(each)) for start_s, each in delta.calls]
    return delta
