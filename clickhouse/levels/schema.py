"""Give the tables of levels the columns of ``windows``, and derive how columns are aggregated."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from clickhouse.errors import MigrationError
from clickhouse.percentiles import of_merged
from clickhouse.store import Store

log = structlog.get_logger(__name__)

WINDOWS: Final = "windows"
HOURLY: Final = "windows_hourly"
DAILY: Final = "windows_daily"
LEVEL_TABLES: Final = (HOURLY, DAILY)
_KEY: Final = ("project_id", "window_start")
_OWN: Final = frozenset({*_KEY, "cube", "row_version", "inserted_at"})
"""Columns that the tables of levels define themselves."""
PERCENTILE_LEVELS: Final = (0.5, 0.9, 0.95, 0.99)
"""Quantiles of sketches that some cubes have as well. If they change, hours are stale."""
SKETCH_SUFFIX: Final = "_state"
PERCENTILES_SUFFIX: Final = "_percentiles"
"""Suffixes of the columns with a sketch, and with its quantiles."""
_STATE: Final = re.compile(r"AggregateFunction\((\w+)(\([^()]*\))?, .+\)\Z")
_SIMPLE: Final = re.compile(r"SimpleAggregateFunction\((\w+), .+\)\Z")
_SUMS: Final = re.compile(r"Map\((.+), (?:U?Int(?:8|16|32|64|128))\)\Z")
_NUMBER: Final = re.compile(r"(?:U?Int\d+|Decimal\(.+\))\Z")


@dataclass(frozen=True, slots=True)
class WindowColumn:
    """A column of ``windows`` that levels have as well."""

    name: str
    type: str
    """Its type in levels."""
    default: str
    """SQL of its default; empty: that of the type."""
    codec: str
    is_dimension: bool
    computed: str = ""
    """SQL of its value from several rows, which do not have the column; empty: they have it."""

    def definition(self, *, has_default: bool = True) -> str:
        default = f" DEFAULT {self.default}" if self.default and has_default else ""
        codec = f" {self.codec}" if self.codec else ""
        return f"`{self.name}` {self.type}{default}{codec}"

    @property
    def aggregate(self) -> str:
        """Return the SQL expression that combines the values of several rows.

        Raises:
            MigrationError: it is not defined for the column's type.
        """
        if self.computed:
            return self.computed
        name = f"`{self.name}`"
        if state := _STATE.match(self.type):
            return f"{state[1]}MergeState{state[2] or ''}({name})"
        if simple := _SIMPLE.match(self.type):
            return f"{simple[1]}({name})"
        if _SUMS.match(self.type):
            return f"sumMap(mapApply((k, v) -> (k, toInt128(v)), {name}))"
        if _NUMBER.match(self.type):
            return f"sum({name})"
        if self.type in {"String", "LowCardinality(String)"}:
            return f"argMax({name}, window_start)"
        raise MigrationError(f"levels cannot aggregate the column {self.name} {self.type}")


async def window_columns(store: Store, table: str = WINDOWS) -> list[WindowColumn]:
    """Return the columns of levels that windows have or determine, or those of a table of levels.

    The columns of every level are left out. Dimensions are in the order of the sort key. Raises
    like ``Store.query``.
    """
    rows = await store.query(
        "SELECT name, type, default_kind, default_expression, compression_codec, is_in_sorting_key"
        " FROM system.columns WHERE database = {database:String} AND table = {table:String}"
        " ORDER BY position",
        {"database": store.database, "table": table},
    )
    inputs = {row["name"] for row in rows if row["default_kind"] == "EPHEMERAL"}
    columns = {
        row["name"]: WindowColumn(
            name=row["name"],
            type=_level_type(row["type"]),
            default=_constant_default(row["default_expression"], inputs),
            codec=row["compression_codec"],
            is_dimension=bool(row["is_in_sorting_key"]),
        )
        for row in rows
        if row["name"] not in inputs | _OWN
    }
    key = await _sorting_key(store, table)
    dimensions = [columns.pop(name) for name in key if name in columns]
    percentiles = _percentile_columns(columns.values()) if table == WINDOWS else []
    return [*dimensions, *columns.values(), *percentiles]


def _percentile_columns(columns: Iterable[WindowColumn]) -> list[WindowColumn]:
    """Return the columns with quantiles of sketches, which only levels have."""
    found = []
    for column in columns:
        state = _STATE.match(column.type)
        if state and state[1] == "quantilesDD" and column.name.endswith(SKETCH_SUFFIX):
            name = f"{column.name.removesuffix(SKETCH_SUFFIX)}{PERCENTILES_SUFFIX}"
            computed = of_merged(f"`{column.name}`", PERCENTILE_LEVELS)
            found.append(WindowColumn(name, "Array(Float64)", "", "", False, computed))
    return found


async def follow_windows(store: Store) -> None:
    """Add the columns of ``windows`` that the tables of levels do not have.

    Raises:
        StoreUnavailable, QueryRejected: some may be added; the next call continues.
    """
    wanted = await window_columns(store)
    tables = await store.query(
        "SELECT name FROM system.tables"
        " WHERE database = {database:String} AND name IN {levels:Array(String)} ORDER BY name",
        {"database": store.database, "levels": list(LEVEL_TABLES)},
    )
    for table in (each["name"] for each in tables):
        found = {column.name: column for column in await window_columns(store, table)}
        statements = alterations(table, found, wanted)
        for statement in statements:
            await store.command(statement)
        if statements:
            added = [each.name for each in wanted if each.name not in found]
            log.info("level_columns_added", table=table, columns=added)


def alterations(
    table: str, found: Mapping[str, WindowColumn], wanted: Sequence[WindowColumn]
) -> list[str]:
    """Return the statements that give a table the columns of windows.

    Dimensions get their default last, because a new column of the sort key may not have one.
    """
    missing = [each for each in wanted if each.name not in found]
    dimensions = [each for each in missing if each.is_dimension]
    measures = [each for each in missing if not each.is_dimension]
    changed = [
        each
        for each in wanted
        if each.name in found
        and (each.default if each.is_dimension else each.type)
        != (found[each.name].default if each.is_dimension else found[each.name].type)
    ]
    parts = [f"ADD COLUMN {each.definition(has_default=False)}" for each in dimensions]
    parts += [f"ADD COLUMN {each.definition()}" for each in measures]
    if dimensions:
        there = [each.name for each in found.values() if each.is_dimension]
        there += [each.name for each in dimensions]
        key = ", ".join(("project_id", "cube", "window_start", *(f"`{name}`" for name in there)))
        parts.append(f"MODIFY ORDER BY ({key})")
    modified = [each for each in dimensions if each.default] + changed
    last = [f"MODIFY COLUMN {each.definition()}" for each in modified]
    return [f"ALTER TABLE {table} {', '.join(each)}" for each in (parts, last) if each]


async def _sorting_key(store: Store, table: str) -> list[str]:
    rows = await store.query(
        "SELECT sorting_key FROM system.tables"
        " WHERE database = {database:String} AND name = {table:String}",
        {"database": store.database, "table": table},
    )
    return rows[0]["sorting_key"].split(", ") if rows else []


def _level_type(type_name: str) -> str:
    """Return the type of a column in levels: sums of maps of integers may exceed 64 bits."""
    sums = _SUMS.match(type_name)
    return f"Map({sums[1]}, Int128)" if sums else type_name


def _constant_default(expression: str, inputs: set[str]) -> str:
    """Return a default, unless it is computed from columns that only inserts of windows have."""
    is_computed = any(re.search(rf"\b{re.escape(name)}\b", expression) for name in inputs)
    return "" if is_computed else expression
