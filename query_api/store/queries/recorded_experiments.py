"""Query experiments that are recorded as attributes of spans.

Each item of an experiment has a root observation, to which all spans of the item refer. Keys are
found by an index, and then read in their newest version: a version that an observation had before
it moved to another minute, or before its deletion, is no item.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Final

from query_api.store.conditions import Column, Condition, Kind, conditions_sql
from query_api.store.sql import OF_PROJECT, Binder, StoreQuery


def _attribute(name: str) -> str:
    return f"JSONExtractString(metadata, 'langfuse.experiment.{name}')"


EXPERIMENT_COLUMNS: Final[Mapping[str, Column]] = MappingProxyType(
    {
        "experimentId": Column("experiment_id", Kind.TEXT),
        "experimentName": Column(_attribute("name"), Kind.TEXT),
        "experimentItemId": Column(_attribute("item.id"), Kind.TEXT),
        "datasetId": Column(_attribute("dataset.id"), Kind.TEXT),
    }
)
"""Columns of items of experiments that clients can filter by."""

_ROOT_ID: Final = _attribute("item.root_observation_id")
_IS_ITEM: Final = f"experiment_id > '' AND if({_ROOT_ID} = '', parent_id = '', {_ROOT_ID} = id)"
_READ: Final = (
    "trace_id, id, parent_id, start_time, end_time, row_version, is_deleted, level, environment,"
    " metadata, experiment_id"
)
_TEXTS: Final = ", input, output"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentConditions:
    """Conditions on the items of experiments."""

    conditions: tuple[Condition, ...] = ()
    since_us: int | None = None
    until_us: int | None = None
    """The end of the range, which is not part of it."""


def where_is(
    *, since_us: int | None = None, until_us: int | None = None, **values: str
) -> ExperimentConditions:
    """Return conditions that columns have these values."""
    conditions = (
        Condition(EXPERIMENT_COLUMNS[name], "eq", value) for name, value in values.items()
    )
    return ExperimentConditions(conditions=tuple(conditions), since_us=since_us, until_us=until_us)


def _items(where: ExperimentConditions, binder: Binder, columns: str, texts: str = "") -> str:
    """Return a query of the newest versions of the root observations of items."""
    in_range = OF_PROJECT
    if where.since_us is not None:
        in_range += f" AND start_time >= {binder.instant(where.since_us)}"
    if where.until_us is not None:
        in_range += f" AND start_time < {binder.instant(where.until_us)}"
    chosen = f"{_IS_ITEM}{conditions_sql(where.conditions, binder)}"
    return (
        f"SELECT {columns}\nFROM (\n"
        f"  SELECT {_READ}{texts} FROM observations\n  WHERE {in_range}\n"
        "    AND (trace_id, id) IN (\n"
        f"      SELECT trace_id, id FROM observations\n      WHERE {in_range} AND {chosen}\n    )\n"
        "  ORDER BY row_version DESC, is_deleted\n  LIMIT 1 BY trace_id, id\n)\n"
        f"WHERE is_deleted = 0 AND {chosen}"
    )


@dataclass(frozen=True, slots=True)
class FindExperiments(StoreQuery):
    """Select experiments, the one with the latest activity first.

    A page begins ``below`` the end (µs) and the id of the last experiment of the previous page.
    """

    name: ClassVar[str] = "find_experiments"
    chosen: ExperimentConditions = ExperimentConditions()
    limit: int = 50
    below: tuple[int, str] | None = None

    def write(self, binder: Binder) -> str:
        items = _items(
            self.chosen,
            binder,
            "experiment_id, metadata, start_time, greatest(start_time, end_time) AS until,"
            f" {_attribute('item.id')} AS item_id",
        )
        having = ""
        if self.below is not None:
            end_us, id_ = self.below
            end, last = binder.bind(end_us, "Int64"), binder.text(id_)
            having = f"\nHAVING (end_us, id) < ({end}, {last})"
        return (
            "SELECT experiment_id AS id, argMax(metadata, (start_time, item_id)) AS metadata,\n"
            "  toUnixTimestamp64Micro(min(start_time)) AS start_us,"
            " toUnixTimestamp64Micro(max(until)) AS end_us,\n"
            "  uniqExact(item_id) AS item_count\n"
            f"FROM (\n{items}\n)\nGROUP BY experiment_id{having}\n"
            f"ORDER BY end_us DESC, id DESC\nLIMIT {binder.bind(self.limit, 'UInt32')}"
        )


@dataclass(frozen=True, slots=True)
class FindExperimentItems(StoreQuery):
    """Select items of experiments, newest first; ``io`` adds their input and output.

    A page begins ``below`` the start (µs), trace and id of the last item of the previous page.
    """

    name: ClassVar[str] = "find_experiment_items"
    chosen: ExperimentConditions = ExperimentConditions()
    limit: int = 50
    below: tuple[int, str, str] | None = None
    io: bool = False

    def write(self, binder: Binder) -> str:
        texts = _TEXTS if self.io else ""
        items = _items(
            self.chosen,
            binder,
            "experiment_id, trace_id, id, toUnixTimestamp64Micro(start_time) AS start_us,"
            f" toUnixTimestamp64Micro(end_time) AS end_us, level, environment, metadata{texts}",
            texts,
        )
        if self.below is not None:
            start_us, trace_id, id_ = self.below
            position = (
                f"({binder.bind(start_us, 'Int64')}, {binder.text(trace_id)}, {binder.text(id_)})"
            )
            items += f"\n  AND (toUnixTimestamp64Micro(start_time), trace_id, id) < {position}"
        return (
            f"{items}\nORDER BY start_us DESC, trace_id DESC, id DESC"
            f"\nLIMIT {binder.bind(self.limit, 'UInt32')}"
        )
