-- Why: what budgets start from: a quarter of an hour (every time zone's day begins on one) of a project by user, model and environment.
CREATE TABLE IF NOT EXISTS $database.spend
(
    project_id LowCardinality(String),
    bucket_s UInt32 EPHEMERAL,
    bucket_start DateTime('UTC') DEFAULT toDateTime(bucket_s, 'UTC') CODEC(Delta, ZSTD(1)),
    user_id String CODEC(ZSTD(1)),
    model LowCardinality(String),
    environment LowCardinality(String),
    row_version UInt64 CODEC(Delta, ZSTD(1)),
    total_cost_pico Int64 EPHEMERAL,
    total_cost Decimal(38, 12) DEFAULT toDecimal128(total_cost_pico, 12) / 1000000000000,
    inserted_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(row_version)
PARTITION BY toYYYYMM(bucket_start)
PRIMARY KEY (project_id, bucket_start)
ORDER BY (project_id, bucket_start, user_id, model, environment);
