-- Why: to group observations by what only their trace knows, such as its user, all of them are joined
-- with traces. Reading and comparing ids of 32 characters is most of the cost of this join; hashes of
-- 16 bytes have the same result: of a billion traces, two have equal ones with a probability below
-- 2e-21. Of parts from before, the store computes them from the ids while it reads, until a merge
-- writes them.
ALTER TABLE $database.observations_slim
    ADD COLUMN IF NOT EXISTS trace_hash UInt128 MATERIALIZED reinterpretAsUInt128(sipHash128(trace_id));
