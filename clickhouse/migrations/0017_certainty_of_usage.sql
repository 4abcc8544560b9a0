-- Why: usage that does not add up, and usage without a price, look like any other in a bill. The
-- tier that served a call decides its price. Rows from before keep the defaults. Nothing may be
-- written meanwhile: let no sink run.
DROP VIEW IF EXISTS $database.observations_slim_view;

ALTER TABLE $database.observations
    ADD COLUMN IF NOT EXISTS usage_uncertain String,
    ADD COLUMN IF NOT EXISTS unpriced_usage Array(String),
    ADD COLUMN IF NOT EXISTS service_tier LowCardinality(String);

ALTER TABLE $database.observations_slim
    ADD COLUMN IF NOT EXISTS usage_uncertain String,
    ADD COLUMN IF NOT EXISTS unpriced_usage Array(String),
    ADD COLUMN IF NOT EXISTS service_tier LowCardinality(String);

CREATE MATERIALIZED VIEW IF NOT EXISTS $database.observations_slim_view TO $database.observations_slim AS
SELECT
    project_id, trace_id, id, start_time, row_version, is_deleted, end_time, completion_start_time, type, name, parent_id,
    environment, level, status_message, version, model, usage, cost, total_cost,
    cost_source, price_id, usage_estimated, usage_uncertain, unpriced_usage, service_tier,
    substringUTF8(input, 1, 200) AS input, substringUTF8(output, 1, 200) AS output,
    prompt_name, prompt_version, service_name, app_root, user_id, session_id,
    event_time, inserted_at
FROM $database.observations;
