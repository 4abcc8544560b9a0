-- Why: a chart of months reads rows of hours and days, not each window. Levels have the columns of
-- windows, which clickhouse.levels.schema adds here and keeps in step. Their rows are recomputed
-- from windows, never incremented. window_rollups has, for each hour, the time of the last insert
-- into its windows, which the view records with the insert, and up to when the levels include all
-- inserts: only such hours and days are read. Granules are small, because sketches are large and a
-- chart reads few rows of a cube. Let no sink run.
CREATE TABLE IF NOT EXISTS $database.windows_hourly
(
    project_id LowCardinality(String),
    cube LowCardinality(String),
    window_start DateTime('UTC') CODEC(Delta, ZSTD(1)),
    row_version UInt64 CODEC(Delta, ZSTD(1)),
    inserted_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(row_version)
PARTITION BY if(toDate(window_start) < toDate('$old_before'), toStartOfYear(window_start), toStartOfMonth(window_start))
PRIMARY KEY (project_id, cube, window_start)
ORDER BY (project_id, cube, window_start)
SETTINGS index_granularity = 256;

CREATE TABLE IF NOT EXISTS $database.windows_daily
(
    project_id LowCardinality(String),
    cube LowCardinality(String),
    window_start DateTime('UTC') CODEC(Delta, ZSTD(1)),
    row_version UInt64 CODEC(Delta, ZSTD(1)),
    inserted_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(row_version)
PARTITION BY toStartOfYear(window_start)
PRIMARY KEY (project_id, cube, window_start)
ORDER BY (project_id, cube, window_start)
SETTINGS index_granularity = 256;

CREATE TABLE IF NOT EXISTS $database.window_rollups
(
    project_id LowCardinality(String),
    hour_start DateTime('UTC') CODEC(Delta, ZSTD(1)),
    changed_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')) CODEC(Delta, ZSTD(1)),
    covered_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')) CODEC(Delta, ZSTD(1)),
    day_covered_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')) CODEC(Delta, ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toStartOfYear(hour_start)
ORDER BY (project_id, hour_start);

CREATE MATERIALIZED VIEW IF NOT EXISTS $database.window_rollups_view TO $database.window_rollups AS
SELECT project_id, toStartOfHour(window_start) AS hour_start, max(inserted_at) AS changed_at
FROM $database.windows
GROUP BY project_id, hour_start;

INSERT INTO $database.window_rollups (project_id, hour_start, changed_at)
SELECT project_id, toStartOfHour(window_start) AS hour_start, max(inserted_at)
FROM $database.windows
GROUP BY project_id, hour_start;
