-- Why: observations that repeat the usage of their descendants are not in the totals. Their rows
-- show what they report; the row of the trace lists them, with what they count themselves.
ALTER TABLE $database.traces
    ADD COLUMN IF NOT EXISTS summaries Map(String, Map(String, Int64));
