-- Why: whole observations, texts included. A row is an upsert by its sort key, the highest row_version is the truth, so whatever is
-- read again from Kafka changes nothing. The key starts with what every query has: the tenant, then coarse time, then the trace, which
-- keeps "the last hour" and "this trace" both narrow; a trace asked for without a time is found through the bloom filter.
-- Integers arrive (EPHEMERAL) and typed columns stay: no number is formatted as text on the way, and none is ever a float.
-- Parts stay compact up to 256 MiB: an insert writes four files instead of two for each of fifty columns.
CREATE TABLE IF NOT EXISTS $database.observations
(
    project_id LowCardinality(String),
    trace_id String CODEC(ZSTD(1)),
    id String CODEC(ZSTD(1)),
    start_us Int64 EPHEMERAL,
    start_time DateTime64(6, 'UTC') DEFAULT fromUnixTimestamp64Micro(start_us, 'UTC') CODEC(Delta, ZSTD(1)),
    row_version UInt64 CODEC(Delta, ZSTD(1)),
    is_deleted UInt8 DEFAULT 0,
    end_us Int64 EPHEMERAL,
    end_time DateTime64(6, 'UTC') DEFAULT fromUnixTimestamp64Micro(end_us, 'UTC') CODEC(Delta, ZSTD(1)),
    completion_start_us Int64 EPHEMERAL,
    completion_start_time DateTime64(6, 'UTC') DEFAULT fromUnixTimestamp64Micro(completion_start_us, 'UTC') CODEC(Delta, ZSTD(1)),
    type LowCardinality(String) DEFAULT 'SPAN',
    name LowCardinality(String),
    parent_id String CODEC(ZSTD(1)),
    environment LowCardinality(String) DEFAULT 'default',
    level LowCardinality(String) DEFAULT 'DEFAULT',
    status_message String CODEC(ZSTD(3)),
    version LowCardinality(String),
    model LowCardinality(String),
    model_parameters String CODEC(ZSTD(3)),
    provided_usage Map(LowCardinality(String), Int64),
    usage Map(LowCardinality(String), Int64),
    provided_cost_pico Map(LowCardinality(String), Int64) EPHEMERAL,
    provided_cost Map(LowCardinality(String), Decimal(38, 12)) DEFAULT mapApply((k, v) -> (k, toDecimal128(v, 12) / 1000000000000), provided_cost_pico),
    cost_pico Map(LowCardinality(String), Int64) EPHEMERAL,
    cost Map(LowCardinality(String), Decimal(38, 12)) DEFAULT mapApply((k, v) -> (k, toDecimal128(v, 12) / 1000000000000), cost_pico),
    total_cost_pico Int64 EPHEMERAL,
    total_cost Decimal(38, 12) DEFAULT toDecimal128(total_cost_pico, 12) / 1000000000000,
    cost_source LowCardinality(String) DEFAULT 'none',
    price_id LowCardinality(String),
    usage_estimated UInt8 DEFAULT 0,
    input String CODEC(ZSTD(3)),
    output String CODEC(ZSTD(3)),
    metadata String CODEC(ZSTD(3)),
    prompt_name LowCardinality(String),
    prompt_version Int32 DEFAULT 0,
    service_name LowCardinality(String),
    scope_name LowCardinality(String),
    scope_version LowCardinality(String),
    app_root UInt8 DEFAULT 0,
    user_id String CODEC(ZSTD(1)),
    session_id String CODEC(ZSTD(1)),
    merge_state String CODEC(ZSTD(3)),
    event_us Int64 EPHEMERAL,
    event_time DateTime64(6, 'UTC') DEFAULT fromUnixTimestamp64Micro(event_us, 'UTC') CODEC(Delta, ZSTD(1)),
    inserted_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD(1)),
    INDEX trace_id_filter trace_id TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX id_filter id TYPE bloom_filter(0.001) GRANULARITY 1
)
ENGINE = ReplacingMergeTree(row_version, is_deleted)
PARTITION BY toDate(start_time)
PRIMARY KEY (project_id, toStartOfMinute(start_time), cityHash64(trace_id))
ORDER BY (project_id, toStartOfMinute(start_time), cityHash64(trace_id), id)
TTL toDate(start_time) + toIntervalDay($hot_days) TO VOLUME 'cold'
SETTINGS storage_policy = '$storage_policy', min_bytes_for_wide_part = 268435456, ttl_only_drop_parts = 1;
