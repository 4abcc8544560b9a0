"""Groups of cells in memory: a group is loaded with all its cells, or not at all.

A group contains the cells of one project in one interval of event time (ten seconds of windows, a
quarter of an hour of spend). The *horizon* of a project is the latest start of its groups so far. A
group after the horizon cannot be in the store, so it starts empty. Any other group that is not in
memory must be read back first. A group may be evicted once the store has all of its rows.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

GroupKey = tuple[str, int]
"""Project id, and start in seconds."""


KeyT = TypeVar("KeyT", bound=Hashable)
CellT = TypeVar("CellT")


@dataclass(slots=True)
class Group(Generic[KeyT, CellT]):
    """The cells of one project and start."""

    cells: dict[KeyT, CellT]
    dirty: set[KeyT] = field(default_factory=set)
    touched_s: int = 0
    bins: int = 0
    """Bins of the sketches of its cells when they were last counted."""
    written_to: int = 0
    """Output offset after the last row of the group; the store has the group when the sink has
    committed it."""


class Groups(Generic[KeyT, CellT]):
    """The groups of one kind that are in memory.

    Args:
        new_cell: creates an empty cell.
        horizon_s: the latest start of any project so far; None if unknown.
        bins_of: returns the number of bins of a cell's sketches; None if cells have none.
    """

    def __init__(
        self,
        new_cell: Callable[[], CellT],
        horizon_s: int | None,
        bins_of: Callable[[CellT], int] | None = None,
    ) -> None:
        self._new_cell = new_cell
        self._bins_of = bins_of
        self._uncounted: set[GroupKey] = set()
        """Groups changed since their bins were counted."""
        self.bin_count = 0
        self._start_horizon_s = horizon_s
        self._horizon_s: dict[str, int] = {}
        self._by_project: dict[str, dict[int, Group[KeyT, CellT]]] = {}
        self._by_use: OrderedDict[GroupKey, None] = OrderedDict()
        self._dirty: set[GroupKey] = set()
        self._in_flight: set[GroupKey] = set()
        self._new: list[tuple[GroupKey, KeyT]] = []
        """Cells created since ``begin``."""
        self.cell_count = 0

    @property
    def horizon_s(self) -> int | None:
        """Return the latest start of any project; None if unknown."""
        if self._start_horizon_s is None:
            return None
        return max(self._horizon_s.values(), default=self._start_horizon_s)

    def missing(self, keys: Iterable[GroupKey]) -> set[GroupKey]:
        """Return the groups that must be read back; create those that are new."""
        absent = {key for key in keys if key not in self._by_use}
        missing = {key for key in absent if self._may_be_stored(key)}
        for key in absent - missing:
            self._insert(key, Group({}))
        return missing

    def load(self, key: GroupKey, cells: dict[KeyT, CellT]) -> None:
        """Add a group that was read back, unless it is in memory."""
        if key not in self._by_use:
            self._insert(key, Group(cells))

    def cell(self, key: GroupKey, cell_key: KeyT, now_s: int) -> CellT:
        """Mark a cell as dirty and return it; its group must not be ``missing``."""
        if key in self._by_use:
            self._by_use.move_to_end(key)
        else:
            assert not self._may_be_stored(key), f"{key} was not read back"
            self._insert(key, Group({}))
        project_id, start_s = key
        group = self._by_project[project_id][start_s]
        group.touched_s = max(group.touched_s, now_s)
        cell = group.cells.get(cell_key)
        if cell is None:
            self._new.append((key, cell_key))
            cell = group.cells[cell_key] = self._new_cell()
            self.cell_count += 1
        group.dirty.add(cell_key)
        self._dirty.add(key)
        return cell

    def count_bins(self) -> int:
        """Count the bins of groups that were changed or loaded; return the number of all bins."""
        if self._bins_of is not None:
            for key in self._uncounted | self._dirty | self._in_flight:
                group = self._group(key)
                self.bin_count -= group.bins
                group.bins = sum(map(self._bins_of, group.cells.values()))
                self.bin_count += group.bins
        self._uncounted.clear()
        return self.bin_count

    def begin(self) -> None:
        """Start to record created cells for ``drop_new``."""
        self._new.clear()

    def drop_new(self) -> None:
        """Remove the cells created since ``begin``."""
        for key, cell_key in self._new:
            group = self._group(key)
            del group.cells[cell_key]
            group.dirty.discard(cell_key)
            self.cell_count -= 1
        self._new.clear()

    def of_project(self, project_id: str) -> Mapping[int, Group[KeyT, CellT]]:
        """Return the groups of a project in memory, by start."""
        return self._by_project.get(project_id, {})

    def take_dirty(self) -> Iterator[tuple[GroupKey, KeyT, CellT]]:
        """Yield the cells changed since the last call; they stay in memory until ``written``."""
        for key in self._dirty:
            group = self._group(key)
            for cell_key in group.dirty:
                yield key, cell_key, group.cells[cell_key]
            group.dirty.clear()
        self._in_flight |= self._dirty
        self._uncounted |= self._dirty
        self._dirty.clear()

    def written(self, output_offset: int) -> None:
        """Record that the rows of the cells from ``take_dirty`` end at ``output_offset``."""
        for key in self._in_flight:
            self._group(key).written_to = output_offset
        self._in_flight.clear()

    def evict(
        self, stored_to: int, *, cells_max: int, idle_before_s: int, bins_max: int | None = None
    ) -> int:
        """Evict groups that are idle or exceed a limit; return their number.

        The least recently used groups are evicted first.

        Args:
            stored_to: output offset before which the store has all rows.
            cells_max: maximum number of cells.
            bins_max: maximum number of bins; None if it is not limited.
            idle_before_s: groups not changed since this time are evicted even below the limit.
        """
        left = self.cell_count
        bins_left = 0 if bins_max is None else self.count_bins() - bins_max
        leaving: list[GroupKey] = []
        for key in self._by_use:
            group = self._group(key)
            if left <= cells_max and bins_left <= 0 and group.touched_s >= idle_before_s:
                break
            busy = key in self._dirty or key in self._in_flight
            if not busy and group.written_to <= stored_to:
                leaving.append(key)
                left -= len(group.cells)
                bins_left -= group.bins
        for key in leaving:
            self._remove(key)
        return len(leaving)

    def _may_be_stored(self, key: GroupKey) -> bool:
        if self._start_horizon_s is None:
            return True
        return key[1] <= self._horizon_s.get(key[0], self._start_horizon_s)

    def _group(self, key: GroupKey) -> Group[KeyT, CellT]:
        return self._by_project[key[0]][key[1]]

    def _insert(self, key: GroupKey, group: Group[KeyT, CellT]) -> None:
        project_id, start_s = key
        self._by_project.setdefault(project_id, {})[start_s] = group
        self._by_use[key] = None
        self._uncounted.add(key)
        self.cell_count += len(group.cells)
        if self._start_horizon_s is not None:
            horizon_s = self._horizon_s.get(project_id, self._start_horizon_s)
            self._horizon_s[project_id] = max(horizon_s, start_s)

    def _remove(self, key: GroupKey) -> None:
        project_id, start_s = key
        self.cell_count -= len(self._group(key).cells)
        self.bin_count -= self._group(key).bins
        self._uncounted.discard(key)
        del self._by_use[key]
        del self._by_project[project_id][start_s]
        if not self._by_project[project_id]:
            del self._by_project[project_id]
