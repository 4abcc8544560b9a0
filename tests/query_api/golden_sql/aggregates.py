"""The SQL of queries of aggregates."""

from query_api.store.conditions import Column, Condition, Kind
from query_api.store.levels import Levels
from query_api.store.queries.aggregates import (
    After,
    Aggregate,
    FindSummaries,
    Ranking,
    Rolled,
)
from query_api.store.steps import Runs
from tests.query_api.golden_sql.example import NASTY, Example, of_trace

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
        Aggregate("acme", "spend", 0, 10**6, ("user_id",), ("sum(total_cost)",),
            order=(("m0", True),), limit=9, top=Ranking(3, "sum(total_cost)"), are_sums=True),
        """
        SELECT if(is_other, '', toString(r0)) AS d0, sum(v0) AS m0, is_other
        FROM (
        SELECT r0, v0, row_number() OVER (ORDER BY rank DESC, r0) > {p1:UInt32} AS is_other
        FROM (
        SELECT user_id AS r0, sum(total_cost) AS v0, sum(total_cost) AS rank
        FROM spend FINAL
        WHERE project_id = {project_id:String}
          AND bucket_start >= toDateTime({p2:Int64}, 'UTC')
          AND bucket_start < toDateTime({p3:Int64}, 'UTC')
        GROUP BY r0
        HAVING (sum(observation_count) != 0 OR sum(total_cost) != 0)
        )
        )
        GROUP BY d0, is_other
        ORDER BY m0 DESC, d0, is_other
        LIMIT {p4:UInt32}
        """,
        {"project_id": "acme", "p1": 3, "p2": 0, "p3": 1, "p4": 9},
    ),
    (
        Aggregate("acme", "observations", 1, 2, ("t_user_id",), ("count(1)",), None, ("traces",),
            (), (("m0", True),), 5,
            of_traces=(Condition(Column("user_id", Kind.TEXT), "in", ("u1", NASTY)),)),
        """
        SELECT t_user_id AS d0, count(1) AS m0
        FROM observations_slim FINAL
        SEMI LEFT JOIN (
          SELECT reinterpretAsUInt128(sipHash128(id)) AS t_hash, name AS t_name,
            user_id AS t_user_id, session_id AS t_session_id,
            release AS t_release, version AS t_version, tags AS t_tags
          FROM traces FINAL
          WHERE project_id = {project_id:String}
          AND user_id IN {p1:Array(String)}
        ) AS t ON trace_hash = t_hash
        WHERE project_id = {project_id:String}
          AND start_time >= fromUnixTimestamp64Micro({p2:Int64}, 'UTC')
          AND start_time < fromUnixTimestamp64Micro({p3:Int64}, 'UTC')
        GROUP BY d0
        ORDER BY m0 DESC, d0
        LIMIT {p4:UInt32}
        """,
        {"project_id": "acme", "p1": ["u1", NASTY], "p2": 1, "p3": 2, "p4": 5},
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
    (
        Aggregate("acme", "observations", 1, 2, ("model",), ("count()", "sum(usage[$0$])"),
            None, (), (), (("m1", True),), 3, keys=("input",), is_never_empty=True,
            after=After(0.5, "Float64", ("m",))),
        """
        SELECT model AS d0, count() AS m0, sum(usage[{p1:Array(String)}[1]]) AS m1
        FROM observations_slim FINAL
        WHERE project_id = {project_id:String}
          AND start_time >= fromUnixTimestamp64Micro({p2:Int64}, 'UTC')
          AND start_time < fromUnixTimestamp64Micro({p3:Int64}, 'UTC')
        GROUP BY d0
        HAVING count() > 0 AND (m1 < reinterpretAsFloat64({p5:Int64}) OR isNull(m1)
          OR (m1 = reinterpretAsFloat64({p5:Int64}) AND tuple(d0) > tuple({p4:String})))
        ORDER BY m1 DESC, d0
        LIMIT {p6:UInt32}
        """,
        {
            "project_id": "acme", "p1": ["input"], "p2": 1, "p3": 2, "p4": "m",
            "p5": 4602678819172646912, "p6": 3,
        },
    ),
    (
        Aggregate("acme", "spend", 0, 10**9, ("user_id",), ("sum(total_cost)",), None, (), (),
            (("m0", True),), 3, top=Ranking(2, "sum(total_cost)")),
        """
        SELECT tuple(user_id) NOT IN (
        SELECT tuple(r0) FROM (
        SELECT user_id AS r0, sum(total_cost) AS rank
        FROM spend FINAL
        WHERE project_id = {project_id:String}
          AND bucket_start >= toDateTime({p1:Int64}, 'UTC')
          AND bucket_start < toDateTime({p2:Int64}, 'UTC')
        GROUP BY r0
        HAVING (sum(observation_count) != 0 OR sum(total_cost) != 0)
        ORDER BY rank DESC, r0
        LIMIT {p3:UInt32}
        )
        ) AS is_other,
          if(is_other, '', toString(user_id)) AS d0, sum(total_cost) AS m0
        FROM spend FINAL
        WHERE project_id = {project_id:String}
          AND bucket_start >= toDateTime({p4:Int64}, 'UTC')
          AND bucket_start < toDateTime({p5:Int64}, 'UTC')
        GROUP BY d0, is_other
        HAVING (sum(observation_count) != 0 OR sum(total_cost) != 0)
        ORDER BY m0 DESC, d0, is_other
        LIMIT {p6:UInt32}
        """,
        {"project_id": "acme", "p1": 0, "p2": 1000, "p3": 2, "p4": 0, "p5": 1000, "p6": 3},
    ),
    (
        Aggregate("acme", "spend", 0, 10**9, ("user_id",), ("sum(total_cost)",), limit=3,
            of_page=Aggregate("acme", "spend", 10**9, 2 * 10**9, ("user_id",),
                ("sum(total_cost)",), order=(("m0", True),), limit=2)),
        """
        SELECT user_id AS d0, sum(total_cost) AS m0
        FROM spend FINAL
        WHERE project_id = {project_id:String}
          AND bucket_start >= toDateTime({p1:Int64}, 'UTC')
          AND bucket_start < toDateTime({p2:Int64}, 'UTC')
        GROUP BY d0
        HAVING (sum(observation_count) != 0 OR sum(total_cost) != 0) AND tuple(d0) IN (
        SELECT tuple(d0) FROM (
        SELECT user_id AS d0, sum(total_cost) AS m0
        FROM spend FINAL
        WHERE project_id = {project_id:String}
          AND bucket_start >= toDateTime({p3:Int64}, 'UTC')
          AND bucket_start < toDateTime({p4:Int64}, 'UTC')
        GROUP BY d0
        HAVING (sum(observation_count) != 0 OR sum(total_cost) != 0)
        ORDER BY m0 DESC, d0
        LIMIT {p5:UInt32}
        )
        )
        ORDER BY d0
        LIMIT {p6:UInt32}
        """,
        {"project_id": "acme", "p1": 0, "p2": 1000, "p3": 1000, "p4": 2000, "p5": 2, "p6": 3},
    ),
    (
        FindSummaries("acme"),
        """
        SELECT 1 AS found FROM traces
        WHERE project_id = {project_id:String} AND notEmpty(summaries)
        LIMIT 1
        """,
        {"project_id": "acme"},
    ),
]  # fmt: skip
