-- Why: a change is told by the key it was written under (two creations of one id are two keys, of which the first counts), and a new broker counts its
-- offsets from 0 again: its records must not replace those of the old one, so the time is part of the key. Secrets that sign are not in the records; a
-- backup made from here gives webhooks new ones. Replaced as a whole: nothing wrote to the table before.
CREATE OR REPLACE TABLE $database.control_log
(
    log_offset UInt64,
    log_key String CODEC(ZSTD(1)),
    kind LowCardinality(String),
    id String CODEC(ZSTD(1)),
    is_tombstone UInt8 DEFAULT 0,
    record String CODEC(ZSTD(3)),
    appended_us Int64 EPHEMERAL,
    appended_time DateTime64(6, 'UTC') DEFAULT fromUnixTimestamp64Micro(appended_us, 'UTC'),
    inserted_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree
ORDER BY (log_offset, appended_time);
