-- Why: lists and charts read many rows and need no prompts. The same rows with texts cut to 200 characters, filled by a view at insert,
-- so both tables hold the same versions and no second writer exists. The view copies rows; it never sums.
CREATE TABLE IF NOT EXISTS $database.observations_slim
(
    project_id LowCardinality(String),
    trace_id String CODEC(ZSTD(1)),
    id String CODEC(ZSTD(1)),
    start_time DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    row_version UInt64 CODEC(Delta, ZSTD(1)),
    is_deleted UInt8,
    end_time DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    completion_start_time DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    type LowCardinality(String),
    name LowCardinality(String),
    parent_id String CODEC(ZSTD(1)),
    environment LowCardinality(String),
    level LowCardinality(String),
    status_message String CODEC(ZSTD(1)),
    version LowCardinality(String),
    model LowCardinality(String),
    usage Map(LowCardinality(String), Int64),
    cost Map(LowCardinality(String), Decimal(38, 12)),
    total_cost Decimal(38, 12),
    cost_source LowCardinality(String),
    price_id LowCardinality(String),
    usage_estimated UInt8,
    input String CODEC(ZSTD(1)),
    output String CODEC(ZSTD(1)),
    metadata String CODEC(ZSTD(1)),
    prompt_name LowCardinality(String),
    prompt_version Int32,
    service_name LowCardinality(String),
    app_root UInt8,
    user_id String CODEC(ZSTD(1)),
    session_id String CODEC(ZSTD(1)),
    event_time DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    inserted_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    INDEX trace_id_filter trace_id TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX id_filter id TYPE bloom_filter(0.001) GRANULARITY 1
)
ENGINE = ReplacingMergeTree(row_version, is_deleted)
PARTITION BY toDate(start_time)
PRIMARY KEY (project_id, toStartOfMinute(start_time), cityHash64(trace_id))
ORDER BY (project_id, toStartOfMinute(start_time), cityHash64(trace_id), id)
TTL toDate(start_time) + toIntervalDay($hot_days) TO VOLUME 'cold'
SETTINGS storage_policy = '$storage_policy', min_bytes_for_wide_part = 268435456, ttl_only_drop_parts = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS $database.observations_slim_view TO $database.observations_slim AS
SELECT
    project_id, trace_id, id, start_time, row_version, is_deleted, end_time, completion_start_time, type, name, parent_id,
    environment, level, substringUTF8(status_message, 1, 200) AS status_message, version, model, usage, cost, total_cost,
    cost_source, price_id, usage_estimated, substringUTF8(input, 1, 200) AS input, substringUTF8(output, 1, 200) AS output,
    substringUTF8(metadata, 1, 200) AS metadata, prompt_name, prompt_version, service_name, app_root, user_id, session_id,
    event_time, inserted_at
FROM $database.observations;
