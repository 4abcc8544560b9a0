-- Why: which tools a model was offered and which it called were to be read out of inputs and outputs by whoever asked. The streams find them where a row is
-- made; rows from before stay without.
ALTER TABLE $database.observations
    ADD COLUMN IF NOT EXISTS tool_definitions Map(String, String),
    ADD COLUMN IF NOT EXISTS tool_calls Array(String),
    ADD COLUMN IF NOT EXISTS tool_call_names Array(String);
