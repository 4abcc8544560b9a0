-- Why: lists and charts read many rows and need no prompts. The same rows with texts cut to 200 characters and without metadata (half an
-- object says nothing), filled by a view at insert, so both tables hold the same versions and no second writer exists. The view copies
-- rows; it never sums.
CREATE TABLE IF NOT EXISTS $database.observations_slim
(
    project_id String,
    trace_id String,
    id String,
    start_time DateTime64(6, 'UTC') CODEC(Delta, Default),
    row_version UInt64 CODEC(Delta, Default),
    is_deleted UInt8,
    end_time DateTime64(6, 'UTC') CODEC(Delta, Default),
    completion_start_time DateTime64(6, 'UTC') CODEC(Delta, Default),
    type String,
    name String,
    parent_id String,
    environment String,
    level String,
    status_message String,
    version String,
    model String,
    usage Map(String, Int64),
    cost Map(String, Decimal(38, 12)),
    total_cost Decimal(38, 12),
    cost_source String,
    price_id String,
    usage_estimated UInt8,
    input String,
    output String,
    prompt_name String,
    prompt_version Int32,
    service_name String,
    app_root UInt8,
    user_id String,
    session_id String,
    event_time DateTime64(6, 'UTC') CODEC(Delta, Default),
    inserted_at DateTime64(3, 'UTC') CODEC(Delta, Default),
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

CREATE MATERIALIZED VIEW IF NOT EXISTS $database.observations_slim_view TO $database.observations_slim AS
SELECT
    project_id, trace_id, id, start_time, row_version, is_deleted, end_time, completion_start_time, type, name, parent_id,
    environment, level, substringUTF8(status_message, 1, 200) AS status_message, version, model, usage, cost, total_cost,
    cost_source, price_id, usage_estimated, substringUTF8(input, 1, 200) AS input, substringUTF8(output, 1, 200) AS output,
    prompt_name, prompt_version, service_name, app_root, user_id, session_id,
    event_time, inserted_at
FROM $database.observations;
