-- Why: a log that lost its data counts its offsets from 0 again, or goes on behind what was stored, and would be taken for the old one. The sink notes here
-- how far each partition of the log was, and of which cluster it was; every start compares.
CREATE TABLE IF NOT EXISTS $database.log_positions
(
    topic LowCardinality(String),
    topic_partition UInt32,
    cluster_id LowCardinality(String),
    end_offset UInt64,
    stored_offset UInt64,
    row_version UInt64
)
ENGINE = ReplacingMergeTree(row_version)
ORDER BY (topic, topic_partition);
