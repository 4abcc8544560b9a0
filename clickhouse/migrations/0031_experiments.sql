-- Why: SDKs record experiments only as attributes of spans, which are in the metadata. The id makes
-- them findable: few observations have one, so the index skips nearly all granules.
ALTER TABLE $database.observations
    ADD COLUMN IF NOT EXISTS experiment_id String MATERIALIZED
        if(position(metadata, '"langfuse.experiment.id":') > 0, JSONExtractString(metadata, 'langfuse.experiment.id'), '');

ALTER TABLE $database.observations
    ADD INDEX IF NOT EXISTS experiment_id_range experiment_id TYPE minmax GRANULARITY 1;
