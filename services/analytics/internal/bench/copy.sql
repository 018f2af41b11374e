INSERT INTO bursar.{stage:Identifier}
WITH
    {workspace:String} AS name,
    -- The identifiers of the copy are hashes of those that are copied: as long, and as hard to compress.
    (id -> lower(hex(sipHash128(name, id)))) AS digits,
    (id -> if(length(id) != 36, id, concat(left(id, 15), left(digits(id), 3), '-8', substring(digits(id), 4, 3), '-', substring(digits(id), 7, 12)))) AS uuid,
    (id -> if(id = '', id, concat('msg_01', left(concat(base58Encode(sipHash128(name, id)), '1'), 22)))) AS call,
    (who -> if(who = '', who, concat(name, '-', who))) AS own,
    ((text, old, new) -> if(old = '', text, replaceOne(text, old, new))) AS put
SELECT * REPLACE (
    name AS workspace, {ledger:String} AS ledger_id, if(commit_id = '', '', digits(commit_id)) AS commit_id,
    uuid(reservation) AS reservation, call(call_id) AS call_id, uuid(session) AS session,
    own(principal) AS principal, own(agent) AS agent,
    put(put(put(put(put(data, reservation, uuid(reservation)), call_id, call(call_id)), session, uuid(session)),
        CAST(principal, 'String'), CAST(own(principal), 'String')), CAST(agent, 'String'), CAST(own(agent), 'String')) AS data)
FROM bursar.bench_source
WHERE _partition_id = {part:String}
