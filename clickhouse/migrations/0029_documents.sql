-- Why: datasets, items, experiments and comments grow with use, so processes do not keep them in
-- memory. The version 0 is the current state of a document; of versioned kinds, the others are kept.
CREATE TABLE IF NOT EXISTS $database.documents
(
    project_id LowCardinality(String),
    kind LowCardinality(String),
    id String CODEC(ZSTD(1)),
    version UInt32 CODEC(T64, ZSTD(1)),
    revision UInt32 CODEC(T64, ZSTD(1)),
    is_deleted UInt8,
    parent String CODEC(ZSTD(1)),
    name String CODEC(ZSTD(1)),
    status LowCardinality(String),
    subject String CODEC(ZSTD(1)),
    created_us Int64 CODEC(Delta, ZSTD(1)),
    updated_us Int64 CODEC(Delta, ZSTD(1)),
    body String CODEC(ZSTD(3)),
    row_version UInt64,
    inserted_at DateTime64(3, 'UTC') DEFAULT now64(3),
    INDEX by_parent parent TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_subject subject TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree(row_version)
ORDER BY (project_id, kind, id, version)
SETTINGS index_granularity = 256;
