-- Why: judgements of traces, observations, sessions and runs; the same id replaces. Read by trace or by time.
CREATE TABLE IF NOT EXISTS $database.scores
(
    project_id LowCardinality(String),
    id String CODEC(ZSTD(1)),
    event_us Int64 EPHEMERAL,
    event_time DateTime64(6, 'UTC') DEFAULT fromUnixTimestamp64Micro(event_us, 'UTC') CODEC(Delta, ZSTD(1)),
    row_version UInt64 CODEC(Delta, ZSTD(1)),
    is_deleted UInt8 DEFAULT 0,
    name LowCardinality(String),
    data_type LowCardinality(String) DEFAULT 'NUMERIC',
    value Nullable(Float64),
    string_value String CODEC(ZSTD(3)),
    trace_id String CODEC(ZSTD(1)),
    observation_id String CODEC(ZSTD(1)),
    session_id String CODEC(ZSTD(1)),
    dataset_run_id String CODEC(ZSTD(1)),
    source LowCardinality(String) DEFAULT 'API',
    environment LowCardinality(String) DEFAULT 'default',
    comment String CODEC(ZSTD(3)),
    metadata String CODEC(ZSTD(3)),
    config_id String CODEC(ZSTD(1)),
    queue_id String CODEC(ZSTD(1)),
    author_user_id String CODEC(ZSTD(1)),
    inserted_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD(1)),
    INDEX trace_id_filter trace_id TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX id_filter id TYPE bloom_filter(0.001) GRANULARITY 1
)
ENGINE = ReplacingMergeTree(row_version, is_deleted)
PARTITION BY toDate(event_time)
ORDER BY (project_id, toDate(event_time), id)
TTL toDate(event_time) + toIntervalDay($hot_days) TO VOLUME 'cold'
SETTINGS
    storage_policy = '$storage_policy',
    min_bytes_for_wide_part = 268435456,
    ttl_only_drop_parts = 1,
    materialize_ttl_recalculate_only = 1;
