-- The hour of usage: late usage widens the least and the greatest time of a granule to days, and the set of its hours by one.
ALTER TABLE bursar.ledger_events
    ADD INDEX IF NOT EXISTS by_hour_of_use toStartOfHour(occurred_at) TYPE set(64) GRANULARITY 1;

CREATE TABLE IF NOT EXISTS bursar.margins
(
    workspace             LowCardinality(String) COMMENT 'Whose ledger it is',
    dimension             LowCardinality(String) COMMENT 'By what is summed: provider, account, team, agent, task_type or model; empty for everything together',
    kind                  LowCardinality(String) COMMENT 'What is summed, as in hourly; of a dimension usage.recorded, reservation.granted and reservation.denied only. Empty says how far a ledger is summed',
    hour                  DateTime('UTC')        COMMENT 'Of usage: when it happened; of all else: when it was recorded',
    name                  LowCardinality(String) COMMENT 'Which provider, account, team, agent, task type or model',
    ledger_id             LowCardinality(String) COMMENT 'The ledger',
    block                 UInt64                 COMMENT 'The commits that are summed: those whose number, divided by 8192, is this',
    outcome               LowCardinality(String) COMMENT 'Of a close or of the end of a wait',
    exhausted             Bool                   COMMENT 'Of a denial: for lack of quota',
    through               UInt64                 COMMENT 'The last commit that was looked at: the highest one counts' CODEC(T64, ZSTD(1)),
    events                UInt64                 COMMENT 'How many there were' CODEC(T64, ZSTD(1)),
    input_tokens          Int64 CODEC(T64, ZSTD(1)),
    cache_read_tokens     Int64 CODEC(T64, ZSTD(1)),
    cache_write_5m_tokens Int64 CODEC(T64, ZSTD(1)),
    cache_write_1h_tokens Int64 CODEC(T64, ZSTD(1)),
    output_tokens         Int64 CODEC(T64, ZSTD(1)),
    requests              Int64 CODEC(T64, ZSTD(1)),
    cost_micro_usd        Int64 CODEC(T64, ZSTD(1)),
    unpriced_tokens       Int64                  COMMENT 'Tokens of models without a price' CODEC(T64, ZSTD(1)),
    overrun_tokens        Int64                  COMMENT 'Usage beyond the reservation' CODEC(T64, ZSTD(1)),
    returned_tokens       Int64                  COMMENT 'Of a close: granted and not used; of what was shrunk: given back' CODEC(T64, ZSTD(1))
)
ENGINE = ReplacingMergeTree(through)
PRIMARY KEY (workspace, dimension, kind, hour)
ORDER BY (workspace, dimension, kind, hour, name, ledger_id, block, outcome, exhausted)
SETTINGS index_granularity = 2048
COMMENT 'Sums of ledger_events by hour and one label at a time, each block of commits summed whole from FINAL. May hold a row twice for a while: read with FINAL';
