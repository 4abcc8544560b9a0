-- Why: the tiers of users are on a compacted topic; this is the copy from which it can be restored. A user without a tier has an empty one.
CREATE TABLE IF NOT EXISTS $database.tiers
(
    project_id LowCardinality(String),
    user_id String,
    tier LowCardinality(String),
    row_version UInt64,
    inserted_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(row_version)
ORDER BY (project_id, user_id);
