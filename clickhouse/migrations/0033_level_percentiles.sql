-- Why: a chart by model or name, or of totals, of hours or days reads one row for each point, which
-- has the percentiles itself. clickhouse.levels.schema adds their columns. Existing hours lack these
-- rows, so they are marked as changed: they are recomputed, and until then, windows are read. Let no
-- sink of an earlier version run.
INSERT INTO $database.window_rollups (project_id, hour_start, changed_at)
SELECT project_id, hour_start, now64(3)
FROM $database.window_rollups
GROUP BY project_id, hour_start;
