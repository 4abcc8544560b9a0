-- Why: one row a trace with the totals of its observations, so that lists of traces need not read observations.
-- The stream writes absolute totals with a version; a trace whose start moved to another day leaves a tombstone under its old key.
CREATE TABLE IF NOT EXISTS $database.traces
(
    project_id LowCardinality(String),
    id String CODEC(ZSTD(1)),
    start_us Int64 EPHEMERAL,
    start_time DateTime64(6, 'UTC') DEFAULT fromUnixTimestamp64Micro(start_us, 'UTC') CODEC(Delta, ZSTD(1)),
    row_version UInt64 CODEC(Delta, ZSTD(1)),
    is_deleted UInt8 DEFAULT 0,
    end_us Int64 EPHEMERAL,
    end_time DateTime64(6, 'UTC') DEFAULT fromUnixTimestamp64Micro(end_us, 'UTC') CODEC(Delta, ZSTD(1)),
    name LowCardinality(String),
    user_id String CODEC(ZSTD(1)),
    session_id String CODEC(ZSTD(1)),
    environment LowCardinality(String) DEFAULT 'default',
    release LowCardinality(String),
    version LowCardinality(String),
    external_id String CODEC(ZSTD(1)),
    public UInt8 DEFAULT 0,
    tags Array(LowCardinality(String)),
    metadata String CODEC(ZSTD(3)),
    input String CODEC(ZSTD(3)),
    output String CODEC(ZSTD(3)),
    root_observation_id String CODEC(ZSTD(1)),
    level LowCardinality(String) DEFAULT 'DEFAULT',
    observation_count UInt32 DEFAULT 0 CODEC(T64, ZSTD(1)),
    error_count UInt32 DEFAULT 0 CODEC(T64, ZSTD(1)),
    unpriced_count UInt32 DEFAULT 0 CODEC(T64, ZSTD(1)),
    usage Map(LowCardinality(String), Int64),
    total_cost_pico Int64 EPHEMERAL,
    total_cost Decimal(38, 12) DEFAULT toDecimal128(total_cost_pico, 12) / 1000000000000,
    merge_state String CODEC(ZSTD(3)),
    inserted_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD(1)),
    INDEX id_filter id TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX session_filter session_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX user_filter user_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree(row_version, is_deleted)
PARTITION BY toDate(start_time)
ORDER BY (project_id, toDate(start_time), id)
TTL toDate(start_time) + toIntervalDay($hot_days) TO VOLUME 'cold'
SETTINGS storage_policy = '$storage_policy', min_bytes_for_wide_part = 268435456, ttl_only_drop_parts = 1;
