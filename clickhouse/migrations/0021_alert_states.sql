-- Why: the current state of each alert rule and group. Lists of firing alerts read it; the events in
-- the table alerts are the history.
CREATE TABLE IF NOT EXISTS $database.alert_states
(
    project_id LowCardinality(String),
    rule_id String,
    group String,
    state LowCardinality(String),
    is_deleted UInt8 DEFAULT 0,
    rule_version UInt32,
    severity LowCardinality(String),
    labels Map(String, String),
    episode_id String,
    sequence UInt32,
    started_us Int64 EPHEMERAL,
    started_time DateTime64(6, 'UTC') DEFAULT fromUnixTimestamp64Micro(started_us, 'UTC'),
    since_us Int64 EPHEMERAL,
    since_time DateTime64(6, 'UTC') DEFAULT fromUnixTimestamp64Micro(since_us, 'UTC'),
    value Nullable(Decimal(38, 12)),
    threshold Nullable(Decimal(38, 12)),
    window_start_us Int64 EPHEMERAL,
    window_start_time DateTime64(6, 'UTC') DEFAULT fromUnixTimestamp64Micro(window_start_us, 'UTC'),
    window_end_us Int64 EPHEMERAL,
    window_end_time DateTime64(6, 'UTC') DEFAULT fromUnixTimestamp64Micro(window_end_us, 'UTC'),
    silenced UInt8,
    suppressed_by String,
    acknowledged_by String,
    exemplars Array(String),
    incomplete UInt8,
    complete_since_us Int64 EPHEMERAL,
    complete_since_time DateTime64(6, 'UTC') DEFAULT fromUnixTimestamp64Micro(complete_since_us, 'UTC'),
    reason String,
    notified_us Int64 EPHEMERAL,
    notified_time DateTime64(6, 'UTC') DEFAULT fromUnixTimestamp64Micro(notified_us, 'UTC'),
    input_offset Int64,
    updated_us Int64 EPHEMERAL,
    updated_time DateTime64(6, 'UTC') DEFAULT fromUnixTimestamp64Micro(updated_us, 'UTC'),
    row_version UInt64,
    inserted_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(row_version, is_deleted)
ORDER BY (project_id, rule_id, group);
