"""The SQL of queries of traces, of what they cost, and of what was late or is unpriced."""

from query_api.store.columns import TRACE_ORDER
from query_api.store.queries.late_events import FindLateEvents
from query_api.store.queries.totals import SpendByModel, SumTraces
from query_api.store.queries.traces import CountTraces, FindTraces, ReadTraces
from query_api.store.queries.unpriced import FindUnpriced
from query_api.store.rows import (
    TRACE_CONTEXT,
)
from tests.query_api.golden_sql.example import NASTY, Example, of_trace

TRACES: list[Example] = [
    (
        CountTraces("acme", (of_trace("userId", "eq", "u1"),
            of_trace("tags", "has_all", ("a", "b")))),
        """
        SELECT count() AS total
        FROM traces FINAL
        WHERE project_id = {project_id:String}
          AND user_id = {p1:String}
          AND hasAll(tags, {p2:Array(String)})
        """,
        {"project_id": "acme", "p1": "u1", "p2": ["a", "b"]},
    ),
    (
        FindTraces("acme", (of_trace("timestamp", "ge", 5),), TRACE_ORDER["name"], False, 10, 20),
        """
        SELECT id
        FROM traces FINAL
        WHERE project_id = {project_id:String}
          AND start_time >= fromUnixTimestamp64Micro({p1:Int64}, 'UTC')
        ORDER BY name ASC, id ASC
        LIMIT {p2:UInt32} OFFSET {p3:UInt64}
        """,
        {"project_id": "acme", "p1": 5, "p2": 10, "p3": 20},
    ),
    (
        ReadTraces("acme", ("t1",), TRACE_CONTEXT),
        """
        SELECT project_id, id, toUnixTimestamp64Micro(start_time) AS start_us, row_version,
            is_deleted, name, user_id, session_id, environment, release, public, tags
        FROM traces
        WHERE project_id = {project_id:String}
          AND id IN {p1:Array(String)}
        ORDER BY row_version DESC, is_deleted
        LIMIT 1 BY id
        """,
        {"project_id": "acme", "p1": ["t1"]},
    ),
    (
        FindLateEvents("acme", 1, 2, 3, 9, (4, NASTY)),
        """
        WITH toInt64(bitShiftRight(row_version, 20)) AS received_ms
        SELECT id, trace_id, type, name, model, environment, toString(total_cost) AS cost_usd,
          toUnixTimestamp64Micro(start_time) AS start_us,
          received_ms * 1000 AS received_us
        FROM observations_slim FINAL
        WHERE project_id = {project_id:String}
          AND start_time >= fromUnixTimestamp64Micro({p3:Int64}, 'UTC')
          AND start_time < fromUnixTimestamp64Micro({p4:Int64}, 'UTC')
          AND start_time <= fromUnixTimestamp64Micro({p1:Int64}, 'UTC')
          AND (start_time, id) < (fromUnixTimestamp64Micro({p1:Int64}, 'UTC'), {p2:String})
          AND received_ms - toUnixTimestamp64Milli(start_time) >= {p5:Int64}
        ORDER BY start_time DESC, id DESC
        LIMIT {p6:UInt32}
        """,
        {
            "project_id": "acme", "p1": 4, "p2": NASTY, "p3": 1, "p4": 2, "p5": 3, "p6": 9,
        },
    ),
    (
        SpendByModel("acme", "user_id", NASTY, 51),
        """
        SELECT model,
          toString(sum(cost)) AS cost_usd,
          toInt64(sum(inputs)) AS input_tokens,
          toInt64(sum(outputs)) AS output_tokens,
          toInt64(sum(tokens)) AS total_tokens,
          toInt64(sum(unpriced_calls)) AS unpriced
        FROM (
          SELECT bucket_start, model, total_cost AS cost, input_tokens AS inputs,
            output_tokens AS outputs, total_tokens AS tokens,
            unpriced_count AS unpriced_calls
          FROM spend
          WHERE project_id = {project_id:String} AND user_id = {p1:String}
          ORDER BY row_version DESC
          LIMIT 1 BY bucket_start, user_id, model, environment, session_id, trace_name, tags,
            user_tier, provider, prompt_name, api_key
        )
        GROUP BY model
        HAVING sum(cost) != 0 OR sum(inputs) != 0 OR sum(outputs) != 0 OR sum(tokens) != 0
          OR sum(unpriced_calls) != 0
        ORDER BY sum(cost) DESC, model
        LIMIT {p2:UInt32}
        """,
        {"project_id": "acme", "p1": NASTY, "p2": 51},
    ),
    (
        SumTraces("acme", "session_id", NASTY),
        """
        SELECT toInt64(count()) AS traces, toString(sum(total_cost)) AS cost_usd,
          toInt64(sum(observation_count)) AS observations,
          toInt64(sum(error_count)) AS errors,
          toInt64(sum(unpriced_count)) AS unpriced,
          toUnixTimestamp64Micro(min(start_time)) AS first_us,
          toUnixTimestamp64Micro(max(greatest(start_time, end_time))) AS last_us
        FROM (
          SELECT session_id AS owner, is_deleted, total_cost, observation_count,
            error_count, unpriced_count, start_time, end_time
          FROM traces
          WHERE project_id = {project_id:String} AND id IN (
            SELECT id FROM traces
            WHERE project_id = {project_id:String} AND session_id = {p1:String}
          )
          ORDER BY row_version DESC, is_deleted
          LIMIT 1 BY id
        )
        WHERE owner = {p1:String} AND is_deleted = 0
        """,
        {"project_id": "acme", "p1": NASTY},
    ),
    (
        FindUnpriced("acme", 5, 9, 51, (12, NASTY)),
        """
        WITH mapFilter((k, v) -> v > 0 AND (k != 'total' OR length(usage) = 1)
            AND (cost_source = 'unpriced' OR has(unpriced_usage, k)), usage) AS missing
        SELECT model,
          count() AS observations,
          countIf(cost_source = 'unpriced') AS unpriced_observations,
          sum(toInt128(arraySum(mapValues(missing)))) AS units,
          sumMap(mapApply((k, v) -> (k, toInt128(v)), missing)) AS unpriced,
          toUnixTimestamp64Micro(min(start_time)) AS first_us,
          toUnixTimestamp64Micro(max(start_time)) AS last_us
        FROM observations_slim FINAL
        WHERE project_id = {project_id:String}
          AND start_time >= fromUnixTimestamp64Micro({p1:Int64}, 'UTC')
          AND start_time < fromUnixTimestamp64Micro({p2:Int64}, 'UTC')
          AND (cost_source = 'unpriced' OR notEmpty(unpriced_usage))
          AND (trace_id, id) NOT IN (
            SELECT id,
                arrayJoin(mapKeys(mapFilter((k, v) -> arraySum(mapValues(v)) = 0, summaries)))
            FROM traces FINAL WHERE project_id = {project_id:String}
              AND start_time >= fromUnixTimestamp64Micro({p6:Int64}, 'UTC')
              AND start_time < fromUnixTimestamp64Micro({p7:Int64}, 'UTC') AND notEmpty(summaries)
          )
        GROUP BY model
        HAVING observations < {p3:UInt64} OR (observations = {p3:UInt64} AND model > {p4:String})
        ORDER BY observations DESC, model
        LIMIT {p5:UInt32}
        """,
        {"project_id": "acme", "p1": 5, "p2": 9, "p3": 12, "p4": NASTY, "p5": 51, "p6": 0, "p7": 9},
    ),
]  # fmt: skip
