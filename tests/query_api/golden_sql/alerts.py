"""The SQL of queries of alerts, their rules and budgets, and deliveries."""

from query_api.store.queries.alert_states import FindAlertStates
from query_api.store.queries.alerts import CrossedThresholds
from query_api.store.queries.budget_past import CountSpendGroups, ReadBudgetSpend
from query_api.store.queries.budget_states import CountGroups, FindGroups
from query_api.store.queries.control_versions import FindVersions
from query_api.store.queries.dead_letters import FindDeadLetters
from query_api.store.queries.deliveries import FindAttempts, FindDeliveries
from query_api.store.queries.rule_panes import ReadRulePanes
from query_api.store.queries.rule_rows import ReadRuleRows, ReadRuleScores
from query_api.store.rows import (
    ALERT_STATE_WHOLE,
    SCORE_WHOLE,
)
from tests.query_api.golden_sql.example import NASTY, Example

ALERTS: list[Example] = [
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
        ReadRulePanes("acme", 10, 20, "windows", (), (), "", 9, 60),
        """
        SELECT toUnixTimestamp(window_start) - toUnixTimestamp(window_start) % {p1:UInt32}
            AS start_s,
          map() AS dimensions,
          sum(observation_count) AS observations,
          sum(error_count) AS errors,
          toString(sum(total_cost)) AS cost_usd,
          sumMap(mapApply((k, v) -> (k, toInt128(v)), usage)) AS usage,
          sumMap(error_types) AS error_types,
          sum(unpriced_count) AS unpriced,
          sum(cache_exact_count) AS cache_exact,
          sum(cache_semantic_count) AS cache_semantic,
          sum(cache_miss_count) AS cache_miss
        FROM windows FINAL
        WHERE project_id = {project_id:String}
          AND window_start >= toDateTime({p2:UInt32}, 'UTC')
          AND window_start < toDateTime({p3:UInt32}, 'UTC')
        GROUP BY start_s
        ORDER BY start_s
        LIMIT {p4:UInt32}
        """,
        {"project_id": "acme", "p1": 60, "p2": 10, "p3": 20, "p4": 9},
    ),
    (
        ReadRuleRows("acme", 10, 20, "traces", 5, ">=", "2.5",
            (("environment", (NASTY,)), ("tags", ("x",))), (), 9),
        """
        SELECT project_id, id, toUnixTimestamp64Micro(start_time) AS start_us,
          toUnixTimestamp64Micro(end_time) AS end_us, row_version, name, user_id, session_id,
          environment, tags, metadata, toInt64(total_cost * 1000000000000) AS total_cost_pico
        FROM traces FINAL
        WHERE project_id = {project_id:String}
          AND start_time >= fromUnixTimestamp64Micro({p2:Int64}, 'UTC')
          AND start_time < fromUnixTimestamp64Micro({p3:Int64}, 'UTC')
          AND greatest(start_time, end_time) >= fromUnixTimestamp64Micro({p4:Int64}, 'UTC')
          AND greatest(start_time, end_time) < fromUnixTimestamp64Micro({p5:Int64}, 'UTC')
          AND toDecimal256(total_cost, 12) >= toDecimal256({p6:String}, 12)
          AND environment IN {p1:Array(String)}
        ORDER BY greatest(start_time, end_time), id
        LIMIT {p7:UInt32}
        """,
        {
            "project_id": "acme", "p1": [NASTY], "p2": 5, "p3": 20, "p4": 10, "p5": 20,
            "p6": "2.5", "p7": 9,
        },
    ),
    (
        ReadRuleRows("acme", 10, 20, "observations", 5, "<", "7", (), (NASTY,), 9),
        """
        SELECT project_id, trace_id, id, toUnixTimestamp64Micro(start_time) AS start_us,
          toUnixTimestamp64Micro(end_time) AS end_us, row_version, type, name, environment, level,
          model, service_tier, provider, prompt_name, prompt_version, api_key, user_id, session_id,
          usage
        FROM observations FINAL
        WHERE project_id = {project_id:String}
          AND start_time >= fromUnixTimestamp64Micro({p2:Int64}, 'UTC')
          AND start_time < fromUnixTimestamp64Micro({p3:Int64}, 'UTC')
          AND greatest(start_time, end_time) >= fromUnixTimestamp64Micro({p4:Int64}, 'UTC')
          AND greatest(start_time, end_time) < fromUnixTimestamp64Micro({p5:Int64}, 'UTC')
          AND toDecimal256(arraySum(mapValues(mapFilter((k, v) -> has({p1:Array(String)}, k),
            usage))), 12) < toDecimal256({p6:String}, 12)
        ORDER BY greatest(start_time, end_time), id
        LIMIT {p7:UInt32}
        """,
        {
            "project_id": "acme", "p1": [NASTY], "p2": 5, "p3": 20, "p4": 10, "p5": 20,
            "p6": "7", "p7": 9,
        },
    ),
    (
        ReadRuleScores("acme", 10, 20, (("score_name", (NASTY,)), ("score_value", ("1",))), 9),
        f"""
        SELECT {", ".join(SCORE_WHOLE)}
        FROM scores FINAL
        WHERE project_id = {{project_id:String}}
          AND event_time >= fromUnixTimestamp64Micro({{p2:Int64}}, 'UTC')
          AND event_time < fromUnixTimestamp64Micro({{p3:Int64}}, 'UTC')
          AND name IN {{p1:Array(String)}}
        ORDER BY event_time, id
        LIMIT {{p4:UInt32}}
        """,
        {"project_id": "acme", "p1": [NASTY], "p2": 10, "p3": 20, "p4": 9},
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
