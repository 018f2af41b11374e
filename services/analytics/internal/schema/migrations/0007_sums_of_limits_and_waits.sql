CREATE TABLE IF NOT EXISTS bursar.charges
(
    workspace     LowCardinality(String)        COMMENT 'Whose ledger it is',
    limit_id      LowCardinality(String)        COMMENT 'The limit that was charged; empty says how far a ledger is summed',
    quarter       DateTime('UTC')               COMMENT 'The quarter of an hour in which the usage happened',
    ledger_id     LowCardinality(String)        COMMENT 'The ledger',
    block         UInt64                        COMMENT 'The commits that are summed: those whose number, divided by 8192, is this',
    window        DateTime64(3, 'UTC')          COMMENT 'The window that was charged, by its start; 1970 if none was open' CODEC(ZSTD(1)),
    account       LowCardinality(String)        COMMENT 'An account that was used',
    through       UInt64                        COMMENT 'The last commit that was looked at: the highest one counts' CODEC(T64, ZSTD(1)),
    charges       UInt64                        COMMENT 'How many there were' CODEC(T64, ZSTD(1)),
    amount        Int64                         COMMENT 'What was charged, in the unit of the limit' CODEC(T64, ZSTD(1)),
    first_commit  UInt64                        COMMENT 'The first commit with one of them' CODEC(T64, ZSTD(1)),
    last_commit   UInt64                        COMMENT 'The last commit with one of them' CODEC(T64, ZSTD(1)),
    first_used_at DateTime64(3, 'UTC')          COMMENT 'When the first of the usage happened' CODEC(ZSTD(1)),
    last_used_at  DateTime64(3, 'UTC')          COMMENT 'When the last of the usage happened' CODEC(ZSTD(1)),
    agents        Array(LowCardinality(String)) COMMENT 'Who used it: principal/agent' CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree(through)
PRIMARY KEY (workspace, limit_id, quarter)
ORDER BY (workspace, limit_id, quarter, ledger_id, block, window)
COMMENT 'What was used of limits, by the quarter of an hour and the window charged, each block of commits summed whole from FINAL. May hold a row twice for a while: read with FINAL';

CREATE TABLE IF NOT EXISTS bursar.waits
(
    workspace     LowCardinality(String)        COMMENT 'Whose ledger it is',
    hour          DateTime('UTC')               COMMENT 'The hour in which the waits ended; 1970 says how far a ledger is summed',
    ledger_id     LowCardinality(String)        COMMENT 'The ledger',
    block         UInt64                        COMMENT 'The commits that are summed: those whose number, divided by 8192, is this',
    priority      LowCardinality(String)        COMMENT 'low, normal, high or critical',
    outcome       LowCardinality(String)        COMMENT 'How the waits ended',
    team          LowCardinality(String)        COMMENT 'Who waited',
    through       UInt64                        COMMENT 'The last commit that was looked at: the highest one counts' CODEC(T64, ZSTD(1)),
    waits         UInt64                        COMMENT 'How many there were' CODEC(T64, ZSTD(1)),
    waited_ms     Int64                         COMMENT 'How long they were together' CODEC(T64, ZSTD(1)),
    spread        AggregateFunction(quantileTDigest, Int64) COMMENT 'How long they were, for quantiles' CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree(through)
PRIMARY KEY (workspace, hour)
ORDER BY (workspace, hour, ledger_id, block, priority, outcome, team)
COMMENT 'How long reserves waited, by the hour, each block of commits summed whole from FINAL. May hold a row twice for a while: read with FINAL';
