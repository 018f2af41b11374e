-- What an agent said of its task and was told beforehand. Rows of before have it in their data; the codec is that of the
-- other counts, see docs/analytics.md.
ALTER TABLE bursar.ledger_events
    ADD COLUMN IF NOT EXISTS files Int64 DEFAULT JSONExtractInt(data, 'labels', 'files') COMMENT 'Files that the task touches; 0 where nobody said' CODEC(T64, ZSTD(1)) AFTER complexity,
    ADD COLUMN IF NOT EXISTS estimated_tokens Int64 DEFAULT JSONExtractInt(data, 'labels', 'estimated_tokens') COMMENT 'Tokens that an estimate told the agent before it reserved; 0 where none did' CODEC(T64, ZSTD(1)) AFTER files;
