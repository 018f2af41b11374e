CREATE OR REPLACE VIEW analyst.reservations
COMMENT 'One row per reservation: what was granted, what became of it. Live ones have the outcome live'
AS SELECT
    e.workspace AS workspace,
    e.reservation AS reservation,
    anyIf(e.principal, e.kind = 'reservation.granted') AS principal,
    anyIf(e.agent, e.kind = 'reservation.granted') AS agent,
    anyIf(e.team, e.kind = 'reservation.granted') AS team,
    anyIf(e.provider, e.kind = 'reservation.granted') AS provider,
    anyIf(e.account, e.kind = 'reservation.granted') AS account,
    anyIf(e.model, e.kind = 'reservation.granted') AS model,
    anyIf(e.task_type, e.kind = 'reservation.granted') AS task_type,
    anyIf(e.complexity, e.kind = 'reservation.granted') AS complexity,
    anyIf(e.files, e.kind = 'reservation.granted') AS files, -- that the task touches; 0 where nobody said
    anyIf(e.estimated_tokens, e.kind = 'reservation.granted') AS estimated_tokens, -- what an estimate told; 0 where none did
    anyIf(e.priority, e.kind = 'reservation.granted') AS priority,
    minIf(e.at, e.kind = 'reservation.granted') AS granted_at,
    maxOrNullIf(e.at, e.kind = 'reservation.closed') AS closed_at,
    if(countIf(e.kind = 'reservation.closed') = 0, 'live', anyIf(e.outcome, e.kind = 'reservation.closed')) AS outcome,
    anyIf(e.reason, e.kind = 'reservation.closed') AS reason,
    sumIf(e.amount, e.kind IN ('reservation.granted', 'reservation.extended')) AS granted_tokens,
    sumIf(e.amount, e.kind = 'usage.recorded') AS used_tokens,
    greatest(0, used_tokens - (granted_tokens - shrunk_tokens)) AS over_tokens,
    sumIf(e.amount, e.kind = 'reservation.shrunk') AS shrunk_tokens, -- given back for the owner of a floor while it went on
    shrunk_tokens + if(outcome = 'live', 0, greatest(0, granted_tokens - shrunk_tokens - sumIf(e.amount, e.kind = 'reservation.closed'))) AS returned_tokens,
    if(granted_tokens = 0, NULL, used_tokens / granted_tokens) AS used_ratio,
    sumIf(e.requests, e.kind IN ('reservation.granted', 'reservation.extended')) AS granted_requests,
    sumIf(e.requests, e.kind = 'usage.recorded') AS used_requests,
    sumIf(e.cost_micro_usd, e.kind IN ('reservation.granted', 'reservation.extended')) AS held_micro_usd,
    sumIf(e.cost_micro_usd, e.kind = 'usage.recorded') AS cost_micro_usd,
    max(e.unpriced) AS unpriced,
    countIf(e.kind = 'reservation.extended') AS extensions,
    e.ledger_id AS ledger_id
FROM
(
    SELECT
        workspace, ledger_id, reservation, kind, at, principal, agent, team, provider, account, model,
        task_type, complexity, files, estimated_tokens, priority, outcome, reason, requests, cost_micro_usd, unpriced,
        input_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens + output_tokens AS amount
    FROM bursar.ledger_events FINAL
    WHERE reservation != ''
      AND kind IN ('reservation.granted', 'reservation.extended', 'reservation.shrunk', 'reservation.closed', 'usage.recorded')
) AS e
GROUP BY e.workspace, e.ledger_id, e.reservation
HAVING countIf(e.kind = 'reservation.granted') > 0;
