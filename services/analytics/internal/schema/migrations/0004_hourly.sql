CREATE TABLE IF NOT EXISTS bursar.hourly
(
    workspace             LowCardinality(String)     COMMENT 'Whose ledger it is',
    kind                  LowCardinality(String)     COMMENT 'What is summed: an event''s name; usage.overrun is usage by the hour of its recording; empty says how far a ledger is summed',
    hour                  DateTime('UTC')            COMMENT 'Of usage: when it happened; of all else: when it was recorded',
    ledger_id             LowCardinality(String)     COMMENT 'The ledger',
    block                 UInt64                     COMMENT 'The commits that are summed: those whose number, divided by 8192, is this',
    provider              LowCardinality(String),
    account               LowCardinality(String),
    team                  LowCardinality(String),
    principal             LowCardinality(String),
    agent                 LowCardinality(String),
    model                 LowCardinality(String),
    task_type             LowCardinality(String),
    project               LowCardinality(String),
    outcome               LowCardinality(String)     COMMENT 'Of a close or of the end of a wait',
    code                  LowCardinality(String)     COMMENT 'Of a denial or a wait: why',
    reason                LowCardinality(String)     COMMENT 'Of a denial: why the limit refused',
    limit_id              LowCardinality(String)     COMMENT 'Of a denial or a wait: the limit that bound',
    through               UInt64                     COMMENT 'The last commit that was looked at: the highest one counts' CODEC(T64, ZSTD(1)),
    events                UInt64                     COMMENT 'How many there were' CODEC(T64, ZSTD(1)),
    input_tokens          Int64 CODEC(T64, ZSTD(1)),
    cache_read_tokens     Int64 CODEC(T64, ZSTD(1)),
    cache_write_5m_tokens Int64 CODEC(T64, ZSTD(1)),
    cache_write_1h_tokens Int64 CODEC(T64, ZSTD(1)),
    output_tokens         Int64 CODEC(T64, ZSTD(1)),
    requests              Int64 CODEC(T64, ZSTD(1)),
    cost_micro_usd        Int64 CODEC(T64, ZSTD(1)),
    unpriced_tokens       Int64                      COMMENT 'Tokens of models without a price' CODEC(T64, ZSTD(1)),
    overrun_tokens        Int64                      COMMENT 'Usage beyond the reservation' CODEC(T64, ZSTD(1)),
    granted_tokens        Int64                      COMMENT 'Of a close: granted in all' CODEC(T64, ZSTD(1)),
    returned_tokens       Int64                      COMMENT 'Of a close: granted and not used' CODEC(T64, ZSTD(1)),
    waited_ms             Int64                      COMMENT 'Of the end of a wait: how long it was' CODEC(T64, ZSTD(1))
)
ENGINE = ReplacingMergeTree(through)
PRIMARY KEY (workspace, kind, hour)
ORDER BY (workspace, kind, hour, ledger_id, block, team, account, model, task_type, agent, principal, provider, project, outcome, code, reason, limit_id)
COMMENT 'Sums of ledger_events by hour and label, each block of commits summed whole from FINAL. May hold a row twice for a while: read with FINAL';
