"""The SQL of every query, so that reviews see changes; it never contains clients' values."""

import inspect
import re
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from query_api.store import queries as package
from query_api.store.columns import OBSERVATION_COLUMNS, SCORE_COLUMNS, TRACE_COLUMNS, TRACE_ORDER
from query_api.store.conditions import Condition
from query_api.store.filters import parse_filter
from query_api.store.levels import FindStale, Levels
from query_api.store.queries import (
    alert_states,
    alerts,
    budget_past,
    budget_states,
    control_versions,
    dead_letters,
    deliveries,
    documents,
    experiments,
    late_events,
    observations,
    prompt_usage,
    rule_panes,
    scores,
    spend,
    totals,
    traces,
    unpriced,
    usual_spend,
    windows,
)
from query_api.store.queries.alert_states import FindAlertStates
from query_api.store.queries.alerts import CrossedThresholds, FindAlerts
from query_api.store.queries.budget_past import CountSpendGroups, ReadBudgetSpend
from query_api.store.queries.budget_states import CountGroups, FindGroups
from query_api.store.queries.control_versions import FindVersions
from query_api.store.queries.dead_letters import FindDeadLetters
from query_api.store.queries.deliveries import FindAttempts, FindDeliveries
from query_api.store.queries.documents import (
    CountDocuments,
    DocumentConditions,
    FindDocuments,
    FindDocumentsById,
)
from query_api.store.queries.experiments import MeanScores
from query_api.store.queries.late_events import FindLateEvents
from query_api.store.queries.observations import (
    CountObservations,
    FindObservations,
    ListObservationIds,
    Position,
    ReadObservations,
)
from query_api.store.queries.prompt_usage import FindPromptScores, FindPromptUsage
from query_api.store.queries.rule_panes import ReadRulePanes
from query_api.store.queries.scores import CountScores, FindScores, ListScoreIds
from query_api.store.queries.spend import SumSpend
from query_api.store.queries.totals import SpendByModel, SumTraces
from query_api.store.queries.traces import CountTraces, FindTraces, ReadTraces
from query_api.store.queries.unpriced import FindUnpriced
from query_api.store.queries.usual_spend import ReadUsualSpend
from query_api.store.queries.windows import WINDOW_COLUMNS, ReadWindows
from query_api.store.rows import (
    ALERT_STATE_WHOLE,
    OBSERVATION_NUMBERS,
    OBSERVATION_WHOLE,
    TRACE_CONTEXT,
)
from query_api.store.sql import StoreQuery
from query_api.store.steps import Runs

MODULES = (
    alerts,
    budget_past,
    budget_states,
    alert_states,
    control_versions,
    dead_letters,
    deliveries,
    documents,
    experiments,
    late_events,
    observations,
    prompt_usage,
    rule_panes,
    scores,
    spend,
    totals,
    traces,
    unpriced,
    usual_spend,
    windows,
)
QUERIES = [
    kind
    for module in MODULES
    for _, kind in inspect.getmembers(module, inspect.isclass)
    if issubclass(kind, StoreQuery) and kind is not StoreQuery
]
NASTY = "x' OR project_id != '' --\\"


def condition(name: str, operator: str, value: object = None, key: str = "") -> Condition:
    return Condition(OBSERVATION_COLUMNS[name], operator, value, key)  # type: ignore[arg-type]


def of_trace(name: str, operator: str, value: object = None) -> Condition:
    return Condition(TRACE_COLUMNS[name], operator, value)  # type: ignore[arg-type]


EXAMPLES: list[tuple[StoreQuery, str, dict[str, object]]] = [
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
          quantilesDDMerge(0.01, 0.5, 0.9, 0.95, 0.99)(latency_state) AS latency_us,
          quantilesDDMerge(0.01, 0.5, 0.9, 0.95, 0.99)(ttft_state) AS ttft_us,
          quantilesDDMerge(0.01, 0.5, 0.9, 0.95, 0.99)(rate_state) AS milli_rate,
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
          quantilesDDMerge(0.01, 0.5, 0.9, 0.95, 0.99)(latency_state) AS latency_us,
          quantilesDDMerge(0.01, 0.5, 0.9, 0.95, 0.99)(ttft_state) AS ttft_us,
          quantilesDDMerge(0.01, 0.5, 0.9, 0.95, 0.99)(rate_state) AS milli_rate,
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
          AND cube = 'model'
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
        SumSpend("acme", 900, 1800, (("environment", "e"), ("tags", "vip"), ("user_id", NASTY))),
        """
        SELECT toString(sum(total_cost)) AS spent
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
        CrossedThresholds("acme", "b1", 77),
        """
        SELECT threshold
        FROM alerts FINAL
        WHERE project_id = {project_id:String}
          AND budget_id = {p1:String}
          AND period_start_time = fromUnixTimestamp64Micro({p2:Int64}, 'UTC')
        """,
        {"project_id": "acme", "p1": "b1", "p2": 77},
    ),
    (
        CountGroups("acme", "b1", "daily", 77),
        """
        SELECT count() AS groups, toString(sum(budget_states.spent)) AS spent,
          max(incomplete) AS incomplete, toUnixTimestamp64Micro(max(updated_time)) AS updated_us
        FROM budget_states FINAL
        WHERE project_id = {project_id:String}
          AND budget_id = {p1:String}
          AND limit_name = {p2:String}
          AND period_start_time = fromUnixTimestamp64Micro({p3:Int64}, 'UTC')
          AND `group` != ''
        """,
        {"project_id": "acme", "p1": "b1", "p2": "daily", "p3": 77},
    ),
    (
        FindGroups("acme", "b1", "", 77, 5, NASTY),
        """
        SELECT `group`, tier, toString(spent) AS spent, toString(limit_usd) AS limit_usd, crossed,
          incomplete, toUnixTimestamp64Micro(updated_time) AS updated_us
        FROM budget_states FINAL
        WHERE project_id = {project_id:String}
          AND budget_id = {p1:String}
          AND limit_name = {p2:String}
          AND period_start_time = fromUnixTimestamp64Micro({p3:Int64}, 'UTC')
          AND `group` != ''
          AND `group` = {p4:String}
        ORDER BY if(budget_states.limit_usd > 0, toFloat64(budget_states.spent)
          / toFloat64(budget_states.limit_usd), 0) DESC, budget_states.spent DESC, `group`
        LIMIT {p5:UInt32}
        """,
        {"project_id": "acme", "p1": "b1", "p2": "", "p3": 77, "p4": NASTY, "p5": 5},
    ),
    (
        FindAlertStates("acme", 3, (5, "AB"), ("firing",), NASTY, "e1"),
        f"""
        SELECT {", ".join(ALERT_STATE_WHOLE)}, hex(sipHash128(rule_id, group)) AS group_key
        FROM alert_states FINAL
        WHERE project_id = {{project_id:String}}
          AND state IN {{p1:Array(String)}}
          AND rule_id = {{p2:String}}
          AND episode_id = {{p3:String}}
          AND (since_time, group_key) <
            (fromUnixTimestamp64Micro({{p4:Int64}}, 'UTC'), {{p5:String}})
        ORDER BY since_time DESC, group_key DESC
        LIMIT {{p6:UInt32}}
        """,
        {
            "project_id": "acme", "p1": ["firing"], "p2": NASTY, "p3": "e1", "p4": 5, "p5": "AB",
            "p6": 3,
        },
    ),
    (
        CountSpendGroups("acme", 10, 20, (("model", NASTY),), ("user_id",)),
        """
        SELECT uniqExact(user_id) AS groups
        FROM spend FINAL
        WHERE project_id = {project_id:String}
          AND bucket_start >= toDateTime({p2:UInt32}, 'UTC')
          AND bucket_start < toDateTime({p3:UInt32}, 'UTC')
          AND model = {p1:String}
          AND total_cost != 0
        """,
        {"project_id": "acme", "p1": NASTY, "p2": 10, "p3": 20},
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
    (
        ReadBudgetSpend("acme", 10, 20, (("model", NASTY),), ("user_id",), 11, 21, 5, True,
            False, 9),
        """
        SELECT toUnixTimestamp(bucket_start) AS start_s,
          [user_id] AS values,
          toString(sum(total_cost)) AS cost_usd,
          anyIf(user_tier, user_tier != '') AS tier
        FROM spend FINAL
        WHERE project_id = {project_id:String}
          AND bucket_start >= toDateTime({p2:UInt32}, 'UTC')
          AND bucket_start < toDateTime({p3:UInt32}, 'UTC')
          AND model = {p1:String}
          AND (user_id) IN (
        SELECT user_id
        FROM spend FINAL
        WHERE project_id = {project_id:String}
          AND bucket_start >= toDateTime({p5:UInt32}, 'UTC')
          AND bucket_start < toDateTime({p6:UInt32}, 'UTC')
          AND model = {p4:String}
        GROUP BY user_id
        ORDER BY sum(total_cost) DESC, user_id
        LIMIT {p7:UInt32})
        GROUP BY bucket_start, user_id
        HAVING sum(total_cost) != 0
        ORDER BY bucket_start, user_id
        LIMIT {p8:UInt32}
        """,
        {
            "project_id": "acme", "p1": NASTY, "p2": 10, "p3": 20, "p4": NASTY, "p5": 11, "p6": 21,
            "p7": 5, "p8": 9,
        },
    ),
    (
        ReadRulePanes("acme", 10, 20, "windows", ("model",), (("model", (NASTY,)),),
            "latency_bins", 9),
        """
        SELECT toUnixTimestamp(window_start) AS start_s,
          map('model', model) AS dimensions,
          sum(observation_count) AS observations,
          sum(error_count) AS errors,
          toString(sum(total_cost)) AS cost_usd,
          sumMap(mapApply((k, v) -> (k, toInt128(v)), usage)) AS usage,
          sumMap(error_types) AS error_types,
          sum(unpriced_count) AS unpriced,
          sum(cache_exact_count) AS cache_exact,
          sum(cache_semantic_count) AS cache_semantic,
          sum(cache_miss_count) AS cache_miss,
          hex(quantilesDDMergeState(0.01, 0.5, 0.95, 0.99)(latency_state)) AS state_hex
        FROM windows FINAL
        WHERE project_id = {project_id:String}
          AND window_start >= toDateTime({p1:UInt32}, 'UTC')
          AND window_start < toDateTime({p2:UInt32}, 'UTC')
          AND model IN {p3:Array(String)}
        GROUP BY window_start, model
        ORDER BY window_start, model
        LIMIT {p4:UInt32}
        """,
        {"project_id": "acme", "p1": 10, "p2": 20, "p3": [NASTY], "p4": 9},
    ),
    (
        FindVersions("acme", "alert_rule", NASTY, 7),
        """
        SELECT record, toUnixTimestamp64Micro(appended_time) AS appended_us
        FROM (
          SELECT *, JSONExtractString(record, 'record', 'project_id') AS project_id
          FROM control_log FINAL
          WHERE kind = {p1:String} AND id = {p2:String}
            AND is_tombstone = 0
        )
        WHERE project_id = {project_id:String}
        ORDER BY appended_time DESC, log_offset DESC
        LIMIT {p3:UInt32}
        """,
        {"project_id": "acme", "p1": "alert_rule", "p2": NASTY, "p3": 7},
    ),
    (
        SpendByModel("acme", "user_id", NASTY, 51),
        """
        SELECT model,
          toString(sum(cost)) AS cost_usd,
          toInt64(sum(inputs)) AS input_tokens,
          toInt64(sum(outputs)) AS output_tokens,
          toInt64(sum(tokens)) AS total_tokens
        FROM (
          SELECT bucket_start, model, total_cost AS cost, input_tokens AS inputs,
            output_tokens AS outputs, total_tokens AS tokens
          FROM spend
          WHERE project_id = {project_id:String} AND user_id = {p1:String}
          ORDER BY row_version DESC
          LIMIT 1 BY bucket_start, user_id, model, environment, session_id, trace_name, tags,
            user_tier, provider, prompt_name, api_key
        )
        GROUP BY model
        HAVING sum(cost) != 0 OR sum(inputs) != 0 OR sum(outputs) != 0 OR sum(tokens) != 0
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
          toUnixTimestamp64Micro(min(start_time)) AS first_us,
          toUnixTimestamp64Micro(max(greatest(start_time, end_time))) AS last_us
        FROM (
          SELECT session_id AS owner, is_deleted, total_cost, observation_count,
            error_count, start_time, end_time
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
          quantilesExactInclusiveIf(0.5, 0.95, 0.99)(toInt64(latency_us), is_ended)
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
    (
        FindDeadLetters("acme", 3, (5, "d1"), "gateway", ""),
        """
        SELECT project_id, id, toUnixTimestamp64Micro(created_time) AS created_us, stage, reason,
            detail, source_topic, payload, row_version
        FROM dead_letters FINAL
        WHERE project_id = {project_id:String}
          AND stage = {p1:String}
          AND created_time <= fromUnixTimestamp64Micro({p2:Int64}, 'UTC')
          AND (created_time, id) < (fromUnixTimestamp64Micro({p2:Int64}, 'UTC'), {p3:String})
        ORDER BY created_time DESC, id DESC
        LIMIT {p4:UInt32}
        """,
        {"project_id": "acme", "p1": "gateway", "p2": 5, "p3": "d1", "p4": 3},
    ),
    (
        FindDeliveries("acme", 3, (5, "d1"), "w1", "a1", "pending"),
        """
        SELECT project_id, delivery_id, attempt, alert_ids, target_kind, target_id, event, status,
            status_code, latency_ms, answer, detail,
            toUnixTimestamp64Micro(created_time) AS created_us,
            toUnixTimestamp64Micro(attempted_time) AS attempted_us,
            toUnixTimestamp64Micro(next_attempt_time) AS next_attempt_us, row_version
        FROM (
        SELECT * FROM delivery_log FINAL
        WHERE project_id = {project_id:String}
          AND target_id = {p1:String}
          AND has(alert_ids, {p2:String})
          AND created_time <= fromUnixTimestamp64Micro({p3:Int64}, 'UTC')
          AND (created_time, delivery_id)
              < (fromUnixTimestamp64Micro({p3:Int64}, 'UTC'), {p4:String})
        ORDER BY delivery_id, attempt DESC LIMIT 1 BY delivery_id
        )
        WHERE status = {p5:String}
        ORDER BY created_time DESC, delivery_id DESC
        LIMIT {p6:UInt32}
        """,
        {
            "project_id": "acme", "p1": "w1", "p2": "a1", "p3": 5, "p4": "d1", "p5": "pending",
            "p6": 3,
        },
    ),
    (
        FindAttempts("acme", "d1"),
        """
        SELECT project_id, delivery_id, attempt, alert_ids, target_kind, target_id, event, status,
            status_code, latency_ms, answer, detail,
            toUnixTimestamp64Micro(created_time) AS created_us,
            toUnixTimestamp64Micro(attempted_time) AS attempted_us,
            toUnixTimestamp64Micro(next_attempt_time) AS next_attempt_us, row_version
        FROM delivery_log FINAL
        WHERE project_id = {project_id:String}
          AND delivery_id = {p1:String}
        ORDER BY attempt
        LIMIT {p2:UInt32}
        """,
        {"project_id": "acme", "p1": "d1", "p2": 100},
    ),
]  # fmt: skip


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: type(example[0]).__name__)
def test_the_sql_of_a_query_is_as_listed_here(
    example: tuple[StoreQuery, str, dict[str, object]],
) -> None:
    query, text, params = example
    sql = query.sql()
    assert set(re.findall(r"\{(\w+):", sql.text)) == set(sql.params)
    assert _in_order(sql.text, sql.params) == _in_order(text, params)


def _in_order(text: str, params: dict[str, object]) -> tuple[str, list[object]]:
    """The text on one line, with its parameters numbered in order, and their values."""
    text = " ".join(text.split())
    names = list(dict.fromkeys(re.findall(r"\{(\w+):", text)))
    for number, name in enumerate(names):
        text = text.replace(f"{{{name}:", f"{{#{number}:")
    return text, [params[name] for name in names]


@pytest.mark.parametrize("kind", QUERIES)
def test_no_query_can_omit_its_project(kind: type[StoreQuery]) -> None:
    first = fields(kind)[0]
    assert (first.name, first.default, first.default_factory) == ("project_id", MISSING, MISSING)
    others = {each.name: 1 for each in fields(kind)[1:] if each.default is MISSING}
    with pytest.raises(TypeError):
        kind(**others)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="project"):
        kind("", **others)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", QUERIES)
def test_every_table_a_query_reads_is_restricted_to_its_project(kind: type[StoreQuery]) -> None:
    others = {each.name: 1 for each in fields(kind)[1:] if each.default is MISSING}
    if "conditions" in {each.name for each in fields(kind)} and kind is not ReadWindows:
        others["conditions"] = (condition("userId", "eq", "u"),)  # type: ignore[assignment]
    if "runs" in {each.name for each in fields(kind)}:
        others["runs"] = Runs(60, (0,), (0,))  # type: ignore[assignment]
    if "where" in others:
        others["where"] = DocumentConditions(kind="note", as_of_us=5)  # type: ignore[assignment]
    if kind is FindDocumentsById:
        others["ids"] = ("a",)  # type: ignore[assignment]
    text = kind("acme", **others).sql().text  # type: ignore[arg-type]
    tables = re.findall(r"FROM (\w+)", text)
    assert text.count("project_id = {project_id:String}") == len(tables) >= 1


@pytest.mark.parametrize("columns", [TRACE_COLUMNS, OBSERVATION_COLUMNS, SCORE_COLUMNS])
def test_values_of_clients_are_bound_and_never_written(columns: dict[str, object]) -> None:
    entries = [
        '{"type":"string","column":"name","operator":"=","value":"VALUE"}',
        '{"type":"stringOptions","column":"environment","operator":"none of","value":["VALUE"]}',
        '{"type":"stringObject","column":"metadata","key":"VALUE","operator":"contains","value":"VALUE"}',
    ]
    text = f"[{','.join(entries)}]".replace("VALUE", NASTY.replace("\\", "\\\\"))
    conditions = tuple(each for group in parse_filter(text, columns).values() for each in group)  # type: ignore[arg-type]
    for kind in (
        CountTraces,
        CountObservations,
        CountScores,
        FindScores,
        FindTraces,
        FindObservations,
    ):
        sql = kind("acme", conditions).sql()
        assert NASTY not in sql.text
        assert NASTY in sql.params.values()
        assert [NASTY] in sql.params.values()


def test_every_query_of_the_package_is_tested() -> None:
    assert {kind.__module__.rsplit(".", 1)[-1] for kind in QUERIES} == {
        path.stem for path in Path(package.__path__[0]).glob("*.py") if path.stem != "__init__"
    }
    assert {FindAlerts, ListScoreIds, ReadObservations} <= set(QUERIES)
    assert set(OBSERVATION_NUMBERS) < set(OBSERVATION_WHOLE)
