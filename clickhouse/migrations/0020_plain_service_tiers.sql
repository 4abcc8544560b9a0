-- Why: a dictionary per part costs more at insert and merge than plain strings do.
ALTER TABLE $database.observations MODIFY COLUMN service_tier String;

ALTER TABLE $database.observations_slim MODIFY COLUMN service_tier String;
