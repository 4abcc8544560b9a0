"""Stages 2 and 3 of one partition of ``deltas``, as a fold: what a record changes, what is to be written, and how to begin again.

For each record, in offset order: what ``missing`` names is read back and adopted, then ``apply`` changes cells and budgets. From time to time ``flush`` gives all that
changed since, as absolute rows, and a ``Marker`` that says how far that is. Beginning again from the last marker and the rows written gives the same state: repeats of a
source record are dropped by ``applied``, repeats of a record of ``deltas`` by the version of each cell that has it.

A delta that raises changes nothing: its cells are put back, and it counts as applied, so that it is
set aside once, however records are grouped or read again. A row that cannot be written, and a
budget that raises, are set aside alone as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

import msgspec

from clickhouse.rows import SpendRow, WindowRow
from streams.core.alerts.crossings import Crossing
from streams.core.budgets.evaluation import Budgets, PeriodKey
from streams.core.dimensions.keys import (
    spend_key_of_change,
    spend_key_of_row,
    window_key_of_change,
    window_key_of_row,
)
from streams.core.rollups.deltas import Delta, SpendDelta
from streams.core.rollups.residency import GroupKey, Groups, KeyT
from streams.core.rollups.spend import SpendCell, SpendKey, spend_cell, spend_row
from streams.core.rollups.undo import Undo, take_back
from streams.core.rollups.windows import WindowCell, WindowKey, window_cell, window_row

NOTHING_REFUSED: Final[Mapping[int, Exception]] = {}
CellT = TypeVar("CellT", WindowCell, SpendCell)
_encode = msgspec.json.Encoder().encode


class Marker(msgspec.Struct, frozen=True, kw_only=True):
    """How far the rows written so far go."""

    input_offset: int
    """The last record of ``deltas`` in them."""
    applied: dict[int, tuple[int, list[str]]]
    """By source partition: the last source offset in them, and the projects whose delta of it is;
    of a later part of one: project, newline, number."""
    version_base: int
    """Versions of rows count from here: above those of every log there was before, so that a new log goes on with an old store."""
    windows_horizon_s: int | None
    """The latest window there ever was; ``None``: not known."""
    spend_horizon_s: int | None
    unsettled: list[PeriodKey] = []
    """Budget periods that still have to be evaluated."""


def with_rows_beyond(marker: Marker, windows_s: Iterable[int], spend_s: Iterable[int]) -> Marker:
    """The marker, knowing that rows of these starts were written after it: by a flush that did not come to its own marker.

    Their groups are in the store, so they have to be read back; had they counted as new, what they hold would be counted once more.
    """
    return msgspec.structs.replace(
        marker,
        windows_horizon_s=_latest(marker.windows_horizon_s, windows_s),
        spend_horizon_s=_latest(marker.spend_horizon_s, spend_s),
    )


def with_unknown_horizons(marker: Marker) -> Marker:
    """The marker, knowing that rows were written after it but not which: every group has to be read
    back.
    """
    return msgspec.structs.replace(marker, windows_horizon_s=None, spend_horizon_s=None)


def _latest(horizon_s: int | None, starts_s: Iterable[int]) -> int | None:
    return None if horizon_s is None else max([horizon_s, *starts_s])


def first_marker(
    version_base: int, windows_horizon_s: int | None, spend_horizon_s: int | None
) -> Marker:
    """Before the first record of a log that nothing was written from; the store may hold rows of an earlier log."""
    return Marker(
        input_offset=-1,
        applied={},
        version_base=version_base,
        windows_horizon_s=windows_horizon_s,
        spend_horizon_s=spend_horizon_s,
    )


@dataclass(frozen=True, slots=True)
class Missing:
    """Groups to read back."""

    windows: set[GroupKey]
    spend: set[GroupKey]

    def __bool__(self) -> bool:
        return bool(self.windows or self.spend)


@dataclass(frozen=True, slots=True)
class FailedDelta:
    """A delta that raised and was not applied."""

    index: int
    """Among those that were given."""
    delta: Delta
    error: Exception


@dataclass(slots=True)
class Applied:
    """What a record did."""

    failed: list[FailedDelta] = field(default_factory=list)

    crossings: list[Crossing] = field(default_factory=list)
    repeats: int = 0
    """Deltas that had been applied before."""
    late: int = 0
    """Changes of windows older than the lateness horizon; they count all the same."""


class RowTooLargeError(Exception):
    """A row is longer than a record may be."""


def require_size(line: bytes, bytes_max: int) -> None:
    """Raise ``RowTooLargeError`` for a row that is too long."""
    if len(line) > bytes_max:
        raise RowTooLargeError(f"the row takes {len(line)} bytes, {bytes_max} are allowed")


@dataclass(frozen=True, slots=True)
class FailedRow:
    """A changed cell whose row cannot be written; the store keeps the row before."""

    table: str
    project_id: str
    key: str
    version: int
    error: Exception


@dataclass(frozen=True, slots=True)
class Flush:
    """Rows to write as lines of JSON, spend before windows, and the marker that the last record of windows carries."""

    spend: list[bytes]
    windows: list[bytes]
    marker: Marker
    failed: list[FailedRow]


class ProjectFold:
    """The state of one partition of ``deltas``."""

    def __init__(
        self, marker: Marker, budgets: Budgets, *, lateness_s: int, row_bytes_max: int = 2**24
    ) -> None:
        self.windows: Groups[WindowKey, WindowCell] = Groups(WindowCell, marker.windows_horizon_s)
        self.spend: Groups[SpendKey, SpendCell] = Groups(SpendCell, marker.spend_horizon_s)
        self.budgets = budgets
        self.input_offset = marker.input_offset
        self._version_base = marker.version_base
        self._applied = {p: (offset, set(done)) for p, (offset, done) in marker.applied.items()}
        self._undo: Undo = []
        """Of the last delta."""
        self._lateness_s = lateness_s
        self._row_bytes_max = row_bytes_max

    def missing(self, deltas: Iterable[Delta]) -> Missing:
        """What must be read back before ``deltas`` can be applied."""
        deltas = list(deltas)
        windows = {(d.project_id, change.window_s) for d in deltas for change in d.windows}
        spend = {(d.project_id, change.bucket_s) for d in deltas for change in d.spend}
        return Missing(self.windows.missing(windows), self.spend.missing(spend))

    def adopt(
        self, missing: Missing, windows: Iterable[WindowRow], spend: Iterable[SpendRow]
    ) -> None:
        """Take what the store has of all ``missing`` groups."""
        window_groups: dict[GroupKey, dict[WindowKey, WindowCell]] = {
            k: {} for k in missing.windows
        }
        for row in windows:
            cells = window_groups[row.project_id, row.window_s]
            cells[window_key_of_row(row)] = window_cell(row)
        for key, cells in window_groups.items():
            self.windows.adopt(key, cells)
        spend_groups: dict[GroupKey, dict[SpendKey, SpendCell]] = {k: {} for k in missing.spend}
        for spent in spend:
            spend_cells = spend_groups[spent.project_id, spent.bucket_s]
            spend_cells[spend_key_of_row(spent)] = spend_cell(spent)
        for key, spend_cells in spend_groups.items():
            self.spend.adopt(key, spend_cells)

    def apply(
        self,
        offset: int,
        deltas: Iterable[Delta],
        now_s: int,
        refused: Mapping[int, Exception] = NOTHING_REFUSED,
    ) -> Applied:
        """Apply the record at ``offset``; several of its deltas may change the same cell.

        Args:
            offset: of the record.
            deltas: its deltas.
            now_s: when the record was written.
            refused: deltas whose cells could not be read back, by index, and why.
        """
        outcome = Applied()
        version = self._version_base + offset + 1
        for index, delta in enumerate(deltas):
            if not self._is_new(delta):
                outcome.repeats += 1
                continue
            if index in refused:
                outcome.failed.append(FailedDelta(index, delta, refused[index]))
                continue
            try:
                late, added = self._change_cells(delta, version, now_s)
            except Exception as error:  # noqa: BLE001  # whatever it holds, the others count
                self._roll_back()
                outcome.failed.append(FailedDelta(index, delta, error))
                continue
            outcome.late += late
            for change, key, added_pico in added:
                outcome.crossings += self.budgets.add(
                    delta.project_id, change.bucket_s, key, added_pico, change.trace_id
                )
        self.input_offset = offset
        return outcome

    def flush(self) -> Flush:
        """All that changed since the last flush; to be followed by ``written`` once it was acknowledged."""
        failed: list[FailedRow] = []
        spend = self._lines("spend", self.spend, spend_row, failed)
        windows = self._lines("windows", self.windows, window_row, failed)
        return Flush(spend, windows, self.marker(), failed)

    def _lines(
        self,
        table: str,
        groups: Groups[KeyT, CellT],
        row_of: Callable[[str, int, KeyT, CellT], msgspec.Struct],
        failed: list[FailedRow],
    ) -> list[bytes]:
        """Encode each changed cell; those that cannot be written are added to ``failed``."""
        lines: list[bytes] = []
        for (project_id, start_s), key, cell in groups.take_dirty():
            try:
                line = _encode(row_of(project_id, start_s, key, cell))
                require_size(line, self._row_bytes_max)
            except Exception as error:  # noqa: BLE001  # whatever the cell holds, the others count
                place = f"{start_s}/{key!r}"
                failed.append(FailedRow(table, project_id, place, cell.row_version, error))
            else:
                lines.append(line)
        return lines

    def written(self, *, spend_to: int, windows_to: int) -> None:
        """The last flush lies before these offsets of its topics."""
        self.spend.written(spend_to)
        self.windows.written(windows_to)

    def marker(self) -> Marker:
        return Marker(
            input_offset=self.input_offset,
            applied={p: (offset, sorted(done)) for p, (offset, done) in self._applied.items()},
            version_base=self._version_base,
            windows_horizon_s=self.windows.horizon_s,
            spend_horizon_s=self.spend.horizon_s,
            unsettled=self.budgets.unsettled,
        )

    def _is_new(self, delta: Delta) -> bool:
        """Whether it was not applied before; it counts as applied from now on."""
        name = f"{delta.project_id}\n{delta.part}" if delta.part else delta.project_id
        last, done = self._applied.get(delta.partition, (-1, set()))
        if delta.offset > last:
            self._applied[delta.partition] = (delta.offset, {name})
            return True
        if delta.offset == last and name not in done:
            done.add(name)
            return True
        return False

    def _change_cells(
        self, delta: Delta, version: int, now_s: int
    ) -> tuple[int, list[tuple[SpendDelta, SpendKey, int]]]:
        """Change the cells; return the number of late changes, and what each change of spend added.

        If it raises, ``_roll_back`` has to follow.
        """
        project_id, undo = delta.project_id, self._undo
        undo.clear()
        self.windows.begin()
        self.spend.begin()
        late = 0
        for window in delta.windows:
            late += window.window_s < now_s - self._lateness_s
            window_key = window_key_of_change(window)
            cell = self.windows.cell((project_id, window.window_s), window_key, now_s)
            cell.apply(window, version, undo)
        added: list[tuple[SpendDelta, SpendKey, int]] = []
        for change in delta.spend:
            spend_key = spend_key_of_change(change)
            spent = self.spend.cell((project_id, change.bucket_s), spend_key, now_s)
            before_pico = spent.cost_pico
            spent.apply(change, version, undo)
            # What the cell contains already moves no budget, but its period may still have to be evaluated.
            added.append((change, spend_key, spent.cost_pico - before_pico))
        return late, added

    def _roll_back(self) -> None:
        """Put back every cell as it was before the last delta.

        Dirty marks stay: writing such a cell once more changes nothing.
        """
        take_back(self._undo)
        self.windows.drop_new()
        self.spend.drop_new()
