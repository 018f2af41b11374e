INSERT INTO bursar.charges
(
    workspace, limit_id, quarter, ledger_id, block, window, account, through, charges, amount,
    first_commit, last_commit, first_used_at, last_used_at, agents
)
SELECT
    {workspace:String}, CAST(c.charged, 'String'), c.charged_in, {ledger:String}, c.charged_block, c.charged_window, CAST(any(c.account), 'String'), {through:UInt64},
    count(), sum(c.charged_amount), min(c.commit), max(c.commit), min(c.occurred_at), max(c.occurred_at),
    groupUniqArray(concat(c.principal, '/', c.agent))
FROM
(
    SELECT
        l_id AS charged, toStartOfFifteenMinutes(occurred_at) AS charged_in, intDiv(commit, {block:UInt64}) AS charged_block,
        l_window AS charged_window, l_amount AS charged_amount, account, principal, agent, commit, occurred_at
    FROM bursar.ledger_events FINAL
    ARRAY JOIN limits.id AS l_id, limits.window AS l_window, limits.amount AS l_amount
    WHERE workspace = {workspace:String} AND ledger_id = {ledger:String} AND commit BETWEEN {first:UInt64} AND {through:UInt64}
        AND kind = 'usage.recorded'
) AS c
GROUP BY c.charged, c.charged_in, c.charged_block, c.charged_window
UNION ALL
SELECT
    {workspace:String}, '', toDateTime(0, 'UTC'), {ledger:String}, 0, toDateTime64(0, 3, 'UTC'), '', {through:UInt64}, 0, 0,
    0, 0, toDateTime64(0, 3, 'UTC'), toDateTime64(0, 3, 'UTC'), []
