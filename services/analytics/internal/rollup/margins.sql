INSERT INTO bursar.margins
(
    workspace, dimension, kind, hour, name, ledger_id, block, outcome, exhausted, through, events,
    input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, requests, cost_micro_usd,
    unpriced_tokens, overrun_tokens, returned_tokens
)
SELECT
    {workspace:String}, d.1 AS counted_by, g.counted_as, g.counted_in, d.2 AS counted_name, {ledger:String}, g.counted_block, g.counted_outcome,
    g.counted_exhausted, {through:UInt64}, sum(g.n), sum(g.input), sum(g.cache_read), sum(g.cache_write_5m), sum(g.cache_write_1h), sum(g.output),
    sum(g.calls), sum(g.cost), sum(g.unpriced_amount), sum(g.overrun), sum(g.returned)
FROM
(
    -- First by all labels at once: that leaves a fraction of the rows for what follows.
    SELECT
        e.counted_as AS counted_as, e.counted_in AS counted_in, e.counted_block AS counted_block, e.counted_outcome AS counted_outcome,
        e.counted_exhausted AS counted_exhausted, e.provider AS provider, e.account AS account, e.team AS team, e.agent AS agent, e.task_type AS task_type,
        e.model AS model, count() AS n, sum(e.input_tokens) AS input, sum(e.cache_read_tokens) AS cache_read,
        sum(e.cache_write_5m_tokens) AS cache_write_5m, sum(e.cache_write_1h_tokens) AS cache_write_1h, sum(e.output_tokens) AS output,
        sum(e.requests) AS calls, sum(e.cost_micro_usd) AS cost, sumIf(e.tokens, e.unpriced) AS unpriced_amount, sum(e.overrun_tokens) AS overrun,
        sumIf(greatest(0, e.granted_tokens - e.tokens), counted_as = 'reservation.closed') + sumIf(e.tokens, counted_as = 'reservation.shrunk') AS returned
    FROM
    (
        SELECT
            intDiv(commit, {block:UInt64}) AS counted_block, provider, account, team, agent, model, task_type,
            if(kind IN ('reservation.closed', 'reservation.dequeued'), CAST(outcome, 'String'), '') AS counted_outcome,
            kind = 'reservation.denied' AND code IN ('insufficient_quota', 'concurrent_limit_exceeded') AND reason != 'held_back' AS counted_exhausted,
            input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens,
            input_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens + output_tokens AS tokens,
            requests, cost_micro_usd, unpriced, overrun_tokens, granted_tokens, c.1 AS counted_as, toStartOfHour(c.2) AS counted_in
        FROM bursar.ledger_events FINAL
        ARRAY JOIN if(kind = 'usage.recorded',
            if(overrun_tokens = 0, [(CAST(kind, 'String'), occurred_at)], [(CAST(kind, 'String'), occurred_at), ('usage.overrun', at)]),
            [(CAST(kind, 'String'), at)]) AS c
        WHERE workspace = {workspace:String} AND ledger_id = {ledger:String} AND commit BETWEEN {first:UInt64} AND {through:UInt64}
            AND kind IN ('usage.recorded', 'reservation.granted', 'reservation.extended', 'reservation.denied', 'reservation.dequeued',
                'reservation.shrunk', 'reservation.closed')
    ) AS e
    GROUP BY counted_as, counted_in, counted_block, counted_outcome, counted_exhausted, provider, account, team, agent, task_type, model
) AS g
ARRAY JOIN if(g.counted_as IN ('usage.recorded', 'reservation.granted', 'reservation.denied'),
    [('', ''), ('provider', CAST(g.provider, 'String')), ('account', CAST(g.account, 'String')), ('team', CAST(g.team, 'String')),
     ('agent', CAST(g.agent, 'String')), ('task_type', CAST(g.task_type, 'String')), ('model', CAST(g.model, 'String'))],
    [('', '')]) AS d
GROUP BY counted_by, g.counted_as, g.counted_in, counted_name, g.counted_block, g.counted_outcome, g.counted_exhausted
UNION ALL
SELECT
    {workspace:String}, '', '', toDateTime(0, 'UTC'), '', {ledger:String}, 0, '', false, {through:UInt64}, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
