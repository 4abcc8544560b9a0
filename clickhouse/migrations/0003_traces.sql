-- Why: one row a trace with the totals of its observations, so that lists of traces need not read observations.
-- The stream writes absolute totals with a version; a trace whose start moved to another day leaves a tombstone under its old key.
CREATE TABLE IF NOT EXISTS $database.traces
(
    project_id String,
    id String,
    start_us Int64 EPHEMERAL,
    start_time DateTime64(6, 'UTC') DEFAULT fromUnixTimestamp64Micro(start_us, 'UTC') CODEC(Delta, Default),
    row_version UInt64 CODEC(Delta, Default),
    is_deleted UInt8 DEFAULT 0,
    end_us Int64 EPHEMERAL,
    end_time DateTime64(6, 'UTC') DEFAULT fromUnixTimestamp64Micro(end_us, 'UTC') CODEC(Delta, Default),
    name String,
    user_id String,
    session_id String,
    environment String DEFAULT 'default',
    release String,
    version String,
    external_id String,
    public UInt8 DEFAULT 0,
    tags Array(String),
    metadata String,
    input String,
    output String,
    root_observation_id String,
    level String DEFAULT 'DEFAULT',
    observation_count UInt32 DEFAULT 0 CODEC(T64, Default),
    error_count UInt32 DEFAULT 0 CODEC(T64, Default),
    unpriced_count UInt32 DEFAULT 0 CODEC(T64, Default),
    usage Map(String, Int64),
    total_cost_pico Int64 EPHEMERAL,
    total_cost Decimal(38, 12) DEFAULT toDecimal128(total_cost_pico, 12) / 1000000000000,
    merge_state String,
    inserted_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, Default),
    INDEX id_filter id TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX session_filter session_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX user_filter user_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree(row_version, is_deleted)
PARTITION BY toDate(start_time)
ORDER BY (project_id, toDate(start_time), id)
TTL
    toDate(start_time) + toIntervalDay(1) RECOMPRESS CODEC(ZSTD(3)),
    toDate(start_time) + toIntervalDay($hot_days) TO VOLUME 'cold'
SETTINGS
    storage_policy = '$storage_policy',
    min_bytes_for_wide_part = 268435456,
    merge_selector_base = 10,
    max_bytes_to_merge_at_max_space_in_pool = 4294967296,
    ttl_only_drop_parts = 1,
    materialize_ttl_recalculate_only = 1;
