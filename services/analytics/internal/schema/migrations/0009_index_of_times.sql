-- Most events have no occurred_at, which is 1970 then: an index of it knows no least time of usage. This one does.
ALTER TABLE bursar.ledger_events
    ADD INDEX IF NOT EXISTS by_counted_at if(toUnixTimestamp64Milli(occurred_at) = 0, at, occurred_at) TYPE minmax GRANULARITY 1;
