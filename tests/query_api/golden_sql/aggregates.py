"""The SQL of queries of aggregates."""

from query_api.store.levels import Levels
from query_api.store.queries.aggregates import Aggregate, Rolled
from query_api.store.steps import Runs
from tests.query_api.golden_sql.example import Example, of_trace

AGGREGATES: list[Example] = [
    (
        Aggregate("acme", "traces", 1, 2, ("name",), ("count()",), None, ("trace_scores",),
            (of_trace("userId", "eq", "u1"),), (("m0", True),), 5),
        """
        SELECT name AS d0, count() AS m0
        FROM traces FINAL
        ANY LEFT JOIN (
          SELECT trace_id AS c_trace, count() AS c_scores
          FROM scores FINAL
          WHERE project_id = {project_id:String}
          GROUP BY trace_id
        ) AS c ON id = c_trace
        WHERE project_id = {project_id:String}
          AND start_time >= fromUnixTimestamp64Micro({p1:Int64}, 'UTC')
          AND start_time < fromUnixTimestamp64Micro({p2:Int64}, 'UTC')
          AND user_id = {p3:String}
        GROUP BY d0
        ORDER BY m0 DESC, d0
        LIMIT {p4:UInt32}
        """,
        {"project_id": "acme", "p1": 1, "p2": 2, "p3": "u1", "p4": 5},
    ),
    (
        Aggregate("acme", "windows", 0, 10**7, ("model",), ("sum(total_cost)",),
            Runs(10, (0,), (0,)), rolled=Rolled(Levels(((0, 10),)), ("total_cost",), ("model",))),
        """
        WITH toInt64(toUnixTimestamp(window_start)) AS at_s,
          roundDown(at_s, {p1:Array(Int64)}) AS begin_s
        SELECT least(begin_s + intDiv(at_s - begin_s, {p3:Int64}) * {p3:Int64},
            transform(begin_s, {p1:Array(Int64)}, {p2:Array(Int64)})) AS start_s,
          model AS d0, sum(total_cost) AS m0
        FROM (
        SELECT window_start, model, total_cost
        FROM windows FINAL
        WHERE project_id = {project_id:String}
          AND (window_start >= toDateTime({p4:Array(UInt32)}[1], 'UTC')
            AND window_start < toDateTime({p5:Array(UInt32)}[1], 'UTC'))
        )
        GROUP BY start_s, d0
        HAVING (sum(observation_count) != 0 OR sum(total_cost) != 0)
        ORDER BY start_s, d0
        LIMIT {p6:UInt32}
        """,
        {"project_id": "acme", "p1": [0], "p2": [0], "p3": 10, "p4": [0], "p5": [10], "p6": 100},
    ),
]  # fmt: skip
