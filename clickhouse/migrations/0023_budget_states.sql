-- Why: the current state of each budget, limit, period and group. The decision about a call and the
-- status of a budget read it; the spend of a group with many cells is not added up for each request.
CREATE TABLE IF NOT EXISTS $database.budget_states
(
    project_id LowCardinality(String),
    budget_id String,
    limit_name LowCardinality(String),
    period LowCardinality(String),
    period_start_us Int64 EPHEMERAL,
    period_start_time DateTime64(6, 'UTC') DEFAULT fromUnixTimestamp64Micro(period_start_us, 'UTC'),
    period_end_us Int64 EPHEMERAL,
    period_end_time DateTime64(6, 'UTC') DEFAULT fromUnixTimestamp64Micro(period_end_us, 'UTC'),
    group String,
    tier LowCardinality(String),
    spent_pico Int64 EPHEMERAL,
    spent Decimal(38, 12) DEFAULT toDecimal128(spent_pico, 12) / 1000000000000,
    limit_pico Int64 EPHEMERAL,
    limit_usd Decimal(38, 12) DEFAULT toDecimal128(limit_pico, 12) / 1000000000000,
    crossed Array(String),
    incomplete UInt8,
    trace_id String,
    evaluation String,
    input_offset Int64,
    updated_us Int64 EPHEMERAL,
    updated_time DateTime64(6, 'UTC') DEFAULT fromUnixTimestamp64Micro(updated_us, 'UTC'),
    row_version UInt64,
    inserted_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(row_version)
ORDER BY (project_id, budget_id, limit_name, period_start_time, group);
