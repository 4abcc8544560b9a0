-- Why: a partition a day is right for days that pass one by one, and wrong for history: 3,600 rows of 3,600 days were 3,600 parts in each of
-- three tables, a minute of writing and 600 MB of memory. Rows from before this migration's time (the month before it) share one partition a
-- year; a whole import of ten years touches 11 of them. Days since then keep their own, so that volumes and codecs change day by day as before.
-- The key is a function of the sort key alone: all versions of a row meet in one partition. Windows and spend likewise, by month since then.
-- Rows are copied partition by partition, and nothing may be written meanwhile: let no sink run.
DROP VIEW IF EXISTS $database.observations_slim_view;

REPARTITION $database.observations BY if(toDate(start_time) < toDate('$old_before'), toStartOfYear(start_time), toDate(start_time));

REPARTITION $database.observations_slim BY if(toDate(start_time) < toDate('$old_before'), toStartOfYear(start_time), toDate(start_time));

REPARTITION $database.traces BY if(toDate(start_time) < toDate('$old_before'), toStartOfYear(start_time), toDate(start_time));

REPARTITION $database.windows BY if(toDate(window_start) < toDate('$old_before'), toStartOfYear(window_start), toStartOfMonth(window_start));

REPARTITION $database.spend BY if(toDate(bucket_start) < toDate('$old_before'), toStartOfYear(bucket_start), toStartOfMonth(bucket_start));

CREATE MATERIALIZED VIEW IF NOT EXISTS $database.observations_slim_view TO $database.observations_slim AS
SELECT
    project_id, trace_id, id, start_time, row_version, is_deleted, end_time, completion_start_time, type, name, parent_id,
    environment, level, status_message, version, model, usage, cost, total_cost,
    cost_source, price_id, usage_estimated, substringUTF8(input, 1, 200) AS input, substringUTF8(output, 1, 200) AS output,
    prompt_name, prompt_version, service_name, app_root, user_id, session_id,
    event_time, inserted_at
FROM $database.observations;
