-- Why: budget thresholds that were crossed. The id is the identity (budget, period, threshold), so a crossing seen twice is one row.
CREATE TABLE IF NOT EXISTS $database.alerts
(
    project_id LowCardinality(String),
    id String,
    budget_id String,
    name String,
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
ORDER BY (project_id, id);
