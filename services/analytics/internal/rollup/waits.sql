INSERT INTO bursar.waits (workspace, hour, ledger_id, block, priority, outcome, team, through, waits, waited_ms, spread)
SELECT
    {workspace:String}, w.ended_in, {ledger:String}, w.waited_block, CAST(w.priority, 'String'), CAST(w.outcome, 'String'), CAST(w.team, 'String'),
    {through:UInt64}, count(), sum(w.took), quantileTDigestState(w.took)
FROM
(
    SELECT
        toStartOfHour(at) AS ended_in, intDiv(commit, {block:UInt64}) AS waited_block, priority, outcome, team,
        toInt64(dateDiff('millisecond', occurred_at, at)) AS took
    FROM bursar.ledger_events FINAL
    WHERE workspace = {workspace:String} AND ledger_id = {ledger:String} AND commit BETWEEN {first:UInt64} AND {through:UInt64}
        AND kind = 'reservation.dequeued'
) AS w
GROUP BY w.ended_in, w.waited_block, w.priority, w.outcome, w.team
UNION ALL
SELECT
    {workspace:String}, toDateTime(0, 'UTC'), {ledger:String}, 0, '', '', '', {through:UInt64}, 0, 0, quantileTDigestStateIf(toInt64(0), 0)
