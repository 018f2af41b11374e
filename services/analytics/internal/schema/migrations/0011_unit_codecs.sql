-- In what a denial and a warning count. Rows of before have it in their data, where it was told at all.
ALTER TABLE bursar.ledger_events
    ADD COLUMN IF NOT EXISTS unit LowCardinality(String) DEFAULT if(kind IN ('reservation.denied', 'limit.warning'), JSONExtractString(data, 'unit'), '') COMMENT 'Denial, warning: the unit of the limit, in which the figures are; empty where none binds and in older ledgers' CODEC(ZSTD(1)) AFTER limit_id;

-- Every event of a reservation repeats its labels: T64 hides from ZSTD what is the same.
ALTER TABLE bursar.ledger_events
    MODIFY COLUMN files CODEC(ZSTD(1)),
    MODIFY COLUMN estimated_tokens CODEC(ZSTD(1));
