-- Why: the same id replaces, whenever and about whatever it was said: with the day in the key, a score sent again on another day stood beside
-- the first unless the writer happened to remember it. Now the id is the key, in one partition, so that the rows of an id always meet: no
-- deletions are needed, and the highest version stays in whatever order they come. Parts end at 4 GiB, so that old ones can go to the cold
-- volume. Replaced as a whole, rows included; deletions are left out, and repeating this changes nothing. Let no sink run meanwhile.
CREATE OR REPLACE TABLE $database.scores
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
    INDEX trace_id_filter trace_id TYPE bloom_filter(0.001) GRANULARITY 1
)
ENGINE = ReplacingMergeTree(row_version, is_deleted)
ORDER BY (project_id, id)
TTL toDate(event_time) + toIntervalDay($hot_days) TO VOLUME 'cold'
SETTINGS
    storage_policy = '$storage_policy',
    min_bytes_for_wide_part = 268435456,
    max_bytes_to_merge_at_max_space_in_pool = 4294967296,
    ttl_only_drop_parts = 1,
    materialize_ttl_recalculate_only = 1
AS SELECT
    project_id, id, event_time, row_version, is_deleted, name, data_type, value, string_value, trace_id, observation_id,
    session_id, dataset_run_id, source, environment, comment, metadata, config_id, queue_id, author_user_id, inserted_at
FROM $database.scores
WHERE is_deleted = 0;
