INSERT INTO bursar.bench_stage
(
    workspace, ledger_id, commit, idx, epoch, committed_at, kind, at, reservation, principal, agent, team, provider, account, model,
    task_type, complexity, files, estimated_tokens, priority, input_tokens, cache_read_tokens, cache_write_5m_tokens, output_tokens, requests, cost_micro_usd,
    occurred_at, granted_at, standing, call_id, project, overrun_tokens, code, limit_id, requested, available, retryable, retry_after_ms,
    outcome, reason, granted_tokens, granted_requests, expires_at, config_version, `limits.id`, `limits.window`, `limits.amount`,
    `limits.within`, events, commit_id, data
)
WITH
    toDateTime64('2026-09-01 00:00:00', 3, 'UTC') AS beginning,
    ['usage.recorded', 'reservation.granted', 'reservation.closed', 'reservation.denied', 'commit', 'reservation.dequeued'] AS kinds
SELECT
    concat('w', toString(w)), hex(sipHash128('ledger', w)), c + 1, i, 1, t, kinds[k], t,
    if(k = 5, '', lower(hex(sipHash128(w, c)))) AS reservation,
    if(k = 5, '', concat('principal-', toString(a % 10))) AS principal, if(k = 5, '', concat('agent-', toString(a))) AS agent,
    if(k = 5, '', concat('team-', toString(a % 7))) AS team, if(k = 5, '', ['claude', 'openai'][a % 2 + 1]) AS provider,
    if(k = 5, '', concat('account-', toString(a % 6))) AS account, if(k = 5, '', concat('model-', toString(a % 2 * 3 + r % 3))) AS model,
    if(k = 5, '', ['code_generation', 'code_review', 'documentation', 'analysis', 'quick_query'][(a + intDiv(c, 4000) + r % 2) % 5 + 1]) AS task_type,
    if(k = 5, '', ['simple', 'medium', 'complex'][r % 3 + 1]) AS complexity,
    if(k = 5 OR r % 4 = 0, 0, r % 30) AS files, if(k = 5 OR r % 3 = 0, 0, r % 1500000) AS estimated_tokens,
    if(k = 5, '', ['normal', 'normal', 'high', 'low'][r % 4 + 1]) AS priority,
    if(k = 5, 0, h % 4000 * m) AS input_tokens, if(k = 5, 0, h % 100003 * m) AS cache_read_tokens,
    if(k = 5, 0, h % 5003 * m) AS cache_write_tokens, if(k = 5, 0, h % 1009 * m) AS output_tokens,
    if(k = 5, 0, m), if(k IN (1, 2, 3), h % 200000 * m, 0) AS cost_micro_usd,
    multiIf(k = 1, t - toIntervalMillisecond(h % 600000), k = 6, t - toIntervalMillisecond(h % 3600000), toDateTime64(0, 3, 'UTC')) AS occurred_at,
    if(k IN (1, 2, 3), t - toIntervalMillisecond(r % 1800000), toDateTime64(0, 3, 'UTC')),
    if(k = 1, 'open', ''), if(k = 1, concat('msg_01', substring(hex(sipHash128(w, c, i)), 1, 22)), '') AS call_id,
    if(k = 1, concat('project-', toString(a % 12)), ''), if(k = 1 AND h % 20 = 0, h % 5000, 0),
    if(k = 4, 'insufficient_quota', ''), if(k = 4, concat('account-', toString(a % 6), '/', ['session', 'weekly'][r % 2 + 1]), ''),
    if(k = 4, h % 400000, 0), if(k = 4, h % 100000, 0), k = 4, if(k = 4, h % 18000000, 0),
    if(k = 6, ['granted', 'granted', 'timed_out'][r % 3 + 1], if(k = 3, ['settled', 'settled', 'settled', 'settled', 'settled', 'settled', 'released', 'expired'][r % 8 + 1], '')),
    if(k = 4, 'depleted', ''), if(k = 3, r % 1500000, 0), if(k = 3, 10, 0),
    if(k = 2, t + toIntervalMinute(10), toDateTime64(0, 3, 'UTC')), if(k IN (2, 4), 7, 0),
    if(k IN (1, 2, 3), [concat('account-', toString(a % 6), '/session'), concat('account-', toString(a % 6), '/weekly')], []) AS charged,
    if(k = 1, [toStartOfInterval(t, INTERVAL 5 HOUR), toStartOfInterval(t, INTERVAL 7 DAY)], if(k IN (2, 3), [toDateTime64(0, 3, 'UTC'), toDateTime64(0, 3, 'UTC')], [])),
    if(k IN (1, 2, 3), [toInt64(h % 110000 * m), toInt64(h % 110000 * m)], []) AS amounts, if(k IN (1, 2, 3), [toInt64(0), toInt64(0)], []),
    if(k = 5, if(c % 6 = 5, 1, 10), 0), if(k = 5, lower(hex(sipHash128(w, c, 'commit'))), ''),
    if(k = 5 OR {bodies:UInt8} = 0, '', concat('{"reservation_id":"', reservation, '","labels":{"principal":"', principal, '","agent":"', agent, '","team":"', team,
        '","provider":"', provider, '","account":"', account, '","model":"', model, '","task_type":"', task_type, '","complexity":"', complexity,
        '","priority":"', priority, '"},"occurred_at":"', toString(occurred_at), '","call_id":"', call_id, '","tokens":{"input":', toString(input_tokens),
        ',"cache_read":', toString(cache_read_tokens), ',"cache_write_5m":', toString(cache_write_tokens), ',"output":', toString(output_tokens),
        '},"requests":1,"rate":{"input":3000000,"cache_read":300000,"cache_write_5m":3750000,"cache_write_1h":6000000,"output":15000000},"cost_micro_usd":',
        toString(cost_micro_usd), ',"charges":[{"limit_id":"', charged[1], '","amount":', toString(amounts[1]), '},{"limit_id":"', charged[2],
        '","amount":', toString(amounts[1]), '}]}'))
FROM
(
    SELECT
        number % {workspaces:UInt64} AS w,
        intDiv(number, {workspaces:UInt64}) * {parts:UInt64} + {part:UInt64} AS c,
        -- One commit in six refuses or ends a wait; the others grant a reservation, record eight usages of it and close it.
        arrayJoin(if(c % 6 = 5, [-1, 0], [-1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9])) AS i,
        beginning + toIntervalMillisecond(toInt64(c / {commits:UInt64} * {days:UInt64} * 86400000)) AS t,
        cityHash64(w, c) AS r,
        cityHash64(w, c, i) AS h,
        r % 100 AS a,
        multiIf(i = -1, 5, c % 12 = 5, 4, c % 6 = 5, 6, i = 0, 2, i = 9, 3, 1) AS k,
        if(k IN (2, 3), 8, 1) AS m
    FROM numbers({workspaces:UInt64} * intDiv({commits:UInt64}, {parts:UInt64}))
)
