CREATE OR REPLACE VIEW analyst.usage_hourly
COMMENT 'Usage by hour (UTC) of what happened, and by every label. Fast: made for dashboards'
AS SELECT
    workspace,
    toStartOfHour(occurred_at) AS hour,
    provider, account, team, principal, agent, model, task_type, project,
    count() AS usage_events,
    sum(e.input_tokens) AS input_tokens,
    sum(e.cache_read_tokens) AS cache_read_tokens,
    sum(e.cache_write_5m_tokens) AS cache_write_5m_tokens,
    sum(e.cache_write_1h_tokens) AS cache_write_1h_tokens,
    sum(e.output_tokens) AS output_tokens,
    sum(e.input_tokens + e.cache_read_tokens + e.cache_write_5m_tokens + e.cache_write_1h_tokens + e.output_tokens) AS total_tokens,
    sum(e.requests) AS requests,
    sum(e.cost_micro_usd) AS cost_micro_usd,
    sumIf(e.input_tokens + e.cache_read_tokens + e.cache_write_5m_tokens + e.cache_write_1h_tokens + e.output_tokens, e.unpriced) AS unpriced_tokens,
    sum(e.overrun_tokens) AS overrun_tokens
FROM bursar.ledger_events AS e FINAL
WHERE kind = 'usage.recorded'
GROUP BY ALL;

CREATE OR REPLACE VIEW analyst.decisions_hourly
COMMENT 'Decisions by hour (UTC), by every label, by what was decided and by the limit that bound. Fast: made for dashboards'
AS SELECT
    workspace,
    toStartOfHour(at) AS hour,
    provider, account, team, principal, agent, model, task_type,
    multiIf(kind = 'reservation.closed', CAST(outcome, 'String'), kind = 'reservation.dequeued', concat('queue_', outcome),
        replaceOne(kind, 'reservation.', '')) AS decision, -- granted, extended, denied, queued; settled, released, expired, revoked, preempted; queue_granted, queue_timed_out, …
    code,
    limit_id,
    if(kind = 'reservation.denied', e.reason, '') AS reason,
    kind = 'reservation.denied' AND CAST(code, 'String') IN ('insufficient_quota', 'concurrent_limit_exceeded') AND e.reason != 'held_back' AS exhausted,
    count() AS decisions,
    sum(e.input_tokens + e.cache_read_tokens + e.cache_write_5m_tokens + e.cache_write_1h_tokens + e.output_tokens) AS tokens, -- granted, asked for or, of a close, used
    sum(e.granted_tokens) AS granted_tokens, -- of a close: granted in all
    sumIf(greatest(0, e.granted_tokens - (e.input_tokens + e.cache_read_tokens + e.cache_write_5m_tokens + e.cache_write_1h_tokens + e.output_tokens)), kind = 'reservation.closed') AS returned_tokens,
    sumIf(e.cost_micro_usd, kind = 'reservation.closed') AS cost_micro_usd, -- of a close: what it cost in all
    sumIf(dateDiff('millisecond', e.occurred_at, e.at), kind = 'reservation.dequeued') AS waited_ms
FROM bursar.ledger_events AS e FINAL
WHERE kind IN ('reservation.granted', 'reservation.extended', 'reservation.denied', 'reservation.queued', 'reservation.dequeued', 'reservation.closed')
GROUP BY ALL;
