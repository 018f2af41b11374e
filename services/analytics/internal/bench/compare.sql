SELECT CAST(e.workspace, 'String') AS name, e.rows, e.usage, e.agents, e.tokens, e.cost,
    (e.summed_usage, e.summed_grants, e.summed_tokens, e.summed_cost) = (h.usage, h.grants, h.tokens, h.cost)
        AND e.summed_amount = c.amount AND e.about_limits = l.rows AS agree
FROM
(
    SELECT workspace, count() AS rows, countIf(kind = 'usage.recorded') AS usage, uniqExact(agent) AS agents,
        sumIf(input_tokens + output_tokens, kind = 'usage.recorded') AS tokens, sumIf(cost_micro_usd, kind = 'usage.recorded') AS cost,
        countIf(kind = 'usage.recorded' AND commit <= {summed:UInt64}) AS summed_usage,
        countIf(kind = 'reservation.granted' AND commit <= {summed:UInt64}) AS summed_grants,
        sumIf(input_tokens + output_tokens, kind = 'usage.recorded' AND commit <= {summed:UInt64}) AS summed_tokens,
        sumIf(cost_micro_usd, kind = 'usage.recorded' AND commit <= {summed:UInt64}) AS summed_cost,
        sumIf(arraySum(limits.amount), kind = 'usage.recorded' AND commit <= {summed:UInt64}) AS summed_amount,
        countIf(kind IN ('config.applied', 'window.opened', 'window.rolled', 'limit.warning', 'observation.recorded') AND commit <= {summed:UInt64}) AS about_limits
    FROM bursar.ledger_events
    GROUP BY workspace
) AS e
INNER JOIN
(
    SELECT workspace, sumIf(events, kind = 'usage.recorded') AS usage, sumIf(events, kind = 'reservation.granted') AS grants,
        sumIf(input_tokens + output_tokens, kind = 'usage.recorded') AS tokens, sumIf(cost_micro_usd, kind = 'usage.recorded') AS cost
    FROM bursar.hourly FINAL
    GROUP BY workspace
) AS h ON h.workspace = e.workspace
INNER JOIN (SELECT workspace, sum(amount) AS amount FROM bursar.charges FINAL GROUP BY workspace) AS c ON c.workspace = e.workspace
INNER JOIN (SELECT workspace, countIf(kind != '') AS rows FROM bursar.limit_log FINAL GROUP BY workspace) AS l ON l.workspace = e.workspace
ORDER BY toUInt64(substring(name, 2))
