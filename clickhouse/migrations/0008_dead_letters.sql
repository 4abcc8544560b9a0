-- Why: input that could not be processed is kept with its reason and source, to be looked at and replayed. The id follows from the source.
CREATE TABLE IF NOT EXISTS $database.dead_letters
(
    project_id LowCardinality(String),
    id String,
    created_us Int64 EPHEMERAL,
    created_time DateTime64(6, 'UTC') DEFAULT fromUnixTimestamp64Micro(created_us, 'UTC') CODEC(Delta, ZSTD(1)),
    stage LowCardinality(String),
    reason LowCardinality(String),
    detail String CODEC(ZSTD(3)),
    source_topic LowCardinality(String),
    source_partition Int32 DEFAULT -1,
    source_offset Int64 DEFAULT -1,
    payload String CODEC(ZSTD(3)),
    row_version UInt64 DEFAULT 1,
    inserted_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(row_version)
PARTITION BY toYYYYMM(created_time)
ORDER BY (project_id, toDate(created_time), id);
