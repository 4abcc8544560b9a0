-- Why: amounts of users, sessions and budgets say how many calls without a price they lack. Rows from
-- before count none.
ALTER TABLE $database.spend
    ADD COLUMN IF NOT EXISTS unpriced_count Int64 DEFAULT 0 CODEC(T64, ZSTD(1));
