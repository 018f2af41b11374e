INSERT INTO bursar.bench_stage
(
    workspace, ledger_id, commit, idx, epoch, committed_at, kind, at, limit_id, account, window_start, window_end, limit_used,
    limit_capacity, threshold_percent, data
)
-- Of each of six accounts a session limit of 5 hours and a weekly one, with the windows that generate.sql charges: each
-- window ends with an event and has a warning.
WITH
    toDateTime64('2026-09-01 00:00:00', 3, 'UTC') AS beginning,
    (x -> formatDateTime(x, '%Y-%m-%dT%H:%i:%S.000Z')) AS text
SELECT
    concat('w', toString(w)), hex(sipHash128('ledger', w)),
    toUInt64(greatest(1, (toUnixTimestamp(s) - toUnixTimestamp(beginning)) / ({days:UInt64} * 86400) * {commits:UInt64})),
    100 + l * 2 + warning, 1, s, if(warning, 'limit.warning', 'window.rolled'), s, id, account,
    if(warning, s, s - seconds), if(warning, toDateTime64(0, 3, 'UTC'), s), 1000000, if(warning, 2000000, 0), if(warning, 80, 0),
    if(warning, '{}', concat(
        '{"ended":{"limit_id":"', id, '","starts_at":"', text(s - seconds), '","ends_at":"', text(s), '"},"used":1000000,"next":{"limit_id":"', id,
        '","starts_at":"', text(s), '","ends_at":"', text(s + seconds), '"}}'))
FROM
(
    SELECT DISTINCT
        w.number AS w, l.number AS l, warning, concat('account-', toString(intDiv(l, 2))) AS account, l % 2 = 0 AS session,
        concat(account, if(session, '/session', '/weekly')) AS id, if(session, 18000, 604800) AS seconds,
        toDateTime64(if(session, toStartOfInterval(beginning + toIntervalHour(h.number), INTERVAL 5 HOUR), toStartOfInterval(beginning + toIntervalHour(h.number), INTERVAL 7 DAY)), 3, 'UTC') AS s
    FROM numbers({workspaces:UInt64}) AS w, numbers(12) AS l, numbers({days:UInt64} * 24) AS h
    ARRAY JOIN [false, true] AS warning
)
WHERE s >= beginning AND toUInt64(greatest(1, (toUnixTimestamp(s) - toUnixTimestamp(beginning)) / ({days:UInt64} * 86400) * {commits:UInt64})) % {parts:UInt64} = {part:UInt64}
UNION ALL
SELECT
    concat('w', toString(number)), hex(sipHash128('ledger', number)), 1, 99, 1, beginning, 'config.applied', beginning, '', '',
    toDateTime64(0, 3, 'UTC'), toDateTime64(0, 3, 'UTC'), 0, 0, 0,
    concat('{"config":{"limits":[', arrayStringConcat(arrayMap(l -> concat('{"limit_id":"account-', toString(intDiv(l, 2)), if(l % 2 = 0, '/session', '/weekly'),
        '","account":"account-', toString(intDiv(l, 2)), '","unit":"tokens","window":',
        if(l % 2 = 0, '{"kind":"session","duration_ms":18000000},"capacity":', '{"kind":"calendar","period":"week"},"capacity":'),
        -- Some run out before they end, and some do not.
        toString(toInt64({commits:UInt64} / 6 * 40 / 6 * 55000 / {days:UInt64} * if(l % 2 = 0, 5 / 24, 7) * (0.7 + l / 12))), '}'), range(12)), ','), ']}}')
FROM numbers({workspaces:UInt64})
WHERE {part:UInt64} = 0
