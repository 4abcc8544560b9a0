-- Why: which traces were deleted, when and by which key. Their rows are superseded by empty ones,
-- whose texts are erased later, so this is what remains of a deleted trace.
CREATE TABLE IF NOT EXISTS $database.trace_deletions
(
    project_id LowCardinality(String),
    trace_id String,
    deleted_us Int64 EPHEMERAL,
    deleted_time DateTime64(6, 'UTC') DEFAULT fromUnixTimestamp64Micro(deleted_us, 'UTC'),
    api_key LowCardinality(String),
    row_version UInt64,
    inserted_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(row_version)
ORDER BY (project_id, trace_id);
