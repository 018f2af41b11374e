CREATE OR REPLACE VIEW analyst.usage
COMMENT 'One row per recorded usage: what an agent spent on one provider call, or since its last report'
AS SELECT
    workspace,
    occurred_at,
    at AS recorded_at,
    reservation, principal, agent, team, provider, account, model, task_type, complexity, priority,
    input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens,
    input_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens + output_tokens AS total_tokens,
    requests,
    cost_micro_usd,
    cost_micro_usd / 1e6 AS cost_usd,
    unpriced,
    batch,
    standing,
    call_id,
    if(source = '', 'agent', source) AS source,
    session,
    project,
    overrun_tokens,
    if(toUnixTimestamp64Milli(granted_at) = 0, NULL,
        (toUnixTimestamp64Milli(occurred_at) - toUnixTimestamp64Milli(granted_at)) / 1000) AS seconds_since_grant,
    ledger_id, commit, idx
FROM bursar.ledger_events FINAL
WHERE kind = 'usage.recorded';
