CREATE OR REPLACE VIEW analyst.denials
COMMENT 'One row per refusal to reserve or to extend: who, for what, which limit bound'
AS SELECT
    workspace,
    at AS denied_at,
    principal, agent, team, provider, account, model, task_type, complexity, files, estimated_tokens, priority,
    reservation,
    code,
    CAST(code, 'String') IN ('insufficient_quota', 'concurrent_limit_exceeded') AND reason != 'held_back' AS exhausted,
    reason, -- why a limit refused: depleted, held_back, closed (the provider refuses) or too_large
    limit_id,
    unit, -- of what is requested and available: tokens, input_tokens, output_tokens, requests or micro_usd; empty where no limit bound
    requested,
    available,
    retryable,
    retry_after_ms,
    input_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens + output_tokens AS asked_tokens,
    config_version,
    ledger_id, commit, idx
FROM bursar.ledger_events FINAL
WHERE kind = 'reservation.denied';
