-- Why: each attempt to deliver alerts to a webhook or channel, with its result; the attempt with the
-- highest number shows the state of the delivery.
CREATE TABLE IF NOT EXISTS $database.delivery_log
(
    project_id LowCardinality(String),
    delivery_id String,
    attempt UInt32,
    alert_ids Array(String),
    target_kind LowCardinality(String),
    target_id String,
    event LowCardinality(String),
    status LowCardinality(String),
    status_code UInt16,
    latency_ms Float64,
    answer String CODEC(ZSTD(3)),
    detail String CODEC(ZSTD(3)),
    created_us Int64 EPHEMERAL,
    created_time DateTime64(6, 'UTC') DEFAULT fromUnixTimestamp64Micro(created_us, 'UTC'),
    attempted_us Int64 EPHEMERAL,
    attempted_time DateTime64(6, 'UTC') DEFAULT fromUnixTimestamp64Micro(attempted_us, 'UTC'),
    next_attempt_us Int64 EPHEMERAL,
    next_attempt_time DateTime64(6, 'UTC') DEFAULT fromUnixTimestamp64Micro(next_attempt_us, 'UTC'),
    row_version UInt64,
    inserted_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(row_version)
PARTITION BY toYYYYMM(created_time)
ORDER BY (project_id, toDate(created_time), delivery_id, attempt);
