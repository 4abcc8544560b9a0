-- Why: what charts and percentiles read: a minute of a project by environment, model and observation name. Absolute values, so a late event
-- is a new version of the row and a replay is none. The latency sketch arrives as the hex of a quantilesDD state and merges with any other.
CREATE TABLE IF NOT EXISTS $database.windows
(
    project_id LowCardinality(String),
    window_s UInt32 EPHEMERAL,
    window_start DateTime('UTC') DEFAULT toDateTime(window_s, 'UTC') CODEC(Delta, ZSTD(1)),
    environment LowCardinality(String),
    model LowCardinality(String),
    name LowCardinality(String),
    row_version UInt64 CODEC(Delta, ZSTD(1)),
    observation_count UInt64 DEFAULT 0 CODEC(T64, ZSTD(1)),
    error_count UInt64 DEFAULT 0 CODEC(T64, ZSTD(1)),
    usage Map(LowCardinality(String), Int64),
    total_cost_pico Int64 EPHEMERAL,
    total_cost Decimal(38, 12) DEFAULT toDecimal128(total_cost_pico, 12) / 1000000000000,
    latency_state_hex String EPHEMERAL '02FD4A815ABF52F03F0000000000000000010C00FEFFFFFF0F02030C00FEFFFFFF0F02040000000000000000',
    latency_state AggregateFunction(quantilesDD(0.01, 0.5, 0.95, 0.99), Float64) DEFAULT CAST(unhex(latency_state_hex), 'AggregateFunction(quantilesDD(0.01, 0.5, 0.95, 0.99), Float64)'),
    inserted_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(row_version)
PARTITION BY toYYYYMM(window_start)
PRIMARY KEY (project_id, window_start)
ORDER BY (project_id, window_start, environment, model, name);
