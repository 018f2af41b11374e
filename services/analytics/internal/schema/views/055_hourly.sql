CREATE OR REPLACE VIEW analyst.usage_hourly
COMMENT 'Usage by hour (UTC) of what happened, and by every label. Fast, some seconds behind the events. An hour and labels may have several rows: sum them'
AS SELECT
    h.workspace AS workspace,
    h.hour AS hour,
    h.provider AS provider, h.account AS account, h.team AS team, h.principal AS principal, h.agent AS agent,
    h.model AS model, h.task_type AS task_type, h.project AS project,
    h.events AS usage_events,
    h.input_tokens AS input_tokens,
    h.cache_read_tokens AS cache_read_tokens,
    h.cache_write_5m_tokens AS cache_write_5m_tokens,
    h.cache_write_1h_tokens AS cache_write_1h_tokens,
    h.output_tokens AS output_tokens,
    h.input_tokens + h.cache_read_tokens + h.cache_write_5m_tokens + h.cache_write_1h_tokens + h.output_tokens AS total_tokens,
    h.requests AS requests,
    h.cost_micro_usd AS cost_micro_usd,
    h.unpriced_tokens AS unpriced_tokens,
    h.overrun_tokens AS overrun_tokens
FROM bursar.hourly AS h FINAL
WHERE h.kind = 'usage.recorded';

CREATE OR REPLACE VIEW analyst.decisions_hourly
COMMENT 'Decisions by hour (UTC), by every label, by what was decided and by the limit that bound. Fast, some seconds behind the events. An hour and labels may have several rows: sum them'
AS SELECT
    h.workspace AS workspace,
    h.hour AS hour,
    h.provider AS provider, h.account AS account, h.team AS team, h.principal AS principal, h.agent AS agent,
    h.model AS model, h.task_type AS task_type,
    -- granted, extended, denied, queued, shrunk; settled, released, expired, revoked, preempted; queue_granted, queue_timed_out, …
    multiIf(h.kind = 'reservation.closed', CAST(h.outcome, 'String'), h.kind = 'reservation.dequeued', concat('queue_', h.outcome),
        substring(h.kind, length('reservation.') + 1)) AS decision,
    h.code AS code,
    h.limit_id AS limit_id,
    h.reason AS reason,
    h.kind = 'reservation.denied' AND h.code IN ('insufficient_quota', 'concurrent_limit_exceeded') AND h.reason != 'held_back' AS exhausted,
    h.events AS decisions,
    -- granted, asked for, given back by what was shrunk or, of a close, used
    h.input_tokens + h.cache_read_tokens + h.cache_write_5m_tokens + h.cache_write_1h_tokens + h.output_tokens AS tokens,
    h.granted_tokens AS granted_tokens, -- of a close: granted in all
    h.returned_tokens AS returned_tokens, -- of a close: granted and not used; of what was shrunk: given back
    if(h.kind = 'reservation.closed', h.cost_micro_usd, 0) AS cost_micro_usd, -- of a close: what it cost in all
    h.waited_ms AS waited_ms -- of the end of a wait
FROM bursar.hourly AS h FINAL
WHERE h.kind IN ('reservation.granted', 'reservation.extended', 'reservation.denied', 'reservation.queued', 'reservation.dequeued',
    'reservation.shrunk', 'reservation.closed');

CREATE OR REPLACE VIEW analyst.waits_hourly
COMMENT 'Waits in the queue by hour (UTC) of their end, priority, outcome and team. Fast, some seconds behind the events. An hour and labels may have several rows: sum them; quantileTDigestMerge(0.9)(spread) gives a quantile in milliseconds'
AS SELECT
    w.workspace AS workspace, w.hour AS hour, w.priority AS priority, w.outcome AS outcome, w.team AS team,
    w.waits AS waits, w.waited_ms AS waited_ms, w.spread AS spread
FROM bursar.waits AS w FINAL
WHERE w.hour != toDateTime(0, 'UTC');

CREATE OR REPLACE VIEW analyst.limit_use
COMMENT 'What was used of limits by the quarter of an hour (UTC) in which it happened and the window that was charged. Fast, some seconds behind the events. A quarter may have several rows: sum them'
AS SELECT
    c.workspace AS workspace, c.quarter AS quarter, c.limit_id AS limit_id,
    if(toUnixTimestamp64Milli(c.window) = 0, NULL, c.window) AS window_start,
    c.account AS account, c.charges AS charges, c.amount AS amount,
    c.first_used_at AS first_used_at, c.last_used_at AS last_used_at, c.agents AS agents
FROM bursar.charges AS c FINAL
WHERE c.limit_id != '';

CREATE OR REPLACE VIEW analyst.summed
COMMENT 'How far each ledger is in usage_hourly, decisions_hourly, waits_hourly, limit_use and the views of limits, in all of them'
AS SELECT s.workspace AS workspace, s.ledger_id AS ledger_id, if(count() = 4, min(s.through), 0) AS through_commit
FROM
(
    SELECT workspace, ledger_id, max(through) AS through FROM bursar.hourly WHERE kind = '' GROUP BY workspace, ledger_id
    UNION ALL
    SELECT workspace, ledger_id, max(through) FROM bursar.charges WHERE limit_id = '' GROUP BY workspace, ledger_id
    UNION ALL
    SELECT workspace, ledger_id, max(through) FROM bursar.waits WHERE hour = toDateTime(0, 'UTC') GROUP BY workspace, ledger_id
    UNION ALL
    SELECT workspace, ledger_id, max(through) FROM bursar.limit_log WHERE kind = '' GROUP BY workspace, ledger_id
) AS s
GROUP BY s.workspace, s.ledger_id;
