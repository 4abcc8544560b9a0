"""The SQL of queries of observations."""

from query_api.store.queries.observations import (
    CountObservations,
    FindObservations,
    ListObservationIds,
    Position,
    ReadObservations,
)
from tests.query_api.golden_sql.example import Example, condition

OBSERVATIONS: list[Example] = [
    (
        CountObservations("acme", (condition("traceName", "eq", "t"),
            condition("traceTags", "has_any", ("a",)), condition("level", "ne", "DEBUG"))),
        """
        SELECT count() AS total
        FROM observations_slim FINAL
        WHERE project_id = {project_id:String}
          AND level != {p1:String}
          AND trace_id IN (SELECT id FROM traces FINAL WHERE project_id = {project_id:String}
            AND name = {p2:String} AND hasAny(tags, {p3:Array(String)}))
        """,
        {"project_id": "acme", "p1": "DEBUG", "p2": "t", "p3": ["a"]},
    ),
    (
        CountObservations("acme", (condition("positionInTrace", "eq", 2, "end"),
            condition("name", "eq", "n"))),
        """
        SELECT count() AS total
        FROM observations_slim FINAL
        WHERE project_id = {project_id:String}
          AND name = {p1:String}
          AND (trace_id, id) IN (
          SELECT trace_id, id FROM observations_slim FINAL
          WHERE project_id = {project_id:String}
            AND trace_id IN (SELECT trace_id FROM observations_slim
                WHERE project_id = {project_id:String}
          AND name = {p2:String})
          ORDER BY trace_id, start_time DESC, id DESC
          LIMIT {p3:UInt32}, 1 BY trace_id
        )
        """,
        {"project_id": "acme", "p1": "n", "p2": "n", "p3": 1},
    ),
    (
        FindObservations("acme", (condition("input", "contains", "x"),), 11,
            below=Position(7, "t", "o"), since_us=3),
        """
        SELECT toUnixTimestamp64Micro(start_time) AS start_us, trace_id, id, row_version
        FROM observations FINAL
        WHERE project_id = {project_id:String}
          AND positionUTF8(input, {p4:String}) > 0
          AND start_time >= fromUnixTimestamp64Micro({p7:Int64}, 'UTC')
          AND start_time <= fromUnixTimestamp64Micro({p1:Int64}, 'UTC')
          AND (start_time, trace_id, id)
            < (fromUnixTimestamp64Micro({p1:Int64}, 'UTC'), {p2:String}, {p3:String})
        ORDER BY start_time DESC, trace_id DESC, id DESC
        LIMIT {p5:UInt32} OFFSET {p6:UInt64}
        """,
        {"project_id": "acme", "p1": 7, "p2": "t", "p3": "o", "p4": "x", "p5": 11, "p6": 0,
            "p7": 3},
    ),
    (
        FindObservations("acme", limit=11, offset=5, order="total_cost", descending=False),
        """
        SELECT toUnixTimestamp64Micro(start_time) AS start_us, trace_id, id, row_version
        FROM observations_slim FINAL
        WHERE project_id = {project_id:String}
        ORDER BY total_cost ASC, start_time ASC, trace_id ASC, id ASC
        LIMIT {p1:UInt32} OFFSET {p2:UInt64}
        """,
        {"project_id": "acme", "p1": 11, "p2": 5},
    ),
    (
        FindObservations("acme", (condition("level", "eq", "ERROR"),), 11, since_us=3,
            merged=False),
        """
        SELECT toUnixTimestamp64Micro(start_time) AS start_us, trace_id, id, row_version
        FROM observations_slim
        WHERE project_id = {project_id:String}
          AND level = {p2:String}
          AND is_deleted = 0
          AND start_time >= fromUnixTimestamp64Micro({p1:Int64}, 'UTC')
        ORDER BY start_time DESC, trace_id DESC, id DESC
        LIMIT {p3:UInt32} OFFSET {p4:UInt64}
        """,
        {"project_id": "acme", "p1": 3, "p2": "ERROR", "p3": 11, "p4": 0},
    ),
    (
        ReadObservations("acme", ("t1",), ("o1",), 1, 2,
            ("trace_id", "id", "is_deleted", "row_version", "input")),
        """
        SELECT trace_id, id, is_deleted, row_version, input
        FROM observations
        WHERE project_id = {project_id:String}
          AND trace_id IN {p1:Array(String)}
          AND id IN {p2:Array(String)}
          AND start_time BETWEEN fromUnixTimestamp64Micro({p3:Int64}, 'UTC')
            AND fromUnixTimestamp64Micro({p4:Int64}, 'UTC')
        ORDER BY row_version DESC, is_deleted
        LIMIT 1 BY trace_id, id
        """,
        {"project_id": "acme", "p1": ["t1"], "p2": ["o1"], "p3": 1, "p4": 2},
    ),
    (
        ReadObservations("acme", ("t1",), columns=("trace_id", "id", "is_deleted", "row_version",
            "name"), first=3),
        """
        SELECT * FROM (
        SELECT trace_id, id, is_deleted, row_version, name
        FROM observations_slim
        WHERE project_id = {project_id:String}
          AND trace_id IN {p1:Array(String)}
        ORDER BY row_version DESC, is_deleted
        LIMIT 1 BY trace_id, id
        )
        WHERE is_deleted = 0
        ORDER BY start_us, id
        LIMIT {p2:UInt32}
        """,
        {"project_id": "acme", "p1": ["t1"], "p2": 3},
    ),
    (
        ListObservationIds("acme", ("t1",), ids_per_trace_max=5),
        """
        SELECT trace_id, arrayMap(pair -> pair.2,
            arraySlice(arraySort(groupArray((start_time, id))), 1, {p1:UInt32})) AS ids
        FROM (
          SELECT trace_id, id, start_time, is_deleted
          FROM observations_slim
          WHERE project_id = {project_id:String}
            AND trace_id IN {p2:Array(String)}
          ORDER BY row_version DESC, is_deleted
          LIMIT 1 BY trace_id, id
        )
        WHERE is_deleted = 0
        GROUP BY trace_id
        """,
        {"project_id": "acme", "p1": 5, "p2": ["t1"]},
    ),
]  # fmt: skip
