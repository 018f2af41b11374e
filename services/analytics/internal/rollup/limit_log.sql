INSERT INTO bursar.limit_log
(
    workspace, kind, limit_id, committed_at, ledger_id, commit, idx, through, at, account, team, window_start, window_end,
    limit_used, limit_capacity, threshold_percent, used_percent_milli, tier, source, effective, reason, target, data
)
SELECT
    {workspace:String}, CAST(e.kind, 'String'), CAST(e.limit_id, 'String'), e.committed_at, {ledger:String}, e.commit, e.idx, {through:UInt64}, e.at,
    CAST(e.account, 'String'), CAST(e.team, 'String'), e.window_start, e.window_end, e.limit_used, e.limit_capacity, e.threshold_percent,
    e.used_percent_milli, CAST(e.tier, 'String'), CAST(e.source, 'String'), e.effective, e.reason, CAST(e.target, 'String'), e.data
FROM bursar.ledger_events AS e FINAL
WHERE e.workspace = {workspace:String} AND e.ledger_id = {ledger:String} AND e.commit BETWEEN {first:UInt64} AND {through:UInt64}
    AND e.kind IN ('config.applied', 'window.opened', 'window.rolled', 'limit.warning', 'observation.recorded')
UNION ALL
SELECT
    {workspace:String}, '', '', toDateTime64(0, 3, 'UTC'), {ledger:String}, 0, 0, {through:UInt64}, toDateTime64(0, 3, 'UTC'), '', '',
    toDateTime64(0, 3, 'UTC'), toDateTime64(0, 3, 'UTC'), 0, 0, 0, 0, '', '', false, '', '', ''
