-- Why: clients of the Langfuse API read the time of the first token that they sent, also if it is outside its observation, while
-- statistics use only times within it. Rows from before keep the default, the epoch, and show the time that statistics use.
-- Nothing may be written meanwhile: let no sink run.
DROP VIEW IF EXISTS $database.observations_slim_view;

ALTER TABLE $database.observations
    ADD COLUMN IF NOT EXISTS sent_completion_start_us Int64 EPHEMERAL,
    ADD COLUMN IF NOT EXISTS sent_completion_start_time DateTime64(6, 'UTC') DEFAULT fromUnixTimestamp64Micro(sent_completion_start_us, 'UTC') CODEC(Delta, Default);

ALTER TABLE $database.observations_slim
    ADD COLUMN IF NOT EXISTS sent_completion_start_time DateTime64(6, 'UTC') CODEC(Delta, Default);

CREATE MATERIALIZED VIEW IF NOT EXISTS $database.observations_slim_view TO $database.observations_slim AS
SELECT
    project_id, trace_id, id, start_time, row_version, is_deleted, end_time, completion_start_time, sent_completion_start_time, type, name, parent_id,
    environment, level, status_message, version, model, usage, reported_usage, cost, total_cost,
    cost_source, price_id, computed_cost, usage_estimated, usage_uncertain, unpriced_usage, service_tier,
    substringUTF8(input, 1, 200) AS input, substringUTF8(output, 1, 200) AS output,
    prompt_name, prompt_version, service_name, app_root, user_id, session_id,
    event_time, inserted_at
FROM $database.observations;
