SELECT CAST(workspace, 'String') AS name, uniqExactIf(reservation, reservation != ''), uniqExactIf(call_id, call_id != ''),
    countIf(kind = 'usage.recorded' AND JSONExtractString(data, 'reservation_id') = reservation AND JSONExtractString(data, 'call_id') = call_id
        AND JSONExtractString(data, 'labels', 'agent') = agent AND JSONExtractString(data, 'labels', 'principal') = principal),
    sum(length(data))
FROM bursar.ledger_events
WHERE commit <= {sampled:UInt64}
GROUP BY ROLLUP (name)
ORDER BY name = '', toUInt64OrZero(substring(name, 2))
