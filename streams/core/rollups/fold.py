"""Fold records of one partition of ``deltas`` into windows and spend (stage 2).

For each record in offset order, the caller reads the groups that ``missing`` returns from the store
and passes them to ``load``; then ``apply`` changes cells. ``flush`` returns all changed cells as
absolute rows, and a ``Checkpoint``: the part of the log that these rows contain. A restart from the
last checkpoint and the stored rows results in the same state: ``applied`` identifies repeated
source records, and the version of each cell identifies repeated records of ``deltas``.

If applying a delta raises, its changes are rolled back, and it counts as applied. So it becomes one
dead letter, however records are grouped or repeated. The same holds for a row that cannot be
encoded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

import msgspec

from clickhouse.rows import SpendRow, WindowRow
from streams.core.dimensions.keys import (
    spend_key_of_delta,
    spend_key_of_row,
    window_key_of_delta,
    window_key_of_row,
)
from streams.core.rollups.cell_groups import GroupKey, Groups, KeyT
from streams.core.rollups.deltas import Delta
from streams.core.rollups.spend import SpendCell, SpendKey, bucket_of, spend_cell, spend_row
from streams.core.rollups.undo import Undo, roll_back
from streams.core.rollups.windows import WindowCell, WindowKey, window_cell, window_row

NONE_UNREADABLE: Final[Mapping[int, Exception]] = {}
CellT = TypeVar("CellT", WindowCell, SpendCell)
_encode = msgspec.json.Encoder().encode


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint: the records that the rows written so far contain."""

    input_offset: int
    """Offset of the last record of ``deltas`` that the rows contain."""
    applied: dict[int, tuple[int, list[str]]]
    """By source partition: the last source offset, and the projects whose delta of it was applied.

    Later parts of a delta are represented as project, newline and part number.
    """
    version_base: int
    """Base of row versions. It is above all versions of earlier logs, so that a new log can be
    used with an existing store."""
    windows_horizon_s: int | None
    """The latest start of a window so far; None if unknown."""
    spend_horizon_s: int | None


def with_rows_beyond(
    checkpoint: Checkpoint, windows_s: Iterable[int], spend_s: Iterable[int]
) -> Checkpoint:
    """Extend the horizons by the starts of rows that follow ``checkpoint`` in the log.

    Such rows were written by a flush that failed before its own checkpoint. Their groups must be
    read back: if they were treated as new, their content would be counted twice.
    """
    return msgspec.structs.replace(
        checkpoint,
        windows_horizon_s=_latest(checkpoint.windows_horizon_s, windows_s),
        spend_horizon_s=_latest(checkpoint.spend_horizon_s, spend_s),
    )


def with_unknown_horizons(checkpoint: Checkpoint) -> Checkpoint:
    """Reset the horizons, because unknown rows follow ``checkpoint`` in the log.

    Without horizons, every group is read back.
    """
    return msgspec.structs.replace(checkpoint, windows_horizon_s=None, spend_horizon_s=None)


def _latest(horizon_s: int | None, starts_s: Iterable[int]) -> int | None:
    return None if horizon_s is None else max([horizon_s, *starts_s])


def first_checkpoint(
    version_base: int, windows_horizon_s: int | None, spend_horizon_s: int | None
) -> Checkpoint:
    """Return the checkpoint before the first record; the store may have rows of an earlier log."""
    return Checkpoint(
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
    """A delta that was not applied, because applying it raised."""

    index: int
    """Index among the deltas of the record."""
    delta: Delta
    error: Exception


@dataclass(slots=True)
class Applied:
    """The outcome of applying a record."""

    failed: list[FailedDelta] = field(default_factory=list)
    repeats: int = 0
    """Number of deltas that had been applied before."""
    late: int = 0
    """Number of late changes of windows, which are applied as well."""
    ahead: int = 0
    """Number of changes of windows that begin in the future."""


class RowTooLargeError(Exception):
    """A row exceeds the maximum size of a record."""


def require_size(line: bytes, bytes_max: int) -> None:
    """Raise ``RowTooLargeError`` if a row is too large."""
    if len(line) > bytes_max:
        raise RowTooLargeError(f"the row has {len(line)} bytes; at most {bytes_max} are allowed")


@dataclass(frozen=True, slots=True)
class FailedRow:
    """A changed cell whose row cannot be encoded; the store keeps its previous row."""

    table: str
    project_id: str
    key: str
    version: int
    error: Exception


@dataclass(frozen=True, slots=True)
class Flush:
    """Encoded rows, and the checkpoint to write with the last record of windows.

    Spend is written before windows.
    """

    spend: list[bytes]
    windows: list[bytes]
    checkpoint: Checkpoint
    failed: list[FailedRow]


class ProjectFold:
    """The state of one partition of ``deltas``."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        lateness_s: int,
        row_bytes_max: int = 2**24,
    ) -> None:
        self.windows: Groups[WindowKey, WindowCell] = Groups(
            WindowCell, checkpoint.windows_horizon_s, WindowCell.bin_count
        )
        self.spend: Groups[SpendKey, SpendCell] = Groups(SpendCell, checkpoint.spend_horizon_s)
        self.input_offset = checkpoint.input_offset
        self._version_base = checkpoint.version_base
        self._applied = {p: (offset, set(done)) for p, (offset, done) in checkpoint.applied.items()}
        self._undo: Undo = []
        """Values that the last delta replaced."""
        self._lateness_s = lateness_s
        self._row_bytes_max = row_bytes_max

    def missing(self, deltas: Iterable[Delta]) -> Missing:
        """Return the groups to read back before ``deltas`` can be applied."""
        deltas = list(deltas)
        windows = {(d.project_id, change.window_s) for d in deltas for change in d.windows}
        spend = {(d.project_id, bucket_of(change.bucket_s)) for d in deltas for change in d.spend}
        return Missing(self.windows.missing(windows), self.spend.missing(spend))

    def load(
        self, missing: Missing, windows: Iterable[WindowRow], spend: Iterable[SpendRow]
    ) -> None:
        """Add all ``missing`` groups, with their stored rows."""
        window_groups: dict[GroupKey, dict[WindowKey, WindowCell]] = {
            k: {} for k in missing.windows
        }
        for row in windows:
            cells = window_groups[row.project_id, row.window_s]
            cells[window_key_of_row(row)] = window_cell(row)
        for key, cells in window_groups.items():
            self.windows.load(key, cells)
        spend_groups: dict[GroupKey, dict[SpendKey, SpendCell]] = {k: {} for k in missing.spend}
        for spent in spend:
            spend_cells = spend_groups[spent.project_id, spent.bucket_s]
            spend_cells[spend_key_of_row(spent)] = spend_cell(spent)
        for key, spend_cells in spend_groups.items():
            self.spend.load(key, spend_cells)

    def apply(
        self,
        offset: int,
        deltas: Iterable[Delta],
        now_s: int,
        unreadable: Mapping[int, Exception] = NONE_UNREADABLE,
    ) -> Applied:
        """Apply a record; several of its deltas may change the same cell.

        Args:
            offset: offset of the record.
            deltas: deltas of the record.
            now_s: time when the record was written.
            unreadable: exceptions of deltas whose cells could not be read back, by index.
        """
        outcome = Applied()
        version = self._version_base + offset + 1
        for index, delta in enumerate(deltas):
            if not self._is_new(delta):
                outcome.repeats += 1
                continue
            if index in unreadable:
                outcome.failed.append(FailedDelta(index, delta, unreadable[index]))
                continue
            try:
                late = self._change_cells(delta, version, now_s)
            except Exception as error:  # noqa: BLE001  # the other deltas are still applied
                self._roll_back()
                outcome.failed.append(FailedDelta(index, delta, error))
                continue
            outcome.late += late
            outcome.ahead += sum(window.window_s > now_s for window in delta.windows)
        self.input_offset = offset
        return outcome

    def flush(self) -> Flush:
        """Return all changes since the last flush; call ``written`` once they are acknowledged."""
        failed: list[FailedRow] = []
        spend = self._lines("spend", self.spend, spend_row, failed)
        windows = self._lines("windows", self.windows, window_row, failed)
        return Flush(spend, windows, self.checkpoint(), failed)

    def _lines(
        self,
        table: str,
        groups: Groups[KeyT, CellT],
        row_of: Callable[[str, int, KeyT, CellT], msgspec.Struct],
        failed: list[FailedRow],
    ) -> list[bytes]:
        """Encode each changed cell; add those that fail to ``failed``."""
        lines: list[bytes] = []
        for (project_id, start_s), key, cell in groups.take_dirty():
            try:
                line = _encode(row_of(project_id, start_s, key, cell))
                require_size(line, self._row_bytes_max)
            except Exception as error:  # noqa: BLE001  # the other rows are still written
                place = f"{start_s}/{key!r}"
                failed.append(FailedRow(table, project_id, place, cell.row_version, error))
            else:
                lines.append(line)
        return lines

    def written(self, *, spend_to: int, windows_to: int) -> None:
        """Record the output offsets at which the last flush ends."""
        self.spend.written(spend_to)
        self.windows.written(windows_to)

    def checkpoint(self) -> Checkpoint:
        """Return the checkpoint of the current state."""
        return Checkpoint(
            input_offset=self.input_offset,
            applied={p: (offset, sorted(done)) for p, (offset, done) in self._applied.items()},
            version_base=self._version_base,
            windows_horizon_s=self.windows.horizon_s,
            spend_horizon_s=self.spend.horizon_s,
        )

    def _is_new(self, delta: Delta) -> bool:
        """Record a delta as applied; return whether it was not applied before."""
        name = f"{delta.project_id}\n{delta.part}" if delta.part else delta.project_id
        last, done = self._applied.get(delta.partition, (-1, set()))
        if delta.offset > last:
            self._applied[delta.partition] = (delta.offset, {name})
            return True
        if delta.offset == last and name not in done:
            done.add(name)
            return True
        return False

    def _change_cells(self, delta: Delta, version: int, now_s: int) -> int:
        """Apply a delta to its cells; return the number of late changes.

        If this raises, the caller calls ``_roll_back``.
        """
        project_id, undo = delta.project_id, self._undo
        undo.clear()
        self.windows.begin()
        self.spend.begin()
        late = 0
        for window in delta.windows:
            late += window.window_s < now_s - self._lateness_s
            window_key = window_key_of_delta(window)
            cell = self.windows.cell((project_id, window.window_s), window_key, now_s)
            cell.apply(window, version, undo)
        for change in delta.spend:
            spend_key = spend_key_of_delta(change)
            spent = self.spend.cell((project_id, bucket_of(change.bucket_s)), spend_key, now_s)
            spent.apply(change, version, undo)
        return late

    def _roll_back(self) -> None:
        """Restore every cell to its state before the last delta.

        Cells remain marked as dirty, because writing an unchanged cell is harmless.
        """
        roll_back(self._undo)
        self.windows.drop_new()
        self.spend.drop_new()
