-- Slots: `place` is the order in which they were taken; `identity` is a digest.

CREATE TABLE doorward_slot_leases (
    process text COLLATE "C" PRIMARY KEY,
    beat_at float8 NOT NULL,
    lost boolean NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE doorward_slots (
    connection text COLLATE "C" PRIMARY KEY,
    place bigint NOT NULL,
    identity bytea NOT NULL,
    address text COLLATE "C" NOT NULL,
    process text COLLATE "C" NOT NULL
);

CREATE SEQUENCE doorward_slot_places OWNED BY doorward_slots.place;
CREATE INDEX doorward_slots_identity ON doorward_slots (identity, place);
CREATE INDEX doorward_slots_address ON doorward_slots (address, place);
CREATE INDEX doorward_slots_process ON doorward_slots (process);

-- Both limits at once. Locks are taken for the identity first, then for the address, by everybody, so nobody waits in a
-- circle. `outcome` is 'taken', 'identity' or 'address': which of them is full.
CREATE FUNCTION doorward_take_slot(
    a_connection text, an_identity bytea, an_address text, per_identity bigint, per_address bigint,
    may_replace boolean, a_process text, at float8,
    OUT outcome text, OUT taken_place bigint, OUT replaced text[]
) LANGUAGE plpgsql AS $$
DECLARE
    victims text[] := '{}';
    excess bigint;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    PERFORM pg_advisory_xact_lock(1685024627, hashtext(encode(an_identity, 'hex')));
    PERFORM pg_advisory_xact_lock(1685024628, hashtext(an_address));
    DELETE FROM doorward_slots WHERE connection = a_connection;
    SELECT count(*) - per_identity + 1 INTO excess FROM doorward_slots WHERE identity = an_identity;
    IF excess > 0 THEN
        IF NOT (may_replace AND per_identity > 0) THEN
            outcome := 'identity';
            RETURN;
        END IF;
        SELECT array_agg(oldest.connection ORDER BY oldest.place) INTO victims FROM (
            SELECT s.connection, s.place FROM doorward_slots s WHERE s.identity = an_identity ORDER BY s.place LIMIT excess
        ) oldest;
    END IF;
    SELECT count(*) - per_address + 1 INTO excess FROM doorward_slots s
    WHERE s.address = an_address AND s.connection <> ALL (victims);
    IF excess > 0 THEN
        IF NOT (may_replace AND per_address > 0) THEN
            outcome := 'address';
            RETURN;
        END IF;
        victims := victims || (SELECT array_agg(oldest.connection ORDER BY oldest.place) FROM (
            SELECT s.connection, s.place FROM doorward_slots s
            WHERE s.address = an_address AND s.connection <> ALL (victims) ORDER BY s.place LIMIT excess
        ) oldest);
    END IF;
    PERFORM 1 FROM doorward_slots s WHERE s.connection = ANY (victims) ORDER BY s.connection FOR UPDATE;
    WITH gone AS (DELETE FROM doorward_slots s WHERE s.connection = ANY (victims) RETURNING s.connection)
    SELECT coalesce(array_agg(gone.connection ORDER BY array_position(victims, gone.connection)), '{}')
    INTO replaced FROM gone;
    INSERT INTO doorward_slots (connection, place, identity, address, process)
    VALUES (a_connection, nextval('doorward_slot_places'), an_identity, an_address, a_process)
    RETURNING place INTO taken_place;
    -- A lease that is begun here was lost: with the next beat the process says again what it holds.
    INSERT INTO doorward_slot_leases (process, beat_at, lost)
    VALUES (a_process, coalesce(at, extract(epoch FROM clock_timestamp())::float8), true) ON CONFLICT DO NOTHING;
    outcome := 'taken';
END $$;

-- A process begins a life: what an earlier one of its name held is free.
CREATE FUNCTION doorward_start_slots(a_process text, at float8) RETURNS void LANGUAGE sql AS $$
    DELETE FROM doorward_slots WHERE process = a_process;
    INSERT INTO doorward_slot_leases (process, beat_at, lost)
    VALUES (a_process, coalesce(at, extract(epoch FROM clock_timestamp())::float8), false)
    ON CONFLICT (process) DO UPDATE SET beat_at = excluded.beat_at, lost = false;
$$;

CREATE FUNCTION doorward_stop_slots(a_process text) RETURNS void LANGUAGE sql AS $$
    DELETE FROM doorward_slots WHERE process = a_process;
    DELETE FROM doorward_slot_leases WHERE process = a_process;
$$;

CREATE FUNCTION doorward_free_slots(connections text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    -- In one order by everybody, so that nobody waits in a circle.
    PERFORM 1 FROM doorward_slots WHERE connection = ANY (connections) ORDER BY connection FOR UPDATE;
    DELETE FROM doorward_slots WHERE connection = ANY (connections);
END $$;

-- Prolongs a process's lease, and frees what dead ones held. One whose own beat was so late that it would count as dead
-- itself frees nothing then: the others could not beat either. Whether its lease had been lost.
CREATE FUNCTION doorward_beat_slots(a_process text, owed text[], at float8, lease float8) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    now float8 := coalesce(at, extract(epoch FROM clock_timestamp())::float8);
    last doorward_slot_leases;
    dead text;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    PERFORM 1 FROM doorward_slots WHERE connection = ANY (owed) ORDER BY connection FOR UPDATE;
    DELETE FROM doorward_slots WHERE connection = ANY (owed);
    SELECT * INTO last FROM doorward_slot_leases WHERE process = a_process;
    INSERT INTO doorward_slot_leases (process, beat_at, lost) VALUES (a_process, now, true)
    ON CONFLICT (process) DO UPDATE SET beat_at = excluded.beat_at;
    IF last.process IS NULL OR now - last.beat_at <= lease THEN
        FOR dead IN DELETE FROM doorward_slot_leases WHERE process IN (
            SELECT process FROM doorward_slot_leases WHERE beat_at < now - lease FOR UPDATE SKIP LOCKED
        ) RETURNING process LOOP
            DELETE FROM doorward_slots WHERE process = dead;
        END LOOP;
    END IF;
    RETURN last.process IS NULL OR last.lost;
END $$;

-- What a process holds, said anew: after its lease was lost, or a crash of the server took back what it had not flushed.
-- `sure` are those that it holds, with their order; `perhaps` are being taken just now.
CREATE FUNCTION doorward_restate_slots(
    a_process text, sure text[], places bigint[], identities bytea[], addresses text[], perhaps text[]
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    DELETE FROM doorward_slots s WHERE s.process = a_process
        AND NOT EXISTS (SELECT 1 FROM unnest(sure || perhaps) AS kept (connection) WHERE kept.connection = s.connection);
    INSERT INTO doorward_slots (connection, place, identity, address, process)
    SELECT held.connection, held.place, held.identity, held.address, a_process
    FROM unnest(sure, places, identities, addresses) AS held (connection, place, identity, address)
    ORDER BY held.connection
    ON CONFLICT (connection) DO NOTHING;
    UPDATE doorward_slot_leases SET lost = false WHERE process = a_process;
END $$;
