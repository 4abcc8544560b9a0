"""The SQL of queries of documents, scores and prompts."""

from query_api.store.queries.documents import (
    CountDocuments,
    DocumentConditions,
    FindDocuments,
)
from query_api.store.queries.experiments import MeanScores
from query_api.store.queries.prompt_usage import FindPromptScores, FindPromptUsage
from tests.query_api.golden_sql.example import NASTY, Example

DOCUMENTS: list[Example] = [
    (
        MeanScores("acme", ("t1",)),
        """
        SELECT trace_id, name AS score_name, avg(assumeNotNull(value)) AS value
        FROM scores FINAL
        WHERE project_id = {project_id:String}
          AND trace_id IN {p1:Array(String)}
          AND data_type IN ('NUMERIC', 'BOOLEAN') AND isNotNull(scores.value)
        GROUP BY trace_id, score_name
        """,
        {"project_id": "acme", "p1": ["t1"]},
    ),
    (
        FindDocuments("acme", DocumentConditions(kind="note", parent=NASTY, name="n"), 20, 10,
            unless=("a'b",)),
        """
        SELECT project_id, kind, id, revision, is_deleted, parent, name, status, subject,
            created_us, updated_us, body
        FROM documents FINAL
        WHERE project_id = {project_id:String}
          AND kind = {p1:String}
          AND parent = {p2:String}
          AND id NOT IN (unhex('612762'))
          AND version = 0
          AND is_deleted = 0
          AND name = {p3:String}
        ORDER BY created_us DESC, id DESC
        LIMIT {p4:UInt64} OFFSET {p5:UInt64}
        """,
        {"project_id": "acme", "p1": "note", "p2": NASTY, "p3": "n", "p4": 10, "p5": 20},
    ),
    (
        CountDocuments("acme", DocumentConditions(kind="note", id="x", as_of_us=5)),
        """
        SELECT count() AS count
        FROM (SELECT * FROM documents FINAL
            WHERE project_id = {project_id:String}
              AND kind = {p1:String}
              AND id = {p2:String}
              AND version > 0
              AND updated_us <= {p3:Int64}
            ORDER BY version DESC LIMIT 1 BY id)
        WHERE is_deleted = 0
        """,
        {"project_id": "acme", "p1": "note", "p2": "x", "p3": 5},
    ),
    (
        FindPromptUsage("acme", NASTY, (1, 2), 5, 9),
        """
        WITH
          toInt256(toInt128(total_cost * 1000000000000)) AS pico,
          cost_source NOT IN ('none', 'unpriced') OR total_cost != 0 AS is_priced,
          toInt256(toUnixTimestamp64Micro(end_time) - toUnixTimestamp64Micro(start_time))
              AS latency_us,
          end_time >= start_time AS is_ended
        SELECT prompt_version AS version,
          count() AS calls,
          countIf(level = 'ERROR') AS errors,
          countIf(is_priced) AS priced,
          toString(sumIf(pico, is_priced)) AS cost_sum,
          toString(sumIf(pico * pico, is_priced)) AS cost_squares,
          countIf(is_ended) AS ended,
          toString(sumIf(latency_us, is_ended)) AS latency_sum,
          toString(sumIf(latency_us * latency_us, is_ended)) AS latency_squares,
          quantilesExactIf(0.499999999, 0.949999999, 0.989999999)(toInt64(latency_us), is_ended)
              AS latency_quantiles_us,
          sumMap(mapApply((k, v) -> (k, toInt128(v)), usage)) AS tokens
        FROM observations_slim FINAL
        WHERE project_id = {project_id:String}
          AND start_time >= fromUnixTimestamp64Micro({p1:Int64}, 'UTC')
          AND start_time < fromUnixTimestamp64Micro({p2:Int64}, 'UTC')
          AND prompt_name = {p3:String}
          AND prompt_version IN {p4:Array(Int32)}
        GROUP BY prompt_version
        """,
        {"project_id": "acme", "p1": 5, "p2": 9, "p3": NASTY, "p4": [1, 2]},
    ),
    (
        FindPromptScores("acme", NASTY, (1, 2), 5, 9),
        """
        SELECT version, name, data_type,
          length(sorted) AS count,
          countEqual(arrayMap(x -> x != 0, sorted), 1) AS hits,
          arraySum(sorted) / count AS mean,
          if(count > 1, arraySum(x -> (x - mean) * (x - mean), sorted) / (count - 1), 0)
              AS variance
        FROM (
        SELECT version, name, data_type,
          arraySort(groupArray(assumeNotNull(value))) AS sorted
        FROM (
        SELECT trace_id, observation_id, name, data_type, value
        FROM scores FINAL
        WHERE project_id = {project_id:String}
          AND trace_id IN (
        SELECT trace_id
        FROM observations_slim FINAL
        WHERE project_id = {project_id:String}
          AND start_time >= fromUnixTimestamp64Micro({p1:Int64}, 'UTC')
          AND start_time < fromUnixTimestamp64Micro({p2:Int64}, 'UTC')
          AND prompt_name = {p3:String}
          AND prompt_version IN {p4:Array(Int32)}
        )
          AND data_type IN ('NUMERIC', 'BOOLEAN') AND isNotNull(value)
        ) AS given
        INNER JOIN (
        SELECT trace_id, target.1 AS observation_id, target.2 AS version
        FROM (
        SELECT trace_id, groupArray((id, prompt_version)) AS calls,
          uniqExact(prompt_version) AS different
        FROM observations_slim FINAL
        WHERE project_id = {project_id:String}
          AND start_time >= fromUnixTimestamp64Micro({p1:Int64}, 'UTC')
          AND start_time < fromUnixTimestamp64Micro({p2:Int64}, 'UTC')
          AND prompt_name = {p3:String}
          AND prompt_version IN {p4:Array(Int32)}
        GROUP BY trace_id
        )
        ARRAY JOIN arrayConcat(calls, if(different = 1, [('', calls[1].2)], [])) AS target
        ) AS targets USING (trace_id, observation_id)
        GROUP BY version, name, data_type
        )
        ORDER BY name, data_type, version
        """,
        {"project_id": "acme", "p1": 5, "p2": 9, "p3": NASTY, "p4": [1, 2]},
    ),
]  # fmt: skip
