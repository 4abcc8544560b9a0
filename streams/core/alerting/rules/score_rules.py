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
from streams.core.alerting.rules.panes import PANE_S
from streams.core.alerting.rules.project import ProjectRules
from streams.core.alerting.rules.score_changes import ScoreChange, ScoreDelta, change_of, negated
from streams.core.alerting.rules.series import SeriesKey

SCORES: Final = "scores"
"""Table of the rows, and source of the metrics."""
FORGET_INTERVAL_US: Final = 60_000_000
_SECOND_US: Final = 1_000_000
_row: Final = msgspec.json.Decoder(ScoreRow)


class _Score(NamedTuple):
    version: int
    start_s: int
    change: ScoreChange | None
    """None: the score is deleted."""


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
    """

    needed_from_us: int
    keep_s: int
    is_read: bool = False
    known: set[SeriesKey] = field(default_factory=set)
    by_id: OrderedDict[str, _Score] = field(default_factory=OrderedDict)
    is_cut: bool = False


class ScoreRules:
    """The scores of the projects of a partition.

    Attributes:
        dropped: number of forgotten scores; the evaluator reads and resets it.
    """

    def __init__(self, late_max_s: int, scores_max: int) -> None:
        self.dropped = 0
        self._late_max_s = late_max_s
        self._scores_max = scores_max
        self._count = 0
        self._projects: dict[str, _ProjectScores] = {}
        self._forgot_us = 0

    # Rules

    def rules_changed(self, project: ProjectRules, now_us: int) -> None:
        """Add the scores that are known to new series; request older ones if necessary."""
        keys = {key for key in project.series if key.source == SCORES}
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
        older = [(each.start_s, each.change) for each in mine.by_id.values() if each.change]
        for key in keys - mine.known:
            project.add_older_scores(key, ScoreDelta(older), now_us)
            project.series[key].is_truncated |= mine.is_cut
        mine.known = keys
        if mine.is_read:
            self._complete(project, mine)

    def _complete(self, project: ProjectRules, mine: _ProjectScores) -> None:
        complete_s = -(-mine.needed_from_us // (PANE_S * _SECOND_US)) * PANE_S
        project.completed(
            {key for key in mine.known if project.series[key].complete_from_s > complete_s},
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
        self._remember(mine, row.id, _Score(row.row_version, start_s, change))
        # The new version first: if it begins a pane, the windows that end contain the earlier one,
        # and no window is evaluated without both.
        if change is not None:
            project.apply(ScoreDelta([(start_s, change)]), append_us)
        if before is not None and before.change is not None:
            project.apply(ScoreDelta([(before.start_s, negated(before.change))]), append_us)
        project.flush()

    def _remember(self, mine: _ProjectScores, score_id: str, score: _Score) -> None:
        self._count += score_id not in mine.by_id
        mine.by_id[score_id] = score
        mine.by_id.move_to_end(score_id)
        if self._count > self._scores_max:
            mine.by_id.popitem(last=False)
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
            self._count -= len(old)
