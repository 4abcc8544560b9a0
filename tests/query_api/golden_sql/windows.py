"""The SQL of queries of windows and spend."""

from query_api.store.conditions import Condition
from query_api.store.levels import FindStale, Levels
from query_api.store.queries.spend import SpendOverPeriod, SumSpend, UnpricedByGroup
from query_api.store.queries.usual_spend import ReadUsualSpend
from query_api.store.queries.windows import WINDOW_COLUMNS, ReadWindows
from query_api.store.steps import Runs
from tests.query_api.golden_sql.example import NASTY, Example

WINDOWS: list[Example] = [
    (
        ReadWindows("acme", 60, 120, Runs(3600, (0, 5400), (0, 9000)), ("model",),
            (Condition(WINDOW_COLUMNS["name"], "in", ("n",)),), 9),
        """
        WITH toInt64(toUnixTimestamp(window_start)) AS at_s,
          roundDown(at_s, {p1:Array(Int64)}) AS begin_s
        SELECT least(begin_s + intDiv(at_s - begin_s, {p3:Int64}) * {p3:Int64},
            transform(begin_s, {p1:Array(Int64)}, {p2:Array(Int64)})) AS start_s, model,
          sum(observation_count) AS count,
          sum(error_count) AS errors,
          sumMap(error_types) AS error_types,
          toString(sum(total_cost)) AS cost_usd,
          sum(unpriced_count) AS unpriced,
          sumMap(mapApply((k, v) -> (k, toInt128(v)), usage)) AS tokens,
          CAST(tuple((arrayMap(q -> round(q / 1000, 3),
            arrayMap(q -> if(q > 9e14, nan, q),
              arrayReduce('quantilesDDMerge(0.01, 0.499999999, 0.899999999, 0.949999999,
                0.989999999)', [quantilesDDMergeState(0.01, 0.5, 0.95, 0.99)(latency_state),
              initializeAggregation('quantilesDDState(0.01, 0.5, 0.95, 0.99)', 1e15)])))
            AS latency)[1],
            latency[2], latency[3], latency[4]),
            'Tuple(p50 Float64, p90 Float64, p95 Float64, p99 Float64)') AS latency_ms,
          CAST(tuple((arrayMap(q -> round(q / 1000, 3),
            arrayMap(q -> if(q > 9e14, nan, q),
              arrayReduce('quantilesDDMerge(0.01, 0.499999999, 0.899999999, 0.949999999,
                0.989999999)', [quantilesDDMergeState(0.01, 0.5, 0.95, 0.99)(ttft_state),
              initializeAggregation('quantilesDDState(0.01, 0.5, 0.95, 0.99)', 1e15)])))
            AS ttft)[1],
            ttft[2], ttft[3], ttft[4]),
            'Tuple(p50 Float64, p90 Float64, p95 Float64, p99 Float64)') AS ttft_ms,
          CAST(tuple((arrayMap(q -> round(q / 1000, 3),
            arrayMap(q -> if(q > 9e14, nan, q),
              arrayReduce('quantilesDDMerge(0.01, 0.499999999, 0.899999999, 0.949999999,
                0.989999999)', [quantilesDDMergeState(0.01, 0.5, 0.95, 0.99)(rate_state),
              initializeAggregation('quantilesDDState(0.01, 0.5, 0.95, 0.99)', 1e15)])))
            AS rate)[1],
            rate[2], rate[3], rate[4]),
            'Tuple(p50 Float64, p90 Float64, p95 Float64, p99 Float64)') AS output_tokens_per_s,
          sum(cache_exact_count) AS cache_exact,
          sum(cache_semantic_count) AS cache_semantic,
          sum(cache_miss_count) AS cache_miss,
          toString(sum(cached_saved)) AS cached_saved_usd,
          toString(sum(app_saved)) AS app_saved_usd
        FROM windows FINAL
        WHERE project_id = {project_id:String}
          AND window_start >= toDateTime({p4:UInt32}, 'UTC')
          AND window_start < toDateTime({p5:UInt32}, 'UTC')
          AND name IN {p6:Array(String)}
        GROUP BY start_s, model
        HAVING sum(observation_count) != 0 OR sum(total_cost) != 0
        ORDER BY start_s, model
        LIMIT {p7:UInt32}
        """,
        {
            "project_id": "acme", "p1": [0, 5400], "p2": [0, 9000], "p3": 3600,
            "p4": 60, "p5": 120, "p6": ["n"], "p7": 9,
        },
    ),
    (
        ReadWindows("acme", 0, 90_000, Runs(86_400, (0,), (86_400,)), ("model",), (), 9,
            Levels((), ((86_400, 90_000),)), ("count", "latency_ms"),
            Levels((), (), ((0, 86_400),))),
        """
        SELECT *
        FROM (
        SELECT toInt64(toUnixTimestamp(window_start)) AS start_s, model,
          sum(observation_count) AS count,
          CAST(tuple((arrayMap(q -> round(q / 1000, 3),
            any(latency_percentiles)) AS latency)[1],
            latency[2], latency[3], latency[4]),
            'Tuple(p50 Float64, p90 Float64, p95 Float64, p99 Float64)') AS latency_ms
        FROM (
        SELECT window_start, model, observation_count, total_cost, latency_percentiles
        FROM windows_daily FINAL
        WHERE project_id = {project_id:String}
          AND cube = 'model_only'
          AND (window_start >= toDateTime({p1:Array(UInt32)}[1], 'UTC')
            AND window_start < toDateTime({p2:Array(UInt32)}[1], 'UTC'))
        )
        GROUP BY start_s, model
        HAVING sum(observation_count) != 0 OR sum(total_cost) != 0
        UNION ALL
        WITH toInt64(toUnixTimestamp(window_start)) AS at_s,
          roundDown(at_s, {p3:Array(Int64)}) AS begin_s
        SELECT least(begin_s + intDiv(at_s - begin_s, {p5:Int64}) * {p5:Int64},
            transform(begin_s, {p3:Array(Int64)}, {p4:Array(Int64)})) AS start_s, model,
          sum(observation_count) AS count,
          CAST(tuple((arrayMap(q -> round(q / 1000, 3),
            arrayMap(q -> if(q > 9e14, nan, q),
              arrayReduce('quantilesDDMerge(0.01, 0.499999999, 0.899999999, 0.949999999,
                0.989999999)', [quantilesDDMergeState(0.01, 0.5, 0.95, 0.99)(latency_state),
              initializeAggregation('quantilesDDState(0.01, 0.5, 0.95, 0.99)', 1e15)])))
            AS latency)[1],
            latency[2], latency[3], latency[4]),
            'Tuple(p50 Float64, p90 Float64, p95 Float64, p99 Float64)') AS latency_ms
        FROM (
        SELECT window_start, model, observation_count, total_cost, latency_state
        FROM windows_hourly FINAL
        WHERE project_id = {project_id:String}
          AND cube = 'model_only'
          AND (window_start >= toDateTime({p6:Array(UInt32)}[1], 'UTC')
            AND window_start < toDateTime({p7:Array(UInt32)}[1], 'UTC'))
        )
        GROUP BY start_s, model
        HAVING sum(observation_count) != 0 OR sum(total_cost) != 0
        )
        ORDER BY start_s, model
        LIMIT {p8:UInt32}
        """,
        {
            "project_id": "acme", "p1": [0], "p2": [86_400], "p3": [0], "p4": [86_400],
            "p5": 86_400, "p6": [86_400], "p7": [90_000], "p8": 9,
        },
    ),
    (
        ReadWindows("acme", 0, 90_060, Runs(86_400, (0,), (86_400,)), ("model",), (), 9,
            Levels(((90_000, 90_060),), (), ((0, 86_400),))),
        """
        WITH toInt64(toUnixTimestamp(window_start)) AS at_s,
          roundDown(at_s, {p1:Array(Int64)}) AS begin_s
        SELECT least(begin_s + intDiv(at_s - begin_s, {p3:Int64}) * {p3:Int64},
            transform(begin_s, {p1:Array(Int64)}, {p2:Array(Int64)})) AS start_s, model,
          sum(observation_count) AS count,
          sum(error_count) AS errors,
          sumMap(error_types) AS error_types,
          toString(sum(total_cost)) AS cost_usd,
          sum(unpriced_count) AS unpriced,
          sumMap(mapApply((k, v) -> (k, toInt128(v)), usage)) AS tokens,
          CAST(tuple((arrayMap(q -> round(q / 1000, 3),
            arrayMap(q -> if(q > 9e14, nan, q),
              arrayReduce('quantilesDDMerge(0.01, 0.499999999, 0.899999999, 0.949999999,
                0.989999999)', [quantilesDDMergeState(0.01, 0.5, 0.95, 0.99)(latency_state),
              initializeAggregation('quantilesDDState(0.01, 0.5, 0.95, 0.99)', 1e15)])))
            AS latency)[1],
            latency[2], latency[3], latency[4]),
            'Tuple(p50 Float64, p90 Float64, p95 Float64, p99 Float64)') AS latency_ms,
          CAST(tuple((arrayMap(q -> round(q / 1000, 3),
            arrayMap(q -> if(q > 9e14, nan, q),
              arrayReduce('quantilesDDMerge(0.01, 0.499999999, 0.899999999, 0.949999999,
                0.989999999)', [quantilesDDMergeState(0.01, 0.5, 0.95, 0.99)(ttft_state),
              initializeAggregation('quantilesDDState(0.01, 0.5, 0.95, 0.99)', 1e15)])))
            AS ttft)[1],
            ttft[2], ttft[3], ttft[4]),
            'Tuple(p50 Float64, p90 Float64, p95 Float64, p99 Float64)') AS ttft_ms,
          CAST(tuple((arrayMap(q -> round(q / 1000, 3),
            arrayMap(q -> if(q > 9e14, nan, q),
              arrayReduce('quantilesDDMerge(0.01, 0.499999999, 0.899999999, 0.949999999,
                0.989999999)', [quantilesDDMergeState(0.01, 0.5, 0.95, 0.99)(rate_state),
              initializeAggregation('quantilesDDState(0.01, 0.5, 0.95, 0.99)', 1e15)])))
            AS rate)[1],
            rate[2], rate[3], rate[4]),
            'Tuple(p50 Float64, p90 Float64, p95 Float64, p99 Float64)') AS output_tokens_per_s,
          sum(cache_exact_count) AS cache_exact,
          sum(cache_semantic_count) AS cache_semantic,
          sum(cache_miss_count) AS cache_miss,
          toString(sum(cached_saved)) AS cached_saved_usd,
          toString(sum(app_saved)) AS app_saved_usd
        FROM (
        SELECT window_start, model, observation_count, total_cost, error_count,
            mapApply((k, v) -> (k, toInt128(v)), error_types) AS error_types, unpriced_count,
            mapApply((k, v) -> (k, toInt128(v)), usage) AS usage,
            latency_state, ttft_state, rate_state,
            cache_exact_count, cache_semantic_count, cache_miss_count, cached_saved, app_saved
        FROM windows FINAL
        WHERE project_id = {project_id:String}
          AND (window_start >= toDateTime({p4:Array(UInt32)}[1], 'UTC')
            AND window_start < toDateTime({p5:Array(UInt32)}[1], 'UTC'))
        UNION ALL
        SELECT window_start, model, observation_count, total_cost, error_count,
            mapApply((k, v) -> (k, toInt128(v)), error_types) AS error_types, unpriced_count,
            mapApply((k, v) -> (k, toInt128(v)), usage) AS usage,
            latency_state, ttft_state, rate_state,
            cache_exact_count, cache_semantic_count, cache_miss_count, cached_saved, app_saved
        FROM windows_daily FINAL
        WHERE project_id = {project_id:String}
          AND cube = 'model_only'
          AND (window_start >= toDateTime({p6:Array(UInt32)}[1], 'UTC')
            AND window_start < toDateTime({p7:Array(UInt32)}[1], 'UTC'))
        )
        GROUP BY start_s, model
        HAVING sum(observation_count) != 0 OR sum(total_cost) != 0
        ORDER BY start_s, model
        LIMIT {p8:UInt32}
        """,
        {
            "project_id": "acme", "p1": [0], "p2": [86_400], "p3": 86_400,
            "p4": [90_000], "p5": [90_060], "p6": [0], "p7": [86_400], "p8": 9,
        },
    ),
    (
        FindStale("acme", 0, 90_000),
        """
        SELECT toInt64(toUnixTimestamp(toStartOfDay(hour_start))) AS day_s,
          toBool(max(changed) > max(day_covered)) AS is_stale,
          groupArrayIf(toInt64(toUnixTimestamp(hour_start)), changed > covered) AS stale_hours
        FROM (
          SELECT hour_start, max(changed_at) AS changed, max(covered_at) AS covered,
            max(day_covered_at) AS day_covered
          FROM window_rollups
          WHERE project_id = {project_id:String}
            AND hour_start >= toDateTime({p1:UInt32}, 'UTC')
            AND hour_start < toDateTime({p2:UInt32}, 'UTC')
          GROUP BY hour_start
        )
        GROUP BY day_s
        HAVING is_stale OR notEmpty(stale_hours)
        """,
        {"project_id": "acme", "p1": 0, "p2": 90_000},
    ),
    (
        SumSpend("acme", 900, 1800, (("environment", "e"), ("tags", "vip"), ("user_id", NASTY))),
        """
        SELECT toString(sum(total_cost)) AS spent,
          toInt64(sum(unpriced_count)) AS unpriced
        FROM spend FINAL
        WHERE project_id = {project_id:String}
          AND bucket_start >= toDateTime({p4:Int64}, 'UTC')
          AND bucket_start < toDateTime({p5:Int64}, 'UTC')
          AND environment = {p1:String}
          AND has(JSONExtract(tags, 'Array(String)'), {p2:String})
          AND user_id = {p3:String}
        """,
        {"project_id": "acme", "p1": "e", "p2": "vip", "p3": NASTY, "p4": 900, "p5": 1800},
    ),
    (
        SpendOverPeriod("acme", 900, 9000, 1800, (("tags", "vip"),), (("user_id", NASTY),)),
        """
        SELECT intDiv(toInt64(toUnixTimestamp(bucket_start)) - {p1:Int64}, {p2:Int64}) AS step,
          toString(sum(total_cost)) AS spent
        FROM spend FINAL
        WHERE project_id = {project_id:String}
          AND bucket_start >= toDateTime({p1:Int64}, 'UTC')
          AND bucket_start < toDateTime({p5:Int64}, 'UTC')
          AND has(JSONExtract(tags, 'Array(String)'), {p3:String})
          AND user_id = {p4:String}
        GROUP BY step
        ORDER BY step
        """,
        {"project_id": "acme", "p1": 900, "p2": 1800, "p3": "vip", "p4": NASTY, "p5": 9000},
    ),
    (
        UnpricedByGroup("acme", 900, 1800, ("model", "user_id"), (("tags", "vip"),), 7),
        """
        SELECT [model, user_id] AS group, toInt64(sum(unpriced_count)) AS unpriced
        FROM spend FINAL
        WHERE project_id = {project_id:String}
          AND bucket_start >= toDateTime({p2:Int64}, 'UTC')
          AND bucket_start < toDateTime({p3:Int64}, 'UTC')
          AND has(JSONExtract(tags, 'Array(String)'), {p1:String})
        GROUP BY model, user_id
        HAVING unpriced > 0
        ORDER BY unpriced DESC, model, user_id
        LIMIT {p4:UInt32}
        """,
        {"project_id": "acme", "p1": "vip", "p2": 900, "p3": 1800, "p4": 7},
    ),
    (
        ReadUsualSpend("acme", 10, 20, (("model", NASTY),)),
        """
        SELECT intDiv(toUnixTimestamp(bucket_start), 3600) % 168 AS hour,
          toInt128(sum(total_cost) * 1000000000000) AS spent_pico
        FROM spend FINAL
        WHERE project_id = {project_id:String}
          AND bucket_start >= toDateTime({p2:UInt32}, 'UTC')
          AND bucket_start < toDateTime({p3:UInt32}, 'UTC')
          AND model = {p1:String}
        GROUP BY hour
        """,
        {"project_id": "acme", "p1": NASTY, "p2": 10, "p3": 20},
    ),
]  # fmt: skip
