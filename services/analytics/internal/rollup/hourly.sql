INSERT INTO bursar.hourly
(
    workspace, kind, hour, ledger_id, block, provider, account, team, principal, agent, model, task_type, project,
    outcome, code, reason, limit_id, through, events,
    input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, requests, cost_micro_usd,
    unpriced_tokens, overrun_tokens, granted_tokens, returned_tokens, waited_ms
)
SELECT
    workspace, counted_as, counted_in, ledger_id, block, provider, account, team, principal, agent, model, task_type, project,
    e.counted_outcome, e.counted_code, e.counted_reason, e.counted_limit, {through:UInt64}, count(),
    sum(e.input_tokens), sum(e.cache_read_tokens), sum(e.cache_write_5m_tokens), sum(e.cache_write_1h_tokens), sum(e.output_tokens),
    sum(e.requests), sum(e.cost_micro_usd), sumIf(e.tokens, e.unpriced), sum(e.overrun_tokens), sum(e.granted_tokens),
    sumIf(greatest(0, e.granted_tokens - e.tokens), counted_as = 'reservation.closed') + sumIf(e.tokens, counted_as = 'reservation.shrunk'),
    sumIf(dateDiff('millisecond', e.occurred_at, e.at), counted_as = 'reservation.dequeued')
FROM
(
    SELECT
        workspace, ledger_id, intDiv(commit, {block:UInt64}) AS block,
        provider, account, team, principal, agent, model, task_type, project,
        if(kind IN ('reservation.closed', 'reservation.dequeued'), outcome, '') AS counted_outcome,
        if(kind IN ('reservation.denied', 'reservation.queued', 'reservation.dequeued'), code, '') AS counted_code,
        if(kind = 'reservation.denied', reason, '') AS counted_reason,
        if(kind IN ('reservation.denied', 'reservation.queued', 'reservation.dequeued'), limit_id, '') AS counted_limit,
        input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens,
        input_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens + output_tokens AS tokens,
        requests, cost_micro_usd, unpriced, overrun_tokens, granted_tokens, occurred_at, at,
        c.1 AS counted_as, toStartOfHour(c.2) AS counted_in
    FROM bursar.ledger_events FINAL
    ARRAY JOIN if(kind = 'usage.recorded',
        if(overrun_tokens = 0, [(CAST(kind, 'String'), occurred_at)], [(CAST(kind, 'String'), occurred_at), ('usage.overrun', at)]),
        [(CAST(kind, 'String'), at)]) AS c
    WHERE workspace = {workspace:String} AND ledger_id = {ledger:String} AND commit BETWEEN {first:UInt64} AND {through:UInt64}
        AND kind IN ('usage.recorded', 'reservation.granted', 'reservation.extended', 'reservation.denied', 'reservation.queued',
            'reservation.dequeued', 'reservation.shrunk', 'reservation.closed')
) AS e
GROUP BY workspace, counted_as, counted_in, ledger_id, block, provider, account, team, principal, agent, model, task_type, project,
    counted_outcome, counted_code, counted_reason, counted_limit
UNION ALL
SELECT
    {workspace:String}, '', toDateTime(0, 'UTC'), {ledger:String}, 0, '', '', '', '', '', '', '', '', '', '', '', '',
    {through:UInt64}, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
