-- Why: the cost that a client states is the one that counts. Where the price list gives one that differs by more than a tenth, both are
-- shown. Nothing may be written meanwhile: let no sink run.
DROP VIEW IF EXISTS $database.observations_slim_view;

ALTER TABLE $database.observations
    ADD COLUMN IF NOT EXISTS computed_cost_pico Int64 EPHEMERAL,
    ADD COLUMN IF NOT EXISTS computed_cost Decimal(38, 12) DEFAULT toDecimal128(computed_cost_pico, 12) / 1000000000000;

ALTER TABLE $database.observations_slim
    ADD COLUMN IF NOT EXISTS computed_cost Decimal(38, 12);

CREATE MATERIALIZED VIEW IF NOT EXISTS $database.observations_slim_view TO $database.observations_slim AS
SELECT
    project_id, trace_id, id, start_time, row_version, is_deleted, end_time, completion_start_time, type, name, parent_id,
    environment, level, status_message, version, model, usage, cost, total_cost,
    cost_source, price_id, computed_cost, usage_estimated, usage_uncertain, unpriced_usage, service_tier,
    substringUTF8(input, 1, 200) AS input, substringUTF8(output, 1, 200) AS output,
    prompt_name, prompt_version, service_name, app_root, user_id, session_id,
    event_time, inserted_at
FROM $database.observations;
