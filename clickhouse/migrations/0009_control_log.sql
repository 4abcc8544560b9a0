-- Why: an audit trail of the control plane, and a backup that can seed a new broker: every record of the control topic by its offset.
-- The topic itself is compacted; here all versions stay.
CREATE TABLE IF NOT EXISTS $database.control_log
(
    log_offset UInt64,
    kind LowCardinality(String),
    id String,
    is_tombstone UInt8 DEFAULT 0,
    record String CODEC(ZSTD(3)),
    appended_us Int64 EPHEMERAL,
    appended_time DateTime64(6, 'UTC') DEFAULT fromUnixTimestamp64Micro(appended_us, 'UTC'),
    inserted_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree
ORDER BY log_offset;
