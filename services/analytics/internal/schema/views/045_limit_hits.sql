CREATE OR REPLACE VIEW analyst.limit_hits
COMMENT 'One row per time that a limit bound: it refused a reserve or an extension, or made a reserve wait'
AS SELECT
    workspace,
    at,
    limit_id,
    if(kind = 'reservation.denied', 'denied', 'queued') AS how,
    code,
    if(kind = 'reservation.denied', reason, '') AS reason, -- depleted, held_back, closed (the provider refuses) or too_large
    unit, -- of a denial, and of what is requested and available: tokens, input_tokens, output_tokens, requests or micro_usd
    requested,
    available,
    if(retry_after_ms = 0, NULL, retry_after_ms) AS retry_after_ms,
    reservation, principal, agent, team, provider, account, model, task_type, complexity, priority,
    input_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens + output_tokens AS asked_tokens,
    ledger_id, commit, idx
FROM bursar.ledger_events FINAL
WHERE kind IN ('reservation.denied', 'reservation.queued') AND limit_id != '';

CREATE OR REPLACE VIEW analyst.windows
COMMENT 'One row per window of a limit that was used or ended: what was used of it, by whom, and how far it was warned of, some seconds behind the events. Spans that are not told are NULL'
AS SELECT
    w.workspace AS workspace,
    w.limit_id AS limit_id,
    anyLast(w.account) AS account,
    w.window_start AS window_start,
    maxOrNullIf(w.window_end, toUnixTimestamp64Milli(w.window_end) != 0) AS window_end,
    max(w.rolled) AS ended,
    sum(w.charged) AS used,
    maxIf(w.told, w.rolled) AS used_at_end,
    maxOrNullIf(w.capacity, w.capacity != 0) AS capacity,
    max(w.warned) AS highest_warning_percent,
    uniqExactArray(w.agents) AS agents,
    minOrNullIf(w.first_at, w.charges != 0) AS first_used_at,
    maxOrNullIf(w.last_at, w.charges != 0) AS last_used_at
FROM
(
    SELECT workspace, limit_id, account, window_start, window_end, kind = 'window.rolled' AS rolled,
        toInt64(0) AS charged, limit_used AS told, limit_capacity AS capacity, threshold_percent AS warned,
        toUInt64(0) AS charges, CAST([], 'Array(LowCardinality(String))') AS agents, at AS first_at, at AS last_at
    FROM bursar.limit_log FINAL
    WHERE kind IN ('window.opened', 'window.rolled', 'limit.warning') AND toUnixTimestamp64Milli(window_start) != 0
    UNION ALL
    SELECT workspace, limit_id, account, window, toDateTime64(0, 3, 'UTC'), false, amount, toInt64(0), toInt64(0), toInt64(0),
        charges, agents, first_used_at, last_used_at
    FROM bursar.charges FINAL
    WHERE limit_id != '' AND toUnixTimestamp64Milli(window) != 0
) AS w
GROUP BY w.workspace, w.limit_id, w.window_start;
