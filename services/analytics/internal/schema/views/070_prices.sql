CREATE OR REPLACE VIEW analyst.prices
COMMENT 'What a million tokens costs, in micro-USD: the built-in prices (workspace empty) and what each workspace configured instead'
AS SELECT
    CAST('', 'String') AS workspace,
    CAST(provider, 'String') AS provider,
    CAST(model, 'String') AS model,
    toDateTime64(valid_from, 3, 'UTC') AS valid_from,
    if(valid_to = toDate('2149-06-06'), NULL, toDateTime64(valid_to, 3, 'UTC')) AS valid_to,
    above_input_tokens,
    input_micro_usd, output_micro_usd, cache_read_micro_usd, cache_write_5m_micro_usd, cache_write_1h_micro_usd,
    if(batch_permille = 0, NULL, batch_permille) AS batch_permille
FROM bursar.prices FINAL
WHERE catalogue = (SELECT argMax(catalogue, loaded_at) FROM bursar.prices)
UNION ALL
SELECT
    CAST(c.workspace, 'String') AS workspace,
    '' AS provider,
    JSONExtractString(p, 'model') AS model,
    ifNull(parseDateTime64BestEffortOrNull(JSONExtractString(p, 'from'), 3, 'UTC'), toDateTime64(0, 3, 'UTC')) AS valid_from,
    NULL AS valid_to, -- until the next one of the model, if any
    toInt64(0) AS above_input_tokens,
    JSONExtractInt(p, 'rate', 'input'), JSONExtractInt(p, 'rate', 'output'), JSONExtractInt(p, 'rate', 'cache_read'),
    JSONExtractInt(p, 'rate', 'cache_write_5m'), JSONExtractInt(p, 'rate', 'cache_write_1h'),
    NULL AS batch_permille
FROM
(
    SELECT workspace, argMax(data, (at, commit, idx)) AS latest
    FROM bursar.limit_log FINAL
    WHERE kind = 'config.applied'
    GROUP BY workspace
) AS c
ARRAY JOIN JSONExtractArrayRaw(c.latest, 'config', 'prices') AS p;

CREATE OR REPLACE VIEW analyst.suggestions
COMMENT 'Every suggestion that was made, as it was told last; current says whether it stands'
AS SELECT
    s.workspace AS workspace,
    s.suggestion_id AS suggestion_id,
    s.rule AS rule,
    s.provider AS provider, s.account AS account, s.target AS target, s.limit_id AS limit_id, s.team AS team, s.task_type AS task_type,
    s.title AS title,
    s.advice AS advice,
    s.saving_micro_usd AS saving_micro_usd,
    s.saving_basis AS saving_basis,
    s.confidence_percent AS confidence_percent,
    s.window_starts_at AS window_starts_at,
    s.window_ends_at AS window_ends_at,
    s.made_at AS made_at,
    s.listed_at AS listed_at,
    s.suggestion_id != '' AND s.revision = max(s.revision) OVER (PARTITION BY s.workspace) AS current,
    s.data AS data
FROM bursar.suggestions AS s FINAL
QUALIFY s.suggestion_id != '';
