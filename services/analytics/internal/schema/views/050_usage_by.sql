CREATE OR REPLACE VIEW analyst.usage_by_hour
COMMENT 'Usage by hour (UTC) and provider'
AS SELECT
    u.workspace AS workspace,
    toStartOfHour(u.occurred_at) AS hour,
    u.provider AS provider,
    sum(u.input_tokens) AS input_tokens,
    sum(u.cache_read_tokens) AS cache_read_tokens,
    sum(u.cache_write_5m_tokens) AS cache_write_5m_tokens,
    sum(u.cache_write_1h_tokens) AS cache_write_1h_tokens,
    sum(u.output_tokens) AS output_tokens,
    sum(u.total_tokens) AS total_tokens,
    sum(u.requests) AS requests,
    sum(u.cost_micro_usd) AS cost_micro_usd,
    sumIf(u.total_tokens, u.unpriced) AS unpriced_tokens,
    uniqExactIf(u.reservation, u.reservation != '') AS reservations,
    uniqExact(u.principal, u.agent) AS agents
FROM analyst.usage AS u
GROUP BY ALL;

CREATE OR REPLACE VIEW analyst.usage_by_provider
COMMENT 'Usage by day (UTC) and provider'
AS SELECT
    u.workspace AS workspace,
    toDate(u.occurred_at) AS day,
    u.provider AS provider,
    sum(u.input_tokens) AS input_tokens,
    sum(u.cache_read_tokens) AS cache_read_tokens,
    sum(u.cache_write_5m_tokens) AS cache_write_5m_tokens,
    sum(u.cache_write_1h_tokens) AS cache_write_1h_tokens,
    sum(u.output_tokens) AS output_tokens,
    sum(u.total_tokens) AS total_tokens,
    sum(u.requests) AS requests,
    sum(u.cost_micro_usd) AS cost_micro_usd,
    sumIf(u.total_tokens, u.unpriced) AS unpriced_tokens,
    uniqExactIf(u.reservation, u.reservation != '') AS reservations,
    uniqExact(u.principal, u.agent) AS agents
FROM analyst.usage AS u
GROUP BY ALL;

CREATE OR REPLACE VIEW analyst.usage_by_account
COMMENT 'Usage by day (UTC) and account'
AS SELECT
    u.workspace AS workspace,
    toDate(u.occurred_at) AS day,
    u.account AS account,
    u.provider AS provider,
    sum(u.input_tokens) AS input_tokens,
    sum(u.cache_read_tokens) AS cache_read_tokens,
    sum(u.cache_write_5m_tokens) AS cache_write_5m_tokens,
    sum(u.cache_write_1h_tokens) AS cache_write_1h_tokens,
    sum(u.output_tokens) AS output_tokens,
    sum(u.total_tokens) AS total_tokens,
    sum(u.requests) AS requests,
    sum(u.cost_micro_usd) AS cost_micro_usd,
    sumIf(u.total_tokens, u.unpriced) AS unpriced_tokens,
    uniqExactIf(u.reservation, u.reservation != '') AS reservations,
    uniqExact(u.principal, u.agent) AS agents
FROM analyst.usage AS u
GROUP BY ALL;

CREATE OR REPLACE VIEW analyst.usage_by_team
COMMENT 'Usage by day (UTC) and team'
AS SELECT
    u.workspace AS workspace,
    toDate(u.occurred_at) AS day,
    u.team AS team,
    sum(u.input_tokens) AS input_tokens,
    sum(u.cache_read_tokens) AS cache_read_tokens,
    sum(u.cache_write_5m_tokens) AS cache_write_5m_tokens,
    sum(u.cache_write_1h_tokens) AS cache_write_1h_tokens,
    sum(u.output_tokens) AS output_tokens,
    sum(u.total_tokens) AS total_tokens,
    sum(u.requests) AS requests,
    sum(u.cost_micro_usd) AS cost_micro_usd,
    sumIf(u.total_tokens, u.unpriced) AS unpriced_tokens,
    uniqExactIf(u.reservation, u.reservation != '') AS reservations,
    uniqExact(u.principal, u.agent) AS agents
FROM analyst.usage AS u
GROUP BY ALL;

CREATE OR REPLACE VIEW analyst.usage_by_agent
COMMENT 'Usage by day (UTC) and agent'
AS SELECT
    u.workspace AS workspace,
    toDate(u.occurred_at) AS day,
    u.agent AS agent,
    u.principal AS principal,
    u.team AS team,
    sum(u.input_tokens) AS input_tokens,
    sum(u.cache_read_tokens) AS cache_read_tokens,
    sum(u.cache_write_5m_tokens) AS cache_write_5m_tokens,
    sum(u.cache_write_1h_tokens) AS cache_write_1h_tokens,
    sum(u.output_tokens) AS output_tokens,
    sum(u.total_tokens) AS total_tokens,
    sum(u.requests) AS requests,
    sum(u.cost_micro_usd) AS cost_micro_usd,
    sumIf(u.total_tokens, u.unpriced) AS unpriced_tokens,
    uniqExactIf(u.reservation, u.reservation != '') AS reservations,
    uniqExact(u.principal, u.agent) AS agents
FROM analyst.usage AS u
GROUP BY ALL;

CREATE OR REPLACE VIEW analyst.usage_by_task_type
COMMENT 'Usage by day (UTC) and task type'
AS SELECT
    u.workspace AS workspace,
    toDate(u.occurred_at) AS day,
    u.task_type AS task_type,
    sum(u.input_tokens) AS input_tokens,
    sum(u.cache_read_tokens) AS cache_read_tokens,
    sum(u.cache_write_5m_tokens) AS cache_write_5m_tokens,
    sum(u.cache_write_1h_tokens) AS cache_write_1h_tokens,
    sum(u.output_tokens) AS output_tokens,
    sum(u.total_tokens) AS total_tokens,
    sum(u.requests) AS requests,
    sum(u.cost_micro_usd) AS cost_micro_usd,
    sumIf(u.total_tokens, u.unpriced) AS unpriced_tokens,
    uniqExactIf(u.reservation, u.reservation != '') AS reservations,
    uniqExact(u.principal, u.agent) AS agents
FROM analyst.usage AS u
GROUP BY ALL;

CREATE OR REPLACE VIEW analyst.usage_by_model
COMMENT 'Usage by day (UTC) and model'
AS SELECT
    u.workspace AS workspace,
    toDate(u.occurred_at) AS day,
    u.model AS model,
    u.provider AS provider,
    sum(u.input_tokens) AS input_tokens,
    sum(u.cache_read_tokens) AS cache_read_tokens,
    sum(u.cache_write_5m_tokens) AS cache_write_5m_tokens,
    sum(u.cache_write_1h_tokens) AS cache_write_1h_tokens,
    sum(u.output_tokens) AS output_tokens,
    sum(u.total_tokens) AS total_tokens,
    sum(u.requests) AS requests,
    sum(u.cost_micro_usd) AS cost_micro_usd,
    sumIf(u.total_tokens, u.unpriced) AS unpriced_tokens,
    uniqExactIf(u.reservation, u.reservation != '') AS reservations,
    uniqExact(u.principal, u.agent) AS agents
FROM analyst.usage AS u
GROUP BY ALL;
