-- Why: windows by type, level, prompt, provider and service tier, with the times to the first token,
-- the output tokens per second, missing prices, errors by class and what caches saved. Windows are
-- of ten seconds from now on; rows of whole minutes stay, under empty values of the new dimensions,
-- and a correction of what they counted is a row with negative numbers. Who served a call, the class
-- of its error and what a cache saved are columns of observations, because corrections subtract
-- them. Let no sink run meanwhile.
ALTER TABLE $database.windows
    ADD COLUMN IF NOT EXISTS type LowCardinality(String),
    ADD COLUMN IF NOT EXISTS level LowCardinality(String),
    ADD COLUMN IF NOT EXISTS prompt_name LowCardinality(String),
    ADD COLUMN IF NOT EXISTS prompt_version LowCardinality(String),
    ADD COLUMN IF NOT EXISTS provider LowCardinality(String),
    ADD COLUMN IF NOT EXISTS service_tier LowCardinality(String),
    MODIFY ORDER BY (project_id, window_start, environment, model, name, type, level, prompt_name, prompt_version, provider, service_tier);

ALTER TABLE $database.windows
    MODIFY COLUMN observation_count Int64 DEFAULT 0 CODEC(T64, ZSTD(1)),
    MODIFY COLUMN error_count Int64 DEFAULT 0 CODEC(T64, ZSTD(1));

ALTER TABLE $database.windows
    ADD COLUMN IF NOT EXISTS unpriced_count Int64 DEFAULT 0 CODEC(T64, ZSTD(1)),
    ADD COLUMN IF NOT EXISTS cache_exact_count Int64 DEFAULT 0 CODEC(T64, ZSTD(1)),
    ADD COLUMN IF NOT EXISTS cache_semantic_count Int64 DEFAULT 0 CODEC(T64, ZSTD(1)),
    ADD COLUMN IF NOT EXISTS cache_miss_count Int64 DEFAULT 0 CODEC(T64, ZSTD(1)),
    ADD COLUMN IF NOT EXISTS cached_saved_pico Int64 EPHEMERAL,
    ADD COLUMN IF NOT EXISTS cached_saved Decimal(38, 12) DEFAULT toDecimal128(cached_saved_pico, 12) / 1000000000000,
    ADD COLUMN IF NOT EXISTS app_saved_pico Int64 EPHEMERAL,
    ADD COLUMN IF NOT EXISTS app_saved Decimal(38, 12) DEFAULT toDecimal128(app_saved_pico, 12) / 1000000000000,
    ADD COLUMN IF NOT EXISTS error_types Map(LowCardinality(String), Int64),
    ADD COLUMN IF NOT EXISTS ttft_state_hex String EPHEMERAL '02FD4A815ABF52F03F0000000000000000010C00FEFFFFFF0F02030C00FEFFFFFF0F02040000000000000000',
    ADD COLUMN IF NOT EXISTS ttft_state AggregateFunction(quantilesDD(0.01, 0.5, 0.95, 0.99), Float64) DEFAULT CAST(unhex(ttft_state_hex), 'AggregateFunction(quantilesDD(0.01, 0.5, 0.95, 0.99), Float64)'),
    ADD COLUMN IF NOT EXISTS rate_state_hex String EPHEMERAL '02FD4A815ABF52F03F0000000000000000010C00FEFFFFFF0F02030C00FEFFFFFF0F02040000000000000000',
    ADD COLUMN IF NOT EXISTS rate_state AggregateFunction(quantilesDD(0.01, 0.5, 0.95, 0.99), Float64) DEFAULT CAST(unhex(rate_state_hex), 'AggregateFunction(quantilesDD(0.01, 0.5, 0.95, 0.99), Float64)');

ALTER TABLE $database.observations
    ADD COLUMN IF NOT EXISTS error_type String,
    ADD COLUMN IF NOT EXISTS provider String,
    ADD COLUMN IF NOT EXISTS provider_derived UInt8 DEFAULT 0,
    ADD COLUMN IF NOT EXISTS app_cache String,
    ADD COLUMN IF NOT EXISTS cache_saved_pico Int64 EPHEMERAL,
    ADD COLUMN IF NOT EXISTS cache_saved Decimal(38, 12) DEFAULT toDecimal128(cache_saved_pico, 12) / 1000000000000;
