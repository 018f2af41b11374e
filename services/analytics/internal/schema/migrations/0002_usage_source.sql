-- Usage that was learned from elsewhere (transcripts, telemetry) tells its conversation and its project.
ALTER TABLE bursar.ledger_events
    ADD COLUMN IF NOT EXISTS session String COMMENT 'Usage: the conversation it happened in' CODEC(ZSTD(3)) AFTER call_id,
    ADD COLUMN IF NOT EXISTS project LowCardinality(String) COMMENT 'Usage: the project it was spent for' AFTER session,
    MODIFY COLUMN source COMMENT 'Observation: where it was read. Usage: who told of it, empty for the agent itself';
