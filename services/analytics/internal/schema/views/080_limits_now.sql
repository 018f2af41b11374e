CREATE OR REPLACE VIEW analyst.limits
COMMENT 'One row per limit that is configured now: what it counts, what it holds, and its present window (NULL while a session is not open). Some seconds behind the events'
AS SELECT
    c.workspace AS workspace,
    JSONExtractString(c.spec, 'limit_id') AS limit_id,
    JSONExtractString(c.spec, 'name') AS name,
    JSONExtractString(c.spec, 'account') AS account,
    JSONExtractString(c.spec, 'model_group') AS model_group,
    JSONExtractString(c.spec, 'team') AS team,
    JSONExtractString(c.spec, 'agent') AS agent,
    JSONExtractString(c.spec, 'unit') AS unit,
    JSONExtractString(c.spec, 'window', 'kind') AS window, -- session, calendar, bucket or concurrent
    -- What was learned of it, once that decides; else what is configured; else what the provider told; NULL while it is not known.
    multiIf(
        s.learned_low > 0 AND NOT JSONExtractBool(c.spec, 'fixed'), s.learned_low,
        JSONExtractInt(c.spec, 'capacity') > 0, JSONExtractInt(c.spec, 'capacity'),
        s.told > 0, s.told,
        NULL) AS capacity,
    if(s.ends = '', NULL, parseDateTime64BestEffortOrNull(s.starts, 3, 'UTC')) AS window_start,
    if(s.ends = '', NULL, parseDateTime64BestEffortOrNull(s.ends, 3, 'UTC')) AS window_end
FROM
(
    SELECT workspace, arrayJoin(JSONExtractArrayRaw(argMax(data, (committed_at, commit, idx)), 'config', 'limits')) AS spec
    FROM bursar.limit_log FINAL
    WHERE kind = 'config.applied'
    GROUP BY workspace
) AS c
LEFT JOIN
(
    SELECT
        workspace,
        limit_id,
        argMaxIf(span.1, at, told_span) AS starts,
        argMaxIf(span.2, at, told_span) AS ends,
        argMaxIf(learned, at, learned >= 0) AS learned_low, -- 0 while it does not decide
        argMaxIf(capacity, at, capacity > 0) AS told
    FROM
    (
        SELECT
            workspace, CAST(limit_id, 'String') AS limit_id, (committed_at, commit, idx) AS at, true AS told_span, toInt64(-1) AS learned, toInt64(0) AS capacity,
            (JSONExtractString(data, if(kind = 'window.opened', 'span', 'next'), 'starts_at'),
             JSONExtractString(data, if(kind = 'window.opened', 'span', 'next'), 'ends_at')) AS span
        FROM bursar.limit_log FINAL
        WHERE kind IN ('window.opened', 'window.rolled')
        UNION ALL
        SELECT
            workspace, CAST(limit_id, 'String'), (committed_at, commit, idx), JSONExtractString(data, 'span', 'ends_at') != '',
            if(JSONHas(data, 'learned'), JSONExtractBool(data, 'learned', 'decides') * JSONExtractInt(data, 'learned', 'low'), -1),
            JSONExtractInt(data, 'capacity'),
            (JSONExtractString(data, 'span', 'starts_at'), JSONExtractString(data, 'span', 'ends_at'))
        FROM bursar.limit_log FINAL
        WHERE kind = 'observation.recorded' AND effective AND limit_id != ''
        UNION ALL
        SELECT
            workspace, JSONExtractString(opened, 'limit_id'), (committed_at, commit, idx), true, -1, 0,
            (JSONExtractString(opened, 'starts_at'), JSONExtractString(opened, 'ends_at'))
        FROM bursar.limit_log FINAL
        ARRAY JOIN JSONExtractArrayRaw(data, 'opened') AS opened
        WHERE kind = 'config.applied'
    )
    GROUP BY workspace, limit_id
) AS s ON s.workspace = c.workspace AND s.limit_id = JSONExtractString(c.spec, 'limit_id');
