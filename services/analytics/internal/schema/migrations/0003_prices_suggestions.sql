CREATE TABLE IF NOT EXISTS bursar.prices
(
    provider              LowCardinality(String) COMMENT 'Whose model it is',
    model                 LowCardinality(String) COMMENT 'The model, as the catalogue names it',
    valid_from            Date                   COMMENT 'First day (UTC) of the price; 1970-01-01 if it was always so',
    valid_to              Date                   COMMENT 'Day (UTC) on which it ended; 2149-06-06 while it holds',
    above_input_tokens    Int64                  COMMENT 'The price of whole calls with more input than this; 0 is the ordinary price',
    input_micro_usd       Int64                  COMMENT 'Micro-USD per million tokens of input',
    output_micro_usd      Int64                  COMMENT 'Micro-USD per million tokens of output',
    cache_read_micro_usd  Int64                  COMMENT 'Micro-USD per million tokens read from a cache',
    cache_write_5m_micro_usd Int64               COMMENT 'Micro-USD per million tokens written to a cache for five minutes',
    cache_write_1h_micro_usd Int64               COMMENT 'Micro-USD per million tokens written to a cache for an hour',
    batch_permille        Int64                  COMMENT 'What a batch call pays of each, in thousandths; 0 if no batch price is published',
    catalogue             String                 COMMENT 'The catalogue it is from: a digest of all its prices',
    loaded_at             DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC') COMMENT 'When ClickHouse got it'
)
ENGINE = ReplacingMergeTree(loaded_at)
ORDER BY (catalogue, provider, model, valid_from, above_input_tokens)
COMMENT 'The built-in prices, by the catalogue of the service that loaded them last. Read analyst.prices';

CREATE TABLE IF NOT EXISTS bursar.suggestions
(
    workspace           LowCardinality(String) COMMENT 'Whose advice it is',
    suggestion_id       String                 COMMENT 'Rule, subject and week: the same advice in the same week has the same id',
    rule                LowCardinality(String) COMMENT 'Which rule made it',
    provider            LowCardinality(String) COMMENT 'What it is about; what does not matter is empty',
    account             LowCardinality(String),
    target              LowCardinality(String) COMMENT 'The account to move work to',
    limit_id            LowCardinality(String),
    team                LowCardinality(String),
    task_type           LowCardinality(String),
    title               String                 COMMENT 'What is the case, one line',
    advice              String                 COMMENT 'What to do about it',
    saving_micro_usd    Int64                  COMMENT 'What following it would have been worth over the window',
    saving_basis        LowCardinality(String) COMMENT 'In which sense: avoidable_spend, freed_budget or delayed_work',
    confidence_percent  Float64                COMMENT '0 to 100, computed from the evidence',
    window_starts_at    DateTime64(3, 'UTC')   COMMENT 'Of the evidence',
    window_ends_at      DateTime64(3, 'UTC'),
    made_at             DateTime64(3, 'UTC')   COMMENT 'When it was first made',
    listed_at           DateTime64(3, 'UTC')   COMMENT 'Ledger time of the list that it was in last',
    revision            UInt64                 COMMENT 'The revision of that list: the highest of a workspace is the current one',
    data                String                 COMMENT 'The suggestion as it is published, JSON' CODEC(ZSTD(3))
)
ENGINE = ReplacingMergeTree(revision)
ORDER BY (workspace, suggestion_id)
COMMENT 'Every suggestion that was made, as it was told last. Read analyst.suggestions';
