CREATE OR REPLACE VIEW analyst.estimation
COMMENT 'How well reservations matched what was used, by day of the close (UTC), team, agent, task type, complexity and model'
AS SELECT
    r.workspace AS workspace,
    toDate(assumeNotNull(r.closed_at)) AS day,
    r.team AS team,
    r.agent AS agent,
    r.task_type AS task_type,
    r.complexity AS complexity,
    r.model AS model,
    count() AS reservations,
    countIf(r.used_tokens > r.granted_tokens) AS under_estimated,
    countIf(r.used_tokens * 2 < r.granted_tokens) AS over_estimated,
    sum(r.granted_tokens) AS sum_granted_tokens,
    sum(r.used_tokens) AS sum_used_tokens,
    if(sum_granted_tokens = 0, NULL, sum_used_tokens / sum_granted_tokens) AS used_ratio,
    quantileExactOrNull(0.5)(r.used_ratio) AS used_ratio_p50,
    quantileExactOrNull(0.9)(r.used_ratio) AS used_ratio_p90,
    quantileExactOrNull(0.99)(r.used_ratio) AS used_ratio_p99
FROM analyst.reservations AS r
WHERE r.outcome != 'live'
GROUP BY ALL;

CREATE OR REPLACE VIEW analyst.denials_by_hour
COMMENT 'Refusals by hour (UTC), code and limit'
AS SELECT
    d.workspace AS workspace,
    toStartOfHour(d.denied_at) AS hour,
    d.code AS code,
    d.limit_id AS limit_id,
    d.account AS account,
    count() AS denials,
    uniqExact(d.principal, d.agent) AS agents,
    sum(d.asked_tokens) AS asked_tokens
FROM analyst.denials AS d
GROUP BY ALL;

CREATE OR REPLACE VIEW analyst.peak_periods
COMMENT 'Hours (UTC) by tokens used, the busiest of each workspace first: rank 1 is the peak'
AS SELECT
    h.workspace AS workspace,
    h.hour AS hour,
    sum(h.total_tokens) AS tokens,
    sum(h.requests) AS request_count,
    sum(h.cost_micro_usd) AS cost,
    row_number() OVER (PARTITION BY workspace ORDER BY tokens DESC, hour ASC) AS rank
FROM analyst.usage_by_hour AS h
GROUP BY workspace, hour;

CREATE OR REPLACE VIEW analyst.commits
COMMENT 'One row per commit, and how long after it ClickHouse had it'
AS SELECT
    workspace,
    commit,
    epoch,
    committed_at,
    inserted_at,
    (toUnixTimestamp64Milli(inserted_at) - toUnixTimestamp64Milli(committed_at)) AS lag_ms,
    events,
    commit_id,
    ledger_id
FROM bursar.ledger_events FINAL
WHERE idx = -1;

CREATE OR REPLACE VIEW analyst.unreadable
COMMENT 'Commits that could not be read: their events are missing from every other view'
AS SELECT workspace, ledger_id, commit, revision, stored_at, reason, length(raw) AS raw_bytes, inserted_at
FROM bursar.ledger_unreadable FINAL;
