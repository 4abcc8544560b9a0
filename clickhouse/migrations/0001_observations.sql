-- Why: whole observations, texts included. A row is an upsert by its sort key, the highest row_version is the truth, so whatever is
-- read again from Kafka changes nothing. The key starts with what every query has: the tenant, then coarse time, then the trace, which
-- keeps "the last hour" and "this trace" both narrow; a trace asked for without a time is found through the bloom filter.
-- Integers arrive (EPHEMERAL) and typed columns stay: no number is formatted as text on the way, and none is ever a float.
-- Made for many rows a second; each of these was measured. LZ4 while a day is open, ZSTD(3) once it is over: every merge pays for its codec
-- (-12 us a row). Plain strings: a dictionary per column costs more at insert and merge than sorted neighbours compress (-9 us a row).
-- Compact parts up to 256 MiB: four files an insert, not a hundred. merge_selector_base 10: half the rewriting of the default 5, and none
-- of parts above 4 GiB: rows come in order of time, so that parts are apart in time already.
CREATE TABLE IF NOT EXISTS $database.observations
(
    project_id String,
    trace_id String,
    id String,
    start_us Int64 EPHEMERAL,
    start_time DateTime64(6, 'UTC') DEFAULT fromUnixTimestamp64Micro(start_us, 'UTC') CODEC(Delta, Default),
    row_version UInt64 CODEC(Delta, Default),
    is_deleted UInt8 DEFAULT 0,
    end_us Int64 EPHEMERAL,
    end_time DateTime64(6, 'UTC') DEFAULT fromUnixTimestamp64Micro(end_us, 'UTC') CODEC(Delta, Default),
    completion_start_us Int64 EPHEMERAL,
    completion_start_time DateTime64(6, 'UTC') DEFAULT fromUnixTimestamp64Micro(completion_start_us, 'UTC') CODEC(Delta, Default),
    type String DEFAULT 'SPAN',
    name String,
    parent_id String,
    environment String DEFAULT 'default',
    level String DEFAULT 'DEFAULT',
    status_message String,
    version String,
    model String,
    model_parameters String,
    provided_usage Map(String, Int64),
    usage Map(String, Int64),
    provided_cost_pico Map(String, Int64) EPHEMERAL,
    provided_cost Map(String, Decimal(38, 12)) DEFAULT mapApply((k, v) -> (k, toDecimal128(v, 12) / 1000000000000), provided_cost_pico),
    cost_pico Map(String, Int64) EPHEMERAL,
    cost Map(String, Decimal(38, 12)) DEFAULT mapApply((k, v) -> (k, toDecimal128(v, 12) / 1000000000000), cost_pico),
    total_cost_pico Int64 EPHEMERAL,
    total_cost Decimal(38, 12) DEFAULT toDecimal128(total_cost_pico, 12) / 1000000000000,
    cost_source String DEFAULT 'none',
    price_id String,
    usage_estimated UInt8 DEFAULT 0,
    input String,
    output String,
    metadata String,
    prompt_name String,
    prompt_version Int32 DEFAULT 0,
    service_name String,
    scope_name String,
    scope_version String,
    app_root UInt8 DEFAULT 0,
    user_id String,
    session_id String,
    merge_state String,
    event_us Int64 EPHEMERAL,
    event_time DateTime64(6, 'UTC') DEFAULT fromUnixTimestamp64Micro(event_us, 'UTC') CODEC(Delta, Default),
    inserted_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, Default),
    INDEX trace_id_filter trace_id TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX id_filter id TYPE bloom_filter(0.001) GRANULARITY 1
)
ENGINE = ReplacingMergeTree(row_version, is_deleted)
PARTITION BY toDate(start_time)
PRIMARY KEY (project_id, toStartOfMinute(start_time), cityHash64(trace_id))
ORDER BY (project_id, toStartOfMinute(start_time), cityHash64(trace_id), id)
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
