"""Query aggregates of observations, traces or scores, by step and dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Final, Literal

from query_api.store.conditions import Condition, conditions_sql, needs_full_texts
from query_api.store.levels import SKETCH_ROWS_MAX, Levels, level_rows_sql
from query_api.store.sql import OF_PROJECT, Binder, StoreQuery
from query_api.store.steps import Runs

Source = Literal["observations", "traces", "scores", "windows", "spend"]
Join = Literal["traces", "summaries", "trace_scores", "observation_scores", "observations"]

TIME_OF: Final[Mapping[Source, str]] = MappingProxyType(
    {
        "observations": "start_time",
        "traces": "start_time",
        "scores": "event_time",
        "windows": "window_start",
        "spend": "bucket_start",
    }
)
_JOINS: Final[Mapping[Join, str]] = MappingProxyType(
    {
        "traces": (
            "ANY LEFT JOIN (\n  SELECT id AS t_id, name AS t_name, user_id AS t_user_id,"
            " session_id AS t_session_id,\n    release AS t_release, version AS t_version,"
            " tags AS t_tags\n"
            f"  FROM traces FINAL\n  WHERE {OF_PROJECT}\n) AS t ON trace_id = t_id"
        ),
        "summaries": (
            "ANY LEFT JOIN (\n  SELECT id AS s_trace, arrayJoin(arrayZip(mapKeys(summaries),"
            " mapValues(summaries))) AS s_pair,\n    s_pair.1 AS s_id, s_pair.2 AS s_counted\n"
            f"  FROM traces FINAL\n  WHERE {OF_PROJECT} AND notEmpty(summaries)\n"
            ") AS s ON trace_id = s_trace AND id = s_id"
        ),
        "trace_scores": (
            "ANY LEFT JOIN (\n  SELECT trace_id AS c_trace, count() AS c_scores\n"
            f"  FROM scores FINAL\n  WHERE {OF_PROJECT}\n  GROUP BY trace_id\n"
            ") AS c ON id = c_trace"
        ),
        "observation_scores": (
            "ANY LEFT JOIN (\n  SELECT trace_id AS c_trace, observation_id AS c_observation,"
            " count() AS c_scores\n"
            f"  FROM scores FINAL\n  WHERE {OF_PROJECT} AND observation_id != ''\n"
            "  GROUP BY trace_id, observation_id\n"
            ") AS c ON trace_id = c_trace AND id = c_observation"
        ),
        "observations": (
            "ANY LEFT JOIN (\n  SELECT trace_id AS o_trace, id AS o_id, name AS o_name,"
            " model AS o_model,\n    prompt_name AS o_prompt_name,"
            " prompt_version AS o_prompt_version\n"
            f"  FROM observations_slim FINAL\n  WHERE {OF_PROJECT}\n    AND id IN"
            f" (SELECT observation_id FROM scores WHERE {OF_PROJECT} AND observation_id != '')\n"
            ") AS o ON trace_id = o_trace AND observation_id = o_id"
        ),
    }
)


_TYPES: Final[Mapping[type, str]] = MappingProxyType(
    {int: "Int64", float: "Float64", str: "Decimal(38, 12)"}
)


@dataclass(frozen=True, slots=True)
class Rolled:
    """Columns of windows to read, from which levels."""

    levels: Levels
    columns: tuple[str, ...]
    group_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Aggregate(StoreQuery):
    """Select ``start_s`` if there are steps, dimensions ``d0``… and measures ``m0``….

    Dimensions and measures are constant SQL. ``from_us`` is inclusive, ``to_us`` exclusive.
    ``order`` has pairs of a selected column and whether it is descending. ``top`` is the number of
    groups that are shown, those with the largest values of ``top_by``; all others are combined, and
    marked by ``is_other``.
    """

    name: ClassVar[str] = "aggregate"
    block_rows_max: ClassVar[int] = SKETCH_ROWS_MAX
    source: Source
    from_us: int
    to_us: int
    dimensions: tuple[str, ...] = ()
    measures: tuple[str, ...] = ()
    runs: Runs | None = None
    joins: tuple[Join, ...] = ()
    conditions: tuple[Condition, ...] = ()
    order: tuple[tuple[str, bool], ...] = ()
    limit: int = 100
    rolled: Rolled | None = None
    top: int | None = None
    top_by: str = "count()"
    after: tuple[str | int | float, tuple[str, ...]] | None = None
    """Value of ``order[0]`` and the dimensions at the end of the previous page."""

    def write(self, binder: Binder) -> str:
        rows = self._rows(binder)
        steps = self._steps(binder)
        names = [*(["start_s"] if steps else []), *(f"d{at}" for at in range(self._width))]
        others = ""
        dimensions = [f"{sql} AS d{at}" for at, sql in enumerate(self.dimensions)]
        if self.top is not None and self.dimensions:
            key = f"tuple({', '.join(self.dimensions)})"
            found = (
                f"SELECT {key} FROM {self._rows(binder)}\nGROUP BY {', '.join(self.dimensions)}\n"
                f"ORDER BY {self.top_by} DESC, {', '.join(self.dimensions)}\n"
                f"LIMIT {binder.bind(self.top, 'UInt32')}"
            )
            others = f"{key} NOT IN (\n{found}\n) AS is_other"
            dimensions = [
                f"if(is_other, '', toString({sql})) AS d{at}"
                for at, sql in enumerate(self.dimensions)
            ]
            names.append("is_other")
        measures = [f"{sql} AS m{at}" for at, sql in enumerate(self.measures)]
        selected = [*([steps] if steps else []), *([others] if others else []), *dimensions]
        group = f"\nGROUP BY {', '.join(names)}" if names else ""
        order = [f"{name}{' DESC' if is_desc else ''}" for name, is_desc in self.order]
        order += [name for name in names if name not in dict(self.order)]
        return (
            f"SELECT {f',{chr(10)}  '.join((*selected, *measures))}\n"
            f"FROM {rows}{group}{self._having(binder)}\n"
            + (f"ORDER BY {', '.join(order)}\n" if order else "")
            + f"LIMIT {binder.bind(self.limit, 'UInt32')}"
        )

    @property
    def _width(self) -> int:
        return len(self.dimensions)

    def _steps(self, binder: Binder) -> str:
        if self.runs is None:
            return ""
        at_s = f"toInt64(toUnixTimestamp({TIME_OF[self.source]}))"
        begins, lasts = (
            binder.bind(list(each), "Array(Int64)") for each in (self.runs.begins, self.runs.lasts)
        )
        step_s = binder.bind(self.runs.step_s, "Int64")
        begin = f"roundDown({at_s}, {begins})"
        return (
            f"least({begin} + intDiv({at_s} - {begin}, {step_s}) * {step_s},"
            f" transform({begin}, {begins}, {lasts})) AS start_s"
        )

    def _having(self, binder: Binder) -> str:
        conditions = []
        if self.source == "windows":
            conditions.append("(sum(observation_count) != 0 OR sum(total_cost) != 0)")
        if self.source == "spend":
            conditions.append("(sum(total_cost) != 0 OR sum(total_tokens) != 0)")
        if self.after is not None:
            value, groups = self.after
            name, is_desc = self.order[0]
            bound = binder.bind(value, _TYPES[type(value)])
            key = f"{name} {'<' if is_desc else '>'} {bound}"
            if groups:
                names = ", ".join(f"d{at}" for at in range(self._width))
                last = ", ".join(binder.text(each) for each in groups)
                key += f" OR ({name} = {bound} AND tuple({names}) > tuple({last}))"
            conditions.append(f"({key})")
        return f"\nHAVING {' AND '.join(conditions)}" if conditions else ""

    def _rows(self, binder: Binder) -> str:
        if self.rolled is not None:
            rolled = self.rolled
            return level_rows_sql(
                rolled.levels, rolled.columns, rolled.group_by, self.conditions, binder
            )
        table = {"observations": "observations_slim"}.get(self.source, self.source)
        if self.source == "observations" and needs_full_texts(self.conditions):
            table = "observations"
        time = TIME_OF[self.source]
        joins = "".join(f"\n{_JOINS[each]}" for each in self.joins)
        if self.source in {"windows", "spend"}:
            bounds = [
                f"toDateTime({binder.bind(at_us // 1_000_000, 'Int64')}, 'UTC')"
                for at_us in (self.from_us, self.to_us)
            ]
        else:
            bounds = [binder.instant(self.from_us), binder.instant(self.to_us)]
        return (
            f"{table} FINAL{joins}\nWHERE {OF_PROJECT}\n  AND {time} >= {bounds[0]}"
            f"\n  AND {time} < {bounds[1]}{conditions_sql(self.conditions, binder)}"
        )
