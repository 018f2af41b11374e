CREATE TABLE IF NOT EXISTS bursar.ledger_events
(
    workspace             LowCardinality(String)     COMMENT 'Whose ledger it is',
    ledger_id             LowCardinality(String)     COMMENT 'Identity, first part: the ledger''s random id',
    commit                UInt64                     COMMENT 'Identity, second part: the number of the commit in its ledger, from 1 without a gap',
    idx                   Int32                      COMMENT 'Identity, third part: the place of the event in its commit, from 0; -1 is the commit itself',
    epoch                 UInt64                     COMMENT 'The reign of the writer that made the commit',
    committed_at          DateTime64(3, 'UTC')       COMMENT 'Ledger time of the commit',
    kind                  LowCardinality(String)     COMMENT 'The event''s name, such as usage.recorded; commit for the commit itself',
    at                    DateTime64(3, 'UTC')       COMMENT 'Ledger time of the event',

    reservation           String                     COMMENT 'The reservation it concerns, if one',
    principal             LowCardinality(String)     COMMENT 'Who holds the credentials',
    agent                 LowCardinality(String)     COMMENT 'Who works',
    team                  LowCardinality(String)     COMMENT 'Who is charged',
    provider              LowCardinality(String),
    account               LowCardinality(String),
    model                 LowCardinality(String),
    task_type             LowCardinality(String),
    complexity            LowCardinality(String),
    priority              LowCardinality(String)     COMMENT 'low, normal, high or critical',

    input_tokens          Int64                      COMMENT 'Granted, refused, added or used, by the kind of event; of a close: used in all. Excludes cache reads and writes',
    cache_read_tokens     Int64,
    cache_write_5m_tokens Int64,
    cache_write_1h_tokens Int64,
    output_tokens         Int64,
    requests              Int64                      COMMENT 'Provider requests, as for the tokens',
    cost_micro_usd        Int64                      COMMENT 'Of usage: what it cost; of a grant, an extension: what is held for it; of a close: what was used in all',
    unpriced              Bool                       COMMENT 'The model has no price: the cost is not known, and not 0',

    occurred_at           DateTime64(3, 'UTC')       COMMENT 'Usage: when it happened',
    granted_at            DateTime64(3, 'UTC')       COMMENT 'Usage, close: when the reservation was granted; 1970 if not known',
    standing              LowCardinality(String)     COMMENT 'Usage: open, late (after the close) or unknown (no such reservation)',
    call_id               String                     COMMENT 'Usage: the provider''s id of the call',
    batch                 Bool                       COMMENT 'Usage: billed at the batch discount',
    overrun_tokens        Int64                      COMMENT 'Usage: the part beyond the reservation',

    code                  LowCardinality(String)     COMMENT 'Denial: why',
    limit_id              LowCardinality(String)     COMMENT 'Denial, warning, window, observation: the limit it is about',
    requested             Int64                      COMMENT 'Denial: asked for, in the unit of the limit',
    available             Int64                      COMMENT 'Denial: left, in the unit of the limit',
    retryable             Bool                       COMMENT 'Denial: later may succeed',
    retry_after_ms        Int64                      COMMENT 'Denial: when to try again; 0 if not known',

    outcome               LowCardinality(String)     COMMENT 'Close: settled, released, expired or revoked',
    reason                String                     COMMENT 'Close, block: in an operator''s or agent''s words',
    granted_tokens        Int64                      COMMENT 'Close: granted in all, extensions included',
    granted_requests      Int64                      COMMENT 'Close: granted in all, extensions included',
    expires_at            DateTime64(3, 'UTC')       COMMENT 'Grant, extension, renewal: the end of the lease',

    window_start          DateTime64(3, 'UTC')       COMMENT 'Warning, window, observation: the window; 1970 if it is not open',
    window_end            DateTime64(3, 'UTC'),
    limit_used            Int64                      COMMENT 'Warning: spent; window rolled: used in the ended window; observation: used, -1 if only a percentage is known',
    limit_capacity        Int64                      COMMENT 'Warning, observation: what the window holds; 0 if not told',
    threshold_percent     Int64                      COMMENT 'Warning: the threshold that was crossed',
    used_percent_milli    Int64                      COMMENT 'Observation: thousandths of a percent, -1 if not told',
    tier                  LowCardinality(String)     COMMENT 'Observation: the plan',
    source                LowCardinality(String)     COMMENT 'Observation: where it was read',
    effective             Bool                       COMMENT 'Observation: it changed what is available',
    target                LowCardinality(String)     COMMENT 'Block: what it covers; epoch claimed: the writer',

    config_version        UInt64                     COMMENT 'The configuration that was in force for a grant or denial, or that was applied',
    limits                Nested(
        id     LowCardinality(String),
        window DateTime64(3, 'UTC'),
        amount Int64,
        within Int64)                                COMMENT 'Each limit that is charged, held on or given back to: the window charged, the amount in the unit of the limit, and of a charge the part that was held',

    events                UInt32                     COMMENT 'Commit: the number of its events',
    commit_id             String                     COMMENT 'Commit: its random id',
    data                  String                     COMMENT 'The event as it is published, JSON: what has no column here stands in it' CODEC(ZSTD(1)),
    inserted_at           DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC') COMMENT 'When ClickHouse got it',

    INDEX by_at at TYPE minmax GRANULARITY 1,
    INDEX by_occurred_at occurred_at TYPE minmax GRANULARITY 1,
    INDEX by_kind kind TYPE set(32) GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(committed_at)
ORDER BY (workspace, ledger_id, commit, idx)
COMMENT 'Every event of every ledger, one row each, and one row per commit. May hold a row twice for a while: read with FINAL';

CREATE TABLE IF NOT EXISTS bursar.ledger_unreadable
(
    workspace   LowCardinality(String) COMMENT 'Whose ledger it is',
    ledger_id   LowCardinality(String) COMMENT 'The ledger, as its neighbours tell; empty if there are none',
    commit      UInt64                 COMMENT 'Its number, as its neighbours tell; 0 if there are none',
    revision    UInt64                 COMMENT 'Its place in the stream',
    stored_at   DateTime64(3, 'UTC')   COMMENT 'When the stream got it',
    reason      String                 COMMENT 'Why it cannot be read',
    raw         String                 COMMENT 'The bytes as they are',
    inserted_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC') COMMENT 'When ClickHouse got it'
)
ENGINE = ReplacingMergeTree
ORDER BY (workspace, ledger_id, commit, cityHash64(raw))
COMMENT 'Commits that could not be read. Any row here makes bursar verify fail';
