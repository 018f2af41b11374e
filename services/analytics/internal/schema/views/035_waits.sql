CREATE OR REPLACE VIEW analyst.waits
COMMENT 'One row per wait in the queue that has ended: who, how long, how it ended, and what stood in the way at its end'
AS SELECT
    workspace,
    occurred_at AS queued_at,
    at AS ended_at,
    dateDiff('millisecond', occurred_at, at) AS waited_ms,
    outcome,
    principal, agent, team, provider, account, model, task_type, complexity, priority,
    reservation,
    code,
    limit_id,
    input_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens + output_tokens AS wanted_tokens,
    reason,
    ledger_id, commit, idx
FROM bursar.ledger_events FINAL
WHERE kind = 'reservation.dequeued';
