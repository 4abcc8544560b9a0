-- Why: after the time for which late events of a deleted trace are dropped, which is a year at most,
-- nothing needs its deletion any more.
ALTER TABLE $database.trace_deletions MODIFY TTL toDateTime(deleted_time) + toIntervalDay(400);
