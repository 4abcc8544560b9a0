-- Why: budgets are not the only rules that alert. The generic columns describe an alert of any rule; where a record leaves them out, as
-- those from before do, they follow from the columns of budgets, which stay and are filled for budgets alone. clickhouse.alert_rows
-- computes them alike. A default may only use columns that an insert brings, and these are not stored: so the table is replaced as a
-- whole, with the values of its rows. Repeating this changes nothing. Let no sink run meanwhile.
CREATE OR REPLACE TABLE $database.alerts
(
    project_id LowCardinality(String),
    id String,
    event LowCardinality(String) DEFAULT 'budget.threshold_crossed',
    rule_kind LowCardinality(String) DEFAULT 'budget',
    rule_id String DEFAULT budget_id,
    name String,
    labels Map(String, String) DEFAULT if(JSONType(scope) = 'Object', JSONExtract(scope, 'Map(String, String)'), map()),
    episode String DEFAULT concat(budget_id, '/', toString(period_start_us)),
    state LowCardinality(String) DEFAULT 'firing',
    severity LowCardinality(String) DEFAULT if(toFloat64OrZero(threshold) >= 1, 'critical', 'warning'),
    value Nullable(Decimal(38, 12)) DEFAULT if(rule_kind = 'budget', toDecimal128(spent_pico, 12) / 1000000000000, NULL),
    limit_value Nullable(Decimal(38, 12)) DEFAULT if(rule_kind = 'budget', toDecimal128(limit_pico, 12) / 1000000000000, NULL),
    payload String DEFAULT concat(
        '{"scope":', if(JSONType(scope) = 'Object', scope, '{}'), ',"period_start_us":', toString(period_start_us),
        ',"threshold":', toJSONString(threshold), ',"spent_pico":', toString(spent_pico),
        ',"limit_pico":', toString(limit_pico), ',"trace_id":', toJSONString(trace_id), '}'),
    budget_id String,
    scope String,
    period_start_us Int64 EPHEMERAL,
    period_start_time DateTime64(6, 'UTC') DEFAULT fromUnixTimestamp64Micro(period_start_us, 'UTC'),
    threshold String,
    spent_pico Int64 EPHEMERAL,
    spent Decimal(38, 12) DEFAULT toDecimal128(spent_pico, 12) / 1000000000000,
    limit_pico Int64 EPHEMERAL,
    limit_usd Decimal(38, 12) DEFAULT toDecimal128(limit_pico, 12) / 1000000000000,
    trace_id String,
    created_us Int64 EPHEMERAL,
    created_time DateTime64(6, 'UTC') DEFAULT fromUnixTimestamp64Micro(created_us, 'UTC'),
    row_version UInt64,
    inserted_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(row_version)
ORDER BY (project_id, id)
AS SELECT
    project_id, id, 'budget.threshold_crossed' AS event, 'budget' AS rule_kind, budget_id AS rule_id, name,
    if(JSONType(scope) = 'Object', JSONExtract(scope, 'Map(String, String)'), map()) AS labels,
    concat(budget_id, '/', toString(toUnixTimestamp64Micro(period_start_time))) AS episode, 'firing' AS state,
    if(toFloat64OrZero(threshold) >= 1, 'critical', 'warning') AS severity, spent AS value, limit_usd AS limit_value,
    concat(
        '{"scope":', if(JSONType(scope) = 'Object', scope, '{}'),
        ',"period_start_us":', toString(toUnixTimestamp64Micro(period_start_time)),
        ',"threshold":', toJSONString(threshold), ',"spent_pico":', toString(toInt64(spent * 1000000000000)),
        ',"limit_pico":', toString(toInt64(limit_usd * 1000000000000)), ',"trace_id":', toJSONString(trace_id), '}') AS payload,
    budget_id, scope, period_start_time, threshold, spent, limit_usd, trace_id, created_time, row_version, inserted_at
FROM $database.alerts;
