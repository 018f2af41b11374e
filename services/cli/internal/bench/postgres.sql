-- The same ledger in PostgreSQL: one function call is one transaction.
CREATE TABLE limits (
    id text PRIMARY KEY, capacity bigint NOT NULL, used bigint NOT NULL DEFAULT 0, held bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 10); -- room for the many versions of three rows that change all the time
CREATE TABLE reservations (
    id uuid PRIMARY KEY, amount bigint NOT NULL, state text NOT NULL, expires timestamptz NOT NULL
);
CREATE INDEX ON reservations (expires) WHERE state = 'open';
CREATE TABLE requests (id uuid PRIMARY KEY, answer text NOT NULL);
CREATE TABLE log (number bigserial PRIMARY KEY, event text NOT NULL, reservation uuid NOT NULL, amount bigint NOT NULL);

CREATE FUNCTION reserve(request uuid, reservation uuid, units bigint, life interval) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    answered text;
    short text;
BEGIN
    SELECT answer INTO answered FROM requests WHERE id = request;
    IF FOUND THEN RETURN answered; END IF;
    -- Locked in one order by all, so that no two wait for each other.
    PERFORM 1 FROM limits WHERE id IN ('session', 'day', 'team') ORDER BY id FOR UPDATE;
    SELECT id INTO short FROM limits
        WHERE id IN ('session', 'day', 'team') AND capacity - used - held < units LIMIT 1;
    IF FOUND THEN
        answered := 'denied ' || short;
    ELSE
        UPDATE limits SET held = held + units WHERE id IN ('session', 'day', 'team');
        INSERT INTO reservations VALUES (reservation, units, 'open', now() + life);
        answered := 'granted';
    END IF;
    INSERT INTO log (event, reservation, amount) VALUES (answered, reservation, units);
    INSERT INTO requests VALUES (request, answered);
    RETURN answered;
END $$;

CREATE FUNCTION release(request uuid, reservation uuid) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    answered text;
    units bigint;
BEGIN
    SELECT answer INTO answered FROM requests WHERE id = request;
    IF FOUND THEN RETURN answered; END IF;
    UPDATE reservations SET state = 'released' WHERE id = reservation AND state = 'open' RETURNING amount INTO units;
    IF FOUND THEN
        PERFORM 1 FROM limits WHERE id IN ('session', 'day', 'team') ORDER BY id FOR UPDATE;
        UPDATE limits SET held = held - units WHERE id IN ('session', 'day', 'team');
        INSERT INTO log (event, reservation, amount) VALUES ('released', reservation, units);
        answered := 'released';
    ELSE
        answered := 'closed';
    END IF;
    INSERT INTO requests VALUES (request, answered);
    RETURN answered;
END $$;

INSERT INTO limits (id, capacity) VALUES ('session', 1125899906842624), ('day', 1125899906842624), ('team', 1125899906842624);
