-- Why: budgets, rules and reports count spend by session, tags, trace name, provider, prompt, API
-- key and tier, and count calls and tokens beside the cost. Rows from before keep the defaults.
ALTER TABLE $database.observations ADD COLUMN IF NOT EXISTS api_key String;

ALTER TABLE $database.spend
    ADD COLUMN IF NOT EXISTS observation_count Int64 DEFAULT 0 CODEC(T64, ZSTD(1)),
    ADD COLUMN IF NOT EXISTS error_count Int64 DEFAULT 0 CODEC(T64, ZSTD(1)),
    ADD COLUMN IF NOT EXISTS input_tokens Int64 DEFAULT 0 CODEC(T64, ZSTD(1)),
    ADD COLUMN IF NOT EXISTS output_tokens Int64 DEFAULT 0 CODEC(T64, ZSTD(1)),
    ADD COLUMN IF NOT EXISTS total_tokens Int64 DEFAULT 0 CODEC(T64, ZSTD(1));

ALTER TABLE $database.spend
    ADD COLUMN IF NOT EXISTS session_id String CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS trace_name String CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS tags String CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS user_tier String CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS provider String CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS prompt_name String CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS api_key String CODEC(ZSTD(1)),
    MODIFY ORDER BY (
        project_id, bucket_start, user_id, model, environment,
        session_id, trace_name, tags, user_tier, provider, prompt_name, api_key
    );
