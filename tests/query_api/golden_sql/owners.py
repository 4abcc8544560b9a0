"""The SQL of queries of users and sessions."""

from query_api.store.queries.owners import CountOwners, FindOwners, SumScoresOfOwners
from tests.query_api.golden_sql.example import NASTY, Example, of_trace

OWNERS: list[Example] = [
    (
        FindOwners("acme", "user_id", (of_trace("environment", "eq", "e"),), "cost", True, 20, 40,
            ("1.5", "u"), 5, 9),
        """
        SELECT user_id AS owner_id, sum(total_cost) AS sort_value,
          toString(sort_value) AS sort_text,
          toInt64(count()) AS traces, toString(sum(total_cost)) AS cost_usd,
          sumMap(usage) AS usage_sums,
          toInt64(sum(observation_count)) AS observations,
          toInt64(sum(error_count)) AS errors,
          toInt64(sum(unpriced_count)) AS unpriced,
          toUnixTimestamp64Micro(min(start_time)) AS first_us,
              toUnixTimestamp64Micro(max(greatest(start_time, end_time))) AS last_us,
          arrayMap(us -> us / 1000,
            quantilesExactIf(0.499999999, 0.949999999, 0.999999999)(toUnixTimestamp64Micro(end_time)
              - toUnixTimestamp64Micro(start_time), end_time >= start_time)) AS latencies_ms,
          avgIf(toUnixTimestamp64Micro(end_time) - toUnixTimestamp64Micro(start_time), end_time >=
              start_time) / 1000 AS mean_ms,
          arraySort(groupUniqArray(100)(environment)) AS environments,
          argMin(environment, (start_time, id)) AS first_environment,
          arraySort(groupUniqArrayIf(100)(session_id, session_id != '')) AS others,
          toInt64(uniqExactIf(session_id, session_id != '')) AS other_count
        FROM traces FINAL
        WHERE project_id = {project_id:String} AND user_id != ''
          AND environment = {p5:String}
        GROUP BY user_id
        HAVING first_us >= {p1:Int64} AND first_us < {p2:Int64} AND (sort_value, owner_id) <
            ({p3:Decimal(38, 12)}, {p4:String})
        ORDER BY sort_value DESC, owner_id DESC
        LIMIT {p6:UInt32} OFFSET {p7:UInt64}
        """,
        {"project_id": "acme", "p1": 5, "p2": 9, "p3": "1.5", "p4": "u", "p5": "e", "p6": 20, "p7":
            40},
    ),
    (
        CountOwners("acme", "session_id", (), 5),
        """
        SELECT count() AS total
        FROM (
          SELECT session_id, toUnixTimestamp64Micro(min(start_time)) AS first_us
          FROM traces FINAL
          WHERE project_id = {project_id:String} AND session_id != ''
          GROUP BY session_id
        HAVING first_us >= {p1:Int64}
        )
        """,
        {"project_id": "acme", "p1": 5},
    ),
    (
        SumScoresOfOwners("acme", "session_id", (NASTY,), 7),
        """
        SELECT owner_id, name, toInt64(count()) AS number,
          avgIf(value, data_type IN ('NUMERIC', 'BOOLEAN')) AS mean,
          sumMapIf(map(string_value, toInt64(1)), data_type IN ('CATEGORICAL', 'BOOLEAN')) AS counts
        FROM (
          SELECT owner_id, name, data_type, value, string_value
          FROM (SELECT trace_id, name, data_type, value, string_value FROM scores FINAL WHERE
              project_id = {project_id:String} AND trace_id != '') AS s
          INNER JOIN (SELECT id, session_id AS owner_id FROM traces FINAL WHERE project_id =
              {project_id:String} AND session_id IN {p1:Array(String)}) AS t ON s.trace_id = t.id
          UNION ALL
          SELECT session_id AS owner_id, name, data_type, value, string_value
          FROM scores FINAL
          WHERE project_id = {project_id:String} AND session_id IN {p1:Array(String)}
        )
        WHERE data_type != 'CORRECTION'
        GROUP BY owner_id, name
        ORDER BY owner_id, number DESC, name
        LIMIT {p2:UInt32} BY owner_id
        """,
        {"project_id": "acme", "p1": [NASTY], "p2": 7},
    ),
]  # fmt: skip
