-- Why: an answer made of the slim rows gave the first 200 characters of a status message as if they were all. The view keeps it whole from
-- here on; rows with a longer one are copied again. A copy has the key and version of the row it replaces, and of equals the last one
-- inserted stays, so repeating this changes nothing.
ALTER TABLE $database.observations_slim_view MODIFY QUERY
SELECT
    project_id, trace_id, id, start_time, row_version, is_deleted, end_time, completion_start_time, type, name, parent_id,
    environment, level, status_message, version, model, usage, cost, total_cost,
    cost_source, price_id, usage_estimated, substringUTF8(input, 1, 200) AS input, substringUTF8(output, 1, 200) AS output,
    prompt_name, prompt_version, service_name, app_root, user_id, session_id,
    event_time, inserted_at
FROM $database.observations;

INSERT INTO $database.observations_slim
    (project_id, trace_id, id, start_time, row_version, is_deleted, end_time, completion_start_time, type, name, parent_id,
    environment, level, status_message, version, model, usage, cost, total_cost,
    cost_source, price_id, usage_estimated, input, output,
    prompt_name, prompt_version, service_name, app_root, user_id, session_id,
    event_time, inserted_at)
SELECT
    project_id, trace_id, id, start_time, row_version, is_deleted, end_time, completion_start_time, type, name, parent_id,
    environment, level, status_message, version, model, usage, cost, total_cost,
    cost_source, price_id, usage_estimated, substringUTF8(input, 1, 200), substringUTF8(output, 1, 200),
    prompt_name, prompt_version, service_name, app_root, user_id, session_id,
    event_time, inserted_at
FROM $database.observations
WHERE lengthUTF8(status_message) > 200;
