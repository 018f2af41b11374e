CREATE TABLE IF NOT EXISTS bursar.limit_log
(
    workspace          LowCardinality(String) COMMENT 'Whose ledger it is',
    kind               LowCardinality(String) COMMENT 'The event''s name; empty says how far a ledger is copied',
    limit_id           LowCardinality(String) COMMENT 'The limit it is about; empty for a configuration',
    committed_at       DateTime64(3, 'UTC')   COMMENT 'Ledger time of the commit' CODEC(ZSTD(1)),
    ledger_id          LowCardinality(String) COMMENT 'The ledger',
    commit             UInt64                 COMMENT 'The number of the commit',
    idx                Int32                  COMMENT 'The place of the event in its commit',
    through            UInt64                 COMMENT 'The last commit that was looked at: the highest one counts' CODEC(T64, ZSTD(1)),
    at                 DateTime64(3, 'UTC')   COMMENT 'Ledger time of the event' CODEC(ZSTD(1)),
    account            LowCardinality(String),
    team               LowCardinality(String),
    window_start       DateTime64(3, 'UTC')   COMMENT 'As in ledger_events, and so are all that follow' CODEC(ZSTD(1)),
    window_end         DateTime64(3, 'UTC')   CODEC(ZSTD(1)),
    limit_used         Int64                  CODEC(T64, ZSTD(1)),
    limit_capacity     Int64                  CODEC(T64, ZSTD(1)),
    threshold_percent  Int64                  CODEC(T64, ZSTD(1)),
    used_percent_milli Int64                  CODEC(T64, ZSTD(1)),
    tier               LowCardinality(String),
    source             LowCardinality(String),
    effective          Bool,
    reason             String                 CODEC(ZSTD(1)),
    target             LowCardinality(String),
    data               String                 CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree(through)
PRIMARY KEY (workspace, kind, limit_id, committed_at)
ORDER BY (workspace, kind, limit_id, committed_at, ledger_id, commit, idx)
COMMENT 'What ledger_events has of configurations, windows, warnings and observations, where it is found without reading all else. May hold a row twice for a while: read with FINAL';
