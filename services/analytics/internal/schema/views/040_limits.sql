CREATE OR REPLACE VIEW analyst.limit_events
COMMENT 'One row per thing that happened to a limit: a warning, a window that opened or ended, an observation by the provider. Some seconds behind the events'
AS SELECT
    workspace,
    at,
    kind,
    limit_id,
    account,
    team,
    if(toUnixTimestamp64Milli(window_start) = 0, NULL, window_start) AS window_start,
    if(toUnixTimestamp64Milli(window_end) = 0, NULL, window_end) AS window_end,
    if(kind = 'limit.warning', JSONExtractString(data, 'unit'), '') AS unit, -- of what a warning tells
    if(limit_used < 0, NULL, limit_used) AS used,
    if(limit_capacity = 0, NULL, limit_capacity) AS capacity,
    if(kind = 'limit.warning', threshold_percent, NULL) AS threshold_percent,
    if(kind = 'observation.recorded' AND used_percent_milli >= 0, used_percent_milli / 1000, NULL) AS observed_percent,
    tier,
    source,
    effective,
    if(kind = 'observation.recorded', reason, '') AS signal, -- exhausted (a 429 of ours) or overloaded (a 529, not our quota)
    if(kind = 'observation.recorded', target, '') AS unknown_window, -- one that is not configured
    ledger_id, commit, idx
FROM bursar.limit_log FINAL
WHERE kind IN ('limit.warning', 'window.opened', 'window.rolled', 'observation.recorded');

CREATE OR REPLACE VIEW analyst.limit_charges
COMMENT 'One row per usage and limit it counted against, in the unit of the limit'
AS SELECT
    workspace,
    occurred_at,
    at AS recorded_at,
    limit_id,
    if(toUnixTimestamp64Milli(window_start) = 0, NULL, window_start) AS window_start,
    amount,
    within,
    reservation, principal, agent, team, provider, account, model, task_type,
    ledger_id, commit, idx
FROM
(
    SELECT
        workspace, occurred_at, at, reservation, principal, agent, team, provider, account, model, task_type,
        ledger_id, commit, idx,
        l_id AS limit_id, l_window AS window_start, l_amount AS amount, l_within AS within
    FROM bursar.ledger_events FINAL
    ARRAY JOIN limits.id AS l_id, limits.window AS l_window, limits.amount AS l_amount, limits.within AS l_within
    WHERE kind = 'usage.recorded'
);
