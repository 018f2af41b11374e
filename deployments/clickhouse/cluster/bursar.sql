-- The tables of Bursar on a ClickHouse cluster: see docs/analytics.md. Made from the schema by
-- go test ./services/analytics/internal/schema -run TestClusterFile -update
-- Partitions of events are months. For weeks or days put toMonday(committed_at) or toDate(committed_at) in the place of
-- toYYYYMM(committed_at) before you run it.

CREATE DATABASE IF NOT EXISTS bursar ON CLUSTER bursar;

CREATE DATABASE IF NOT EXISTS analyst ON CLUSTER bursar;

CREATE TABLE IF NOT EXISTS bursar.charges_local ON CLUSTER bursar
(
    `workspace` LowCardinality(String) COMMENT 'Whose ledger it is',
    `limit_id` LowCardinality(String) COMMENT 'The limit that was charged; empty says how far a ledger is summed',
    `quarter` DateTime('UTC') COMMENT 'The quarter of an hour in which the usage happened',
    `ledger_id` LowCardinality(String) COMMENT 'The ledger',
    `block` UInt64 COMMENT 'The commits that are summed: those whose number, divided by 8192, is this',
    `window` DateTime64(3, 'UTC') COMMENT 'The window that was charged, by its start; 1970 if none was open' CODEC(ZSTD(1)),
    `account` LowCardinality(String) COMMENT 'An account that was used',
    `through` UInt64 COMMENT 'The last commit that was looked at: the highest one counts' CODEC(T64, ZSTD(1)),
    `charges` UInt64 COMMENT 'How many there were' CODEC(T64, ZSTD(1)),
    `amount` Int64 COMMENT 'What was charged, in the unit of the limit' CODEC(T64, ZSTD(1)),
    `first_commit` UInt64 COMMENT 'The first commit with one of them' CODEC(T64, ZSTD(1)),
    `last_commit` UInt64 COMMENT 'The last commit with one of them' CODEC(T64, ZSTD(1)),
    `first_used_at` DateTime64(3, 'UTC') COMMENT 'When the first of the usage happened' CODEC(ZSTD(1)),
    `last_used_at` DateTime64(3, 'UTC') COMMENT 'When the last of the usage happened' CODEC(ZSTD(1)),
    `agents` Array(LowCardinality(String)) COMMENT 'Who used it: principal/agent' CODEC(ZSTD(1))
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/bursar/charges', '{replica}', through)
PRIMARY KEY (workspace, limit_id, quarter)
ORDER BY (workspace, limit_id, quarter, ledger_id, block, window)
COMMENT 'What was used of limits, by the quarter of an hour and the window charged, each block of commits summed whole from FINAL. May hold a row twice for a while: read with FINAL';

CREATE TABLE IF NOT EXISTS bursar.charges ON CLUSTER bursar AS bursar.charges_local
ENGINE = Distributed('bursar', 'bursar', 'charges_local', sipHash64(workspace));

CREATE TABLE IF NOT EXISTS bursar.hourly_local ON CLUSTER bursar
(
    `workspace` LowCardinality(String) COMMENT 'Whose ledger it is',
    `kind` LowCardinality(String) COMMENT 'What is summed: an event\'s name; usage.overrun is usage by the hour of its recording; empty says how far a ledger is summed',
    `hour` DateTime('UTC') COMMENT 'Of usage: when it happened; of all else: when it was recorded',
    `ledger_id` LowCardinality(String) COMMENT 'The ledger',
    `block` UInt64 COMMENT 'The commits that are summed: those whose number, divided by 8192, is this',
    `provider` LowCardinality(String),
    `account` LowCardinality(String),
    `team` LowCardinality(String),
    `principal` LowCardinality(String),
    `agent` LowCardinality(String),
    `model` LowCardinality(String),
    `task_type` LowCardinality(String),
    `project` LowCardinality(String),
    `outcome` LowCardinality(String) COMMENT 'Of a close or of the end of a wait',
    `code` LowCardinality(String) COMMENT 'Of a denial or a wait: why',
    `reason` LowCardinality(String) COMMENT 'Of a denial: why the limit refused',
    `limit_id` LowCardinality(String) COMMENT 'Of a denial or a wait: the limit that bound',
    `through` UInt64 COMMENT 'The last commit that was looked at: the highest one counts' CODEC(T64, ZSTD(1)),
    `events` UInt64 COMMENT 'How many there were' CODEC(T64, ZSTD(1)),
    `input_tokens` Int64 CODEC(T64, ZSTD(1)),
    `cache_read_tokens` Int64 CODEC(T64, ZSTD(1)),
    `cache_write_5m_tokens` Int64 CODEC(T64, ZSTD(1)),
    `cache_write_1h_tokens` Int64 CODEC(T64, ZSTD(1)),
    `output_tokens` Int64 CODEC(T64, ZSTD(1)),
    `requests` Int64 CODEC(T64, ZSTD(1)),
    `cost_micro_usd` Int64 CODEC(T64, ZSTD(1)),
    `unpriced_tokens` Int64 COMMENT 'Tokens of models without a price' CODEC(T64, ZSTD(1)),
    `overrun_tokens` Int64 COMMENT 'Usage beyond the reservation' CODEC(T64, ZSTD(1)),
    `granted_tokens` Int64 COMMENT 'Of a close: granted in all' CODEC(T64, ZSTD(1)),
    `returned_tokens` Int64 COMMENT 'Of a close: granted and not used' CODEC(T64, ZSTD(1)),
    `waited_ms` Int64 COMMENT 'Of the end of a wait: how long it was' CODEC(T64, ZSTD(1))
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/bursar/hourly', '{replica}', through)
PRIMARY KEY (workspace, kind, hour)
ORDER BY (workspace, kind, hour, ledger_id, block, team, account, model, task_type, agent, principal, provider, project, outcome, code, reason, limit_id)
COMMENT 'Sums of ledger_events by hour and label, each block of commits summed whole from FINAL. May hold a row twice for a while: read with FINAL';

CREATE TABLE IF NOT EXISTS bursar.hourly ON CLUSTER bursar AS bursar.hourly_local
ENGINE = Distributed('bursar', 'bursar', 'hourly_local', sipHash64(workspace));

CREATE TABLE IF NOT EXISTS bursar.ledger_events_local ON CLUSTER bursar
(
    `workspace` LowCardinality(String) COMMENT 'Whose ledger it is',
    `ledger_id` LowCardinality(String) COMMENT 'Identity, first part: the ledger\'s random id',
    `commit` UInt64 COMMENT 'Identity, second part: the number of the commit in its ledger, from 1 without a gap',
    `idx` Int32 COMMENT 'Identity, third part: the place of the event in its commit, from 0; -1 is the commit itself',
    `epoch` UInt64 COMMENT 'The reign of the writer that made the commit',
    `committed_at` DateTime64(3, 'UTC') COMMENT 'Ledger time of the commit' CODEC(ZSTD(1)),
    `kind` LowCardinality(String) COMMENT 'The event\'s name, such as usage.recorded; commit for the commit itself',
    `at` DateTime64(3, 'UTC') COMMENT 'Ledger time of the event' CODEC(ZSTD(1)),
    `reservation` String COMMENT 'The reservation it concerns, if one' CODEC(ZSTD(1)),
    `principal` LowCardinality(String) COMMENT 'Who holds the credentials' CODEC(ZSTD(1)),
    `agent` LowCardinality(String) COMMENT 'Who works' CODEC(ZSTD(1)),
    `team` LowCardinality(String) COMMENT 'Who is charged' CODEC(ZSTD(1)),
    `provider` LowCardinality(String) CODEC(ZSTD(1)),
    `account` LowCardinality(String) CODEC(ZSTD(1)),
    `model` LowCardinality(String) CODEC(ZSTD(1)),
    `task_type` LowCardinality(String) CODEC(ZSTD(1)),
    `complexity` LowCardinality(String) CODEC(ZSTD(1)),
    `files` Int64 DEFAULT JSONExtractInt(data, 'labels', 'files') COMMENT 'Files that the task touches; 0 where nobody said' CODEC(ZSTD(1)),
    `estimated_tokens` Int64 DEFAULT JSONExtractInt(data, 'labels', 'estimated_tokens') COMMENT 'Tokens that an estimate told the agent before it reserved; 0 where none did' CODEC(ZSTD(1)),
    `priority` LowCardinality(String) COMMENT 'low, normal, high or critical' CODEC(ZSTD(1)),
    `input_tokens` Int64 COMMENT 'Granted, refused, added or used, by the kind of event; of a close: used in all. Excludes cache reads and writes' CODEC(T64, ZSTD(1)),
    `cache_read_tokens` Int64 CODEC(T64, ZSTD(1)),
    `cache_write_5m_tokens` Int64 CODEC(T64, ZSTD(1)),
    `cache_write_1h_tokens` Int64 CODEC(T64, ZSTD(1)),
    `output_tokens` Int64 CODEC(T64, ZSTD(1)),
    `requests` Int64 COMMENT 'Provider requests, as for the tokens' CODEC(T64, ZSTD(1)),
    `cost_micro_usd` Int64 COMMENT 'Of usage: what it cost; of a grant, an extension: what is held for it; of a close: what was used in all' CODEC(T64, ZSTD(1)),
    `unpriced` Bool COMMENT 'The model has no price: the cost is not known, and not 0',
    `occurred_at` DateTime64(3, 'UTC') COMMENT 'Usage: when it happened' CODEC(ZSTD(1)),
    `granted_at` DateTime64(3, 'UTC') COMMENT 'Usage, close: when the reservation was granted; 1970 if not known' CODEC(ZSTD(1)),
    `standing` LowCardinality(String) COMMENT 'Usage: open, late (after the close) or unknown (no such reservation)',
    `call_id` String COMMENT 'Usage: the provider\'s id of the call' CODEC(ZSTD(1)),
    `session` String COMMENT 'Usage: the conversation it happened in' CODEC(ZSTD(3)),
    `project` LowCardinality(String) COMMENT 'Usage: the project it was spent for',
    `batch` Bool COMMENT 'Usage: billed at the batch discount',
    `overrun_tokens` Int64 COMMENT 'Usage: the part beyond the reservation' CODEC(T64, ZSTD(1)),
    `code` LowCardinality(String) COMMENT 'Denial: why',
    `limit_id` LowCardinality(String) COMMENT 'Denial, warning, window, observation: the limit it is about' CODEC(ZSTD(1)),
    `unit` LowCardinality(String) DEFAULT if((kind IN ('reservation.denied', 'limit.warning')), JSONExtractString(data, 'unit'), '') COMMENT 'Denial, warning: the unit of the limit, in which the figures are; empty where none binds and in older ledgers' CODEC(ZSTD(1)),
    `requested` Int64 COMMENT 'Denial: asked for, in the unit of the limit' CODEC(T64, ZSTD(1)),
    `available` Int64 COMMENT 'Denial: left, in the unit of the limit' CODEC(T64, ZSTD(1)),
    `retryable` Bool COMMENT 'Denial: later may succeed',
    `retry_after_ms` Int64 COMMENT 'Denial: when to try again; 0 if not known',
    `outcome` LowCardinality(String) COMMENT 'Close: settled, released, expired or revoked',
    `reason` String COMMENT 'Close, block: in an operator\'s or agent\'s words',
    `granted_tokens` Int64 COMMENT 'Close: granted in all, extensions included' CODEC(T64, ZSTD(1)),
    `granted_requests` Int64 COMMENT 'Close: granted in all, extensions included',
    `expires_at` DateTime64(3, 'UTC') COMMENT 'Grant, extension, renewal: the end of the lease' CODEC(ZSTD(1)),
    `window_start` DateTime64(3, 'UTC') COMMENT 'Warning, window, observation: the window; 1970 if it is not open',
    `window_end` DateTime64(3, 'UTC'),
    `limit_used` Int64 COMMENT 'Warning: spent; window rolled: used in the ended window; observation: used, -1 if only a percentage is known',
    `limit_capacity` Int64 COMMENT 'Warning, observation: what the window holds; 0 if not told',
    `threshold_percent` Int64 COMMENT 'Warning: the threshold that was crossed',
    `used_percent_milli` Int64 COMMENT 'Observation: thousandths of a percent, -1 if not told',
    `tier` LowCardinality(String) COMMENT 'Observation: the plan',
    `source` LowCardinality(String) COMMENT 'Observation: where it was read. Usage: who told of it, empty for the agent itself',
    `effective` Bool COMMENT 'Observation: it changed what is available',
    `target` LowCardinality(String) COMMENT 'Block: what it covers; epoch claimed: the writer',
    `config_version` UInt64 COMMENT 'The configuration that was in force for a grant or denial, or that was applied' CODEC(T64, ZSTD(1)),
    `limits.id` Array(LowCardinality(String)) COMMENT 'Each limit that is charged, held on or given back to: the window charged, the amount in the unit of the limit, and of a charge the part that was held',
    `limits.window` Array(DateTime64(3, 'UTC')) COMMENT 'Each limit that is charged, held on or given back to: the window charged, the amount in the unit of the limit, and of a charge the part that was held',
    `limits.amount` Array(Int64) COMMENT 'Each limit that is charged, held on or given back to: the window charged, the amount in the unit of the limit, and of a charge the part that was held',
    `limits.within` Array(Int64) COMMENT 'Each limit that is charged, held on or given back to: the window charged, the amount in the unit of the limit, and of a charge the part that was held',
    `events` UInt32 COMMENT 'Commit: the number of its events',
    `commit_id` String COMMENT 'Commit: its random id' CODEC(ZSTD(1)),
    `data` String COMMENT 'The event as it is published, JSON: what has no column here stands in it' CODEC(ZSTD(1)),
    `inserted_at` DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC') COMMENT 'When ClickHouse got it' CODEC(ZSTD(1)),
    INDEX by_at at TYPE minmax GRANULARITY 1,
    INDEX by_occurred_at occurred_at TYPE minmax GRANULARITY 1,
    INDEX by_kind kind TYPE set(32) GRANULARITY 1,
    INDEX by_counted_at if(toUnixTimestamp64Milli(occurred_at) = 0, at, occurred_at) TYPE minmax GRANULARITY 1,
    INDEX by_hour_of_use toStartOfHour(occurred_at) TYPE set(64) GRANULARITY 1
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/bursar/ledger_events', '{replica}')
PARTITION BY toYYYYMM(committed_at)
ORDER BY (workspace, ledger_id, commit, idx)
COMMENT 'Every event of every ledger, one row each, and one row per commit. May hold a row twice for a while: read with FINAL';

CREATE TABLE IF NOT EXISTS bursar.ledger_events ON CLUSTER bursar AS bursar.ledger_events_local
ENGINE = Distributed('bursar', 'bursar', 'ledger_events_local', sipHash64(workspace));

CREATE TABLE IF NOT EXISTS bursar.ledger_unreadable_local ON CLUSTER bursar
(
    `workspace` LowCardinality(String) COMMENT 'Whose ledger it is',
    `ledger_id` LowCardinality(String) COMMENT 'The ledger, as its neighbours tell; empty if there are none',
    `commit` UInt64 COMMENT 'Its number, as its neighbours tell; 0 if there are none',
    `revision` UInt64 COMMENT 'Its place in the stream',
    `stored_at` DateTime64(3, 'UTC') COMMENT 'When the stream got it',
    `reason` String COMMENT 'Why it cannot be read',
    `raw` String COMMENT 'The bytes as they are',
    `inserted_at` DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC') COMMENT 'When ClickHouse got it'
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/bursar/ledger_unreadable', '{replica}')
ORDER BY (workspace, ledger_id, commit, cityHash64(raw))
COMMENT 'Commits that could not be read. Any row here makes bursar verify fail';

CREATE TABLE IF NOT EXISTS bursar.ledger_unreadable ON CLUSTER bursar AS bursar.ledger_unreadable_local
ENGINE = Distributed('bursar', 'bursar', 'ledger_unreadable_local', sipHash64(workspace));

CREATE TABLE IF NOT EXISTS bursar.limit_log_local ON CLUSTER bursar
(
    `workspace` LowCardinality(String) COMMENT 'Whose ledger it is',
    `kind` LowCardinality(String) COMMENT 'The event\'s name; empty says how far a ledger is copied',
    `limit_id` LowCardinality(String) COMMENT 'The limit it is about; empty for a configuration',
    `committed_at` DateTime64(3, 'UTC') COMMENT 'Ledger time of the commit' CODEC(ZSTD(1)),
    `ledger_id` LowCardinality(String) COMMENT 'The ledger',
    `commit` UInt64 COMMENT 'The number of the commit',
    `idx` Int32 COMMENT 'The place of the event in its commit',
    `through` UInt64 COMMENT 'The last commit that was looked at: the highest one counts' CODEC(T64, ZSTD(1)),
    `at` DateTime64(3, 'UTC') COMMENT 'Ledger time of the event' CODEC(ZSTD(1)),
    `account` LowCardinality(String),
    `team` LowCardinality(String),
    `window_start` DateTime64(3, 'UTC') COMMENT 'As in ledger_events, and so are all that follow' CODEC(ZSTD(1)),
    `window_end` DateTime64(3, 'UTC') CODEC(ZSTD(1)),
    `limit_used` Int64 CODEC(T64, ZSTD(1)),
    `limit_capacity` Int64 CODEC(T64, ZSTD(1)),
    `threshold_percent` Int64 CODEC(T64, ZSTD(1)),
    `used_percent_milli` Int64 CODEC(T64, ZSTD(1)),
    `tier` LowCardinality(String),
    `source` LowCardinality(String),
    `effective` Bool,
    `reason` String CODEC(ZSTD(1)),
    `target` LowCardinality(String),
    `data` String CODEC(ZSTD(1))
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/bursar/limit_log', '{replica}', through)
PRIMARY KEY (workspace, kind, limit_id, committed_at)
ORDER BY (workspace, kind, limit_id, committed_at, ledger_id, commit, idx)
COMMENT 'What ledger_events has of configurations, windows, warnings and observations, where it is found without reading all else. May hold a row twice for a while: read with FINAL';

CREATE TABLE IF NOT EXISTS bursar.limit_log ON CLUSTER bursar AS bursar.limit_log_local
ENGINE = Distributed('bursar', 'bursar', 'limit_log_local', sipHash64(workspace));

CREATE TABLE IF NOT EXISTS bursar.margins_local ON CLUSTER bursar
(
    `workspace` LowCardinality(String) COMMENT 'Whose ledger it is',
    `dimension` LowCardinality(String) COMMENT 'By what is summed: provider, account, team, agent, task_type or model; empty for everything together',
    `kind` LowCardinality(String) COMMENT 'What is summed, as in hourly; of a dimension usage.recorded, reservation.granted and reservation.denied only. Empty says how far a ledger is summed',
    `hour` DateTime('UTC') COMMENT 'Of usage: when it happened; of all else: when it was recorded',
    `name` LowCardinality(String) COMMENT 'Which provider, account, team, agent, task type or model',
    `ledger_id` LowCardinality(String) COMMENT 'The ledger',
    `block` UInt64 COMMENT 'The commits that are summed: those whose number, divided by 8192, is this',
    `outcome` LowCardinality(String) COMMENT 'Of a close or of the end of a wait',
    `exhausted` Bool COMMENT 'Of a denial: for lack of quota',
    `through` UInt64 COMMENT 'The last commit that was looked at: the highest one counts' CODEC(T64, ZSTD(1)),
    `events` UInt64 COMMENT 'How many there were' CODEC(T64, ZSTD(1)),
    `input_tokens` Int64 CODEC(T64, ZSTD(1)),
    `cache_read_tokens` Int64 CODEC(T64, ZSTD(1)),
    `cache_write_5m_tokens` Int64 CODEC(T64, ZSTD(1)),
    `cache_write_1h_tokens` Int64 CODEC(T64, ZSTD(1)),
    `output_tokens` Int64 CODEC(T64, ZSTD(1)),
    `requests` Int64 CODEC(T64, ZSTD(1)),
    `cost_micro_usd` Int64 CODEC(T64, ZSTD(1)),
    `unpriced_tokens` Int64 COMMENT 'Tokens of models without a price' CODEC(T64, ZSTD(1)),
    `overrun_tokens` Int64 COMMENT 'Usage beyond the reservation' CODEC(T64, ZSTD(1)),
    `returned_tokens` Int64 COMMENT 'Of a close: granted and not used; of what was shrunk: given back' CODEC(T64, ZSTD(1))
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/bursar/margins', '{replica}', through)
PRIMARY KEY (workspace, dimension, kind, hour)
ORDER BY (workspace, dimension, kind, hour, name, ledger_id, block, outcome, exhausted)
SETTINGS index_granularity = 2048
COMMENT 'Sums of ledger_events by hour and one label at a time, each block of commits summed whole from FINAL. May hold a row twice for a while: read with FINAL';

CREATE TABLE IF NOT EXISTS bursar.margins ON CLUSTER bursar AS bursar.margins_local
ENGINE = Distributed('bursar', 'bursar', 'margins_local', sipHash64(workspace));

CREATE TABLE IF NOT EXISTS bursar.prices_local ON CLUSTER bursar
(
    `provider` LowCardinality(String) COMMENT 'Whose model it is',
    `model` LowCardinality(String) COMMENT 'The model, as the catalogue names it',
    `valid_from` Date COMMENT 'First day (UTC) of the price; 1970-01-01 if it was always so',
    `valid_to` Date COMMENT 'Day (UTC) on which it ended; 2149-06-06 while it holds',
    `above_input_tokens` Int64 COMMENT 'The price of whole calls with more input than this; 0 is the ordinary price',
    `input_micro_usd` Int64 COMMENT 'Micro-USD per million tokens of input',
    `output_micro_usd` Int64 COMMENT 'Micro-USD per million tokens of output',
    `cache_read_micro_usd` Int64 COMMENT 'Micro-USD per million tokens read from a cache',
    `cache_write_5m_micro_usd` Int64 COMMENT 'Micro-USD per million tokens written to a cache for five minutes',
    `cache_write_1h_micro_usd` Int64 COMMENT 'Micro-USD per million tokens written to a cache for an hour',
    `batch_permille` Int64 COMMENT 'What a batch call pays of each, in thousandths; 0 if no batch price is published',
    `catalogue` String COMMENT 'The catalogue it is from: a digest of all its prices',
    `loaded_at` DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC') COMMENT 'When ClickHouse got it'
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/bursar/prices', '{replica}', loaded_at)
ORDER BY (catalogue, provider, model, valid_from, above_input_tokens)
COMMENT 'The built-in prices, by the catalogue of the service that loaded them last. Read analyst.prices';

CREATE TABLE IF NOT EXISTS bursar.prices ON CLUSTER bursar AS bursar.prices_local
ENGINE = Distributed('bursar', 'bursar', 'prices_local', 0);

CREATE TABLE IF NOT EXISTS bursar.schema_migrations_local ON CLUSTER bursar
(
    `name` String COMMENT 'File that was applied',
    `checksum` String COMMENT 'SHA-256 of the file, in hexadecimal digits',
    `applied_at` DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/bursar/schema_migrations', '{replica}')
ORDER BY (name, applied_at)
COMMENT 'What was applied to the schema, and when; the latest row of a name counts';

CREATE TABLE IF NOT EXISTS bursar.schema_migrations ON CLUSTER bursar AS bursar.schema_migrations_local
ENGINE = Distributed('bursar', 'bursar', 'schema_migrations_local', 0);

CREATE TABLE IF NOT EXISTS bursar.suggestions_local ON CLUSTER bursar
(
    `workspace` LowCardinality(String) COMMENT 'Whose advice it is',
    `suggestion_id` String COMMENT 'Rule, subject and week: the same advice in the same week has the same id',
    `rule` LowCardinality(String) COMMENT 'Which rule made it',
    `provider` LowCardinality(String) COMMENT 'What it is about; what does not matter is empty',
    `account` LowCardinality(String),
    `target` LowCardinality(String) COMMENT 'The account to move work to',
    `limit_id` LowCardinality(String),
    `team` LowCardinality(String),
    `task_type` LowCardinality(String),
    `title` String COMMENT 'What is the case, one line',
    `advice` String COMMENT 'What to do about it',
    `saving_micro_usd` Int64 COMMENT 'What following it would have been worth over the window',
    `saving_basis` LowCardinality(String) COMMENT 'In which sense: avoidable_spend, freed_budget or delayed_work',
    `confidence_percent` Float64 COMMENT '0 to 100, computed from the evidence',
    `window_starts_at` DateTime64(3, 'UTC') COMMENT 'Of the evidence',
    `window_ends_at` DateTime64(3, 'UTC'),
    `made_at` DateTime64(3, 'UTC') COMMENT 'When it was first made',
    `listed_at` DateTime64(3, 'UTC') COMMENT 'Ledger time of the list that it was in last',
    `revision` UInt64 COMMENT 'The revision of that list: the highest of a workspace is the current one',
    `data` String COMMENT 'The suggestion as it is published, JSON' CODEC(ZSTD(3))
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/bursar/suggestions', '{replica}', revision)
ORDER BY (workspace, suggestion_id)
COMMENT 'Every suggestion that was made, as it was told last. Read analyst.suggestions';

CREATE TABLE IF NOT EXISTS bursar.suggestions ON CLUSTER bursar AS bursar.suggestions_local
ENGINE = Distributed('bursar', 'bursar', 'suggestions_local', sipHash64(workspace));

CREATE TABLE IF NOT EXISTS bursar.waits_local ON CLUSTER bursar
(
    `workspace` LowCardinality(String) COMMENT 'Whose ledger it is',
    `hour` DateTime('UTC') COMMENT 'The hour in which the waits ended; 1970 says how far a ledger is summed',
    `ledger_id` LowCardinality(String) COMMENT 'The ledger',
    `block` UInt64 COMMENT 'The commits that are summed: those whose number, divided by 8192, is this',
    `priority` LowCardinality(String) COMMENT 'low, normal, high or critical',
    `outcome` LowCardinality(String) COMMENT 'How the waits ended',
    `team` LowCardinality(String) COMMENT 'Who waited',
    `through` UInt64 COMMENT 'The last commit that was looked at: the highest one counts' CODEC(T64, ZSTD(1)),
    `waits` UInt64 COMMENT 'How many there were' CODEC(T64, ZSTD(1)),
    `waited_ms` Int64 COMMENT 'How long they were together' CODEC(T64, ZSTD(1)),
    `spread` AggregateFunction(quantileTDigest, Int64) COMMENT 'How long they were, for quantiles' CODEC(ZSTD(1))
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/bursar/waits', '{replica}', through)
PRIMARY KEY (workspace, hour)
ORDER BY (workspace, hour, ledger_id, block, priority, outcome, team)
COMMENT 'How long reserves waited, by the hour, each block of commits summed whole from FINAL. May hold a row twice for a while: read with FINAL';

CREATE TABLE IF NOT EXISTS bursar.waits ON CLUSTER bursar AS bursar.waits_local
ENGINE = Distributed('bursar', 'bursar', 'waits_local', sipHash64(workspace));

INSERT INTO bursar.schema_migrations (name, checksum) VALUES
    ('migrations/0001_ledger_events.sql', '1a4ac116f0197bc2d3f25caf0228def682b4feda0cbe63fd6a45ca1628a9c7f0'),
    ('migrations/0002_usage_source.sql', '5923171e40888f87b53ebc93500ce600c4faf5bbc2561306bb496661289dafd0'),
    ('migrations/0003_prices_suggestions.sql', '20f43bd7d62aa86533bcfb979a0f9d73b320236e26b623a32d00bf89ee8dd75c'),
    ('migrations/0004_hourly.sql', '6d502c2fb6b47cdf9dedd640e80ea1189c8da924e38d12b95b0544158ceac329'),
    ('migrations/0005_codecs.sql', '00628553b207c81caa8f93103c27d0d530d91b999d992124cc25aa7612a8441a'),
    ('migrations/0006_files_estimates.sql', '542f5db16423193bf166f48e14b47a461e6b7b5a683ed99a8601b0cfea463fcd'),
    ('migrations/0007_sums_of_limits_and_waits.sql', '977799428b99019d93bc6287482a892d4d6130e0507c8abc817fb417443c98bf'),
    ('migrations/0008_limit_log.sql', '44dc79b3d700976d7a5fb63ae1700334f51eba0ab7f18b7561ffccb8d920c5cf'),
    ('migrations/0009_index_of_times.sql', '65a761d6c73ccc150ac112b9478b8267ce79f94dd6177fa339bc7607379baad0'),
    ('migrations/0010_margins.sql', 'ce1cab9d92695451d8872b5de4a8a385f4e10e2036f0c22d82e32333fc12eb64'),
    ('migrations/0011_unit_codecs.sql', '91fa50cdc203c9119f8664a43af11af620e40a045e227fe7d9c67cb283afa6ef');
