-- Nothing here can be taken over or held up by another role of the database. Each operator and function is asked for with
-- the very types it has, or by pg_catalog's name, so that none of another schema could ever fit better; and what was
-- locked by a number, which every role may lock, is locked by a row.

CREATE TABLE doorward_locks (
    kind text COLLATE "C" NOT NULL,
    place integer NOT NULL,
    PRIMARY KEY (kind, place)
);

INSERT INTO doorward_locks (kind, place) VALUES ('sweep', 0);
INSERT INTO doorward_locks (kind, place)
SELECT kinds.kind, places.place
FROM (VALUES ('tickets'), ('slots of an identity'), ('slots of an address')) AS kinds (kind),
     pg_catalog.generate_series(0, 1023) AS places (place);

-- Until the commit. Two that share a place wait for each other, no more.
CREATE FUNCTION doorward_lock(a_kind text, what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM doorward_locks WHERE kind = a_kind AND place = pg_catalog.hashtext(what) & 1023 FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'doorward_locks has lost its rows';
    END IF;
END $$;

CREATE OR REPLACE FUNCTION doorward_put_ticket(
    a_digest bytea, an_owner bytea, a_principal text, a_connection text, issued float8, expires float8,
    a_path text, an_origin text, most bigint
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_catalog.set_config('synchronous_commit'::text, 'off'::text, true);
    PERFORM doorward_lock('tickets'::text, pg_catalog.encode(an_owner, 'hex'::text));
    INSERT INTO doorward_tickets (digest, owner, principal, connection, issued_at, expires_at, path, origin)
    VALUES (a_digest, an_owner, a_principal, a_connection, issued, expires, a_path, an_origin);
    DELETE FROM doorward_tickets WHERE spent_at IS NULL AND id IN (
        SELECT id FROM doorward_tickets
        WHERE owner = an_owner AND spent_at IS NULL AND expires_at > issued
        ORDER BY id DESC OFFSET most
    );
END $$;

CREATE OR REPLACE FUNCTION doorward_take_rate(
    a_place bytea, cost bigint, step float8, ahead float8, span float8, most bigint, at float8
) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
    now float8;
    old float8;
    base float8;
    later float8;
    total bigint;
    events float8 := cost;
BEGIN
    PERFORM pg_catalog.set_config('synchronous_commit'::text, 'off'::text, true);
    LOOP
        now := coalesce(at, extract(epoch FROM pg_catalog.clock_timestamp())::float8);
        SELECT tat INTO old FROM doorward_rates WHERE place = a_place;
        IF FOUND THEN
            base := CASE WHEN old < now THEN now WHEN old - now > ahead THEN now + span ELSE old END;
            later := base + step * greatest(events, 1::float8);
            IF later - now > ahead THEN
                -- A TAT out of reach, after a step back of the clock, is brought back.
                IF base < old THEN
                    UPDATE doorward_rates SET tat = base WHERE place = a_place AND tat = old;
                END IF;
                RETURN later - now - span;
            END IF;
            IF cost = 0 THEN
                RETURN 0;
            END IF;
            UPDATE doorward_rates SET tat = later WHERE place = a_place AND tat = old;
            IF FOUND THEN
                RETURN 0;
            END IF;
            CONTINUE;
        END IF;
        SELECT held INTO total FROM doorward_rate_count;
        IF total >= most THEN
            SELECT tat INTO old FROM doorward_rates ORDER BY tat LIMIT 1;
            IF old > now THEN
                RETURN greatest(old - now, 0.05::float8);
            END IF;
        END IF;
        IF cost = 0 THEN
            RETURN 0;
        END IF;
        INSERT INTO doorward_rates (place, tat) VALUES (a_place, now + step * events) ON CONFLICT DO NOTHING;
        IF NOT FOUND THEN
            CONTINUE;
        END IF;
        UPDATE doorward_rate_count SET held = held + 1 RETURNING held INTO total;
        IF total <= most OR doorward_sweep_rates(now, 64::bigint) > 0 THEN
            RETURN 0;
        END IF;
        DELETE FROM doorward_rates WHERE place = a_place;
        UPDATE doorward_rate_count SET held = held - 1;
        SELECT tat INTO old FROM doorward_rates ORDER BY tat LIMIT 1;
        RETURN greatest(coalesce(old, now) - now, 0.05::float8);
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION doorward_take_slot(
    a_connection text, an_identity bytea, an_address text, per_identity bigint, per_address bigint,
    may_replace boolean, a_process text, at float8,
    OUT outcome text, OUT taken_place bigint, OUT replaced text[]
) LANGUAGE plpgsql AS $$
DECLARE
    victims text[] := '{}';
    excess bigint;
BEGIN
    PERFORM pg_catalog.set_config('synchronous_commit'::text, 'off'::text, true);
    PERFORM doorward_lock('slots of an identity'::text, pg_catalog.encode(an_identity, 'hex'::text));
    PERFORM doorward_lock('slots of an address'::text, an_address);
    DELETE FROM doorward_slots WHERE connection = a_connection;
    SELECT pg_catalog.count(*) - per_identity + 1 INTO excess FROM doorward_slots WHERE identity = an_identity;
    IF excess > 0 THEN
        IF NOT (may_replace AND per_identity > 0) THEN
            outcome := 'identity';
            RETURN;
        END IF;
        SELECT pg_catalog.array_agg(oldest.connection ORDER BY oldest.place) INTO victims FROM (
            SELECT s.connection, s.place FROM doorward_slots s WHERE s.identity = an_identity ORDER BY s.place LIMIT excess
        ) oldest;
    END IF;
    SELECT pg_catalog.count(*) - per_address + 1 INTO excess FROM doorward_slots s
    WHERE s.address = an_address AND s.connection <> ALL (victims);
    IF excess > 0 THEN
        IF NOT (may_replace AND per_address > 0) THEN
            outcome := 'address';
            RETURN;
        END IF;
        victims := pg_catalog.array_cat(
            victims,
            (SELECT pg_catalog.array_agg(oldest.connection ORDER BY oldest.place) FROM (
                SELECT s.connection, s.place FROM doorward_slots s
                WHERE s.address = an_address AND s.connection <> ALL (victims) ORDER BY s.place LIMIT excess
            ) oldest)
        );
    END IF;
    PERFORM 1 FROM doorward_slots s WHERE s.connection = ANY (victims) ORDER BY s.connection FOR UPDATE;
    WITH gone AS (DELETE FROM doorward_slots s WHERE s.connection = ANY (victims) RETURNING s.connection)
    SELECT coalesce(
        pg_catalog.array_agg(gone.connection ORDER BY pg_catalog.array_position(victims, gone.connection)), '{}'
    ) INTO replaced FROM gone;
    INSERT INTO doorward_slots (connection, place, identity, address, process)
    VALUES (a_connection, pg_catalog.nextval('doorward_slot_places'::regclass), an_identity, an_address, a_process)
    RETURNING place INTO taken_place;
    -- A lease that is begun here was lost: with the next beat the process says again what it holds.
    INSERT INTO doorward_slot_leases (process, beat_at, lost)
    VALUES (a_process, coalesce(at, extract(epoch FROM pg_catalog.clock_timestamp())::float8), true)
    ON CONFLICT DO NOTHING;
    outcome := 'taken';
END $$;

CREATE OR REPLACE FUNCTION doorward_restate_slots(
    a_process text, sure text[], places bigint[], identities bytea[], addresses text[], perhaps text[]
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_catalog.set_config('synchronous_commit'::text, 'off'::text, true);
    DELETE FROM doorward_slots s WHERE s.process = a_process
        AND NOT EXISTS (
            SELECT 1 FROM pg_catalog.unnest(pg_catalog.array_cat(sure, perhaps)) AS kept (connection)
            WHERE kept.connection = s.connection
        );
    INSERT INTO doorward_slots (connection, place, identity, address, process)
    SELECT held.connection, held.place, held.identity, held.address, a_process
    FROM unnest(sure, places, identities, addresses) AS held (connection, place, identity, address)
    ORDER BY held.connection
    ON CONFLICT (connection) DO NOTHING;
    UPDATE doorward_slot_leases SET lost = false WHERE process = a_process;
END $$;

-- Any role of the server may fill the queue that carries what is notified, and a commit that finds it full fails. Those
-- who are not told look all the same.
CREATE OR REPLACE FUNCTION doorward_append_revocations(
    ids text[], kinds text[], vals text[], issuers text[], tenants text[], instants float8[], effects text[],
    causes text[], expiries float8[], makers text[], role_lists text[]
) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    newest bigint;
    before bigint;
    known bigint;
    sequences bigint[] := '{}';
BEGIN
    SELECT value INTO newest FROM doorward_numbers WHERE name = 'revocations' FOR UPDATE;
    before := newest;
    FOR n IN 1 .. pg_catalog.cardinality(ids) LOOP
        known := NULL;
        IF ids[n] <> '' THEN
            SELECT sequence INTO known FROM doorward_revocations WHERE id = ids[n];
        END IF;
        IF known IS NULL THEN
            newest := newest + 1;
            known := newest;
            INSERT INTO doorward_revocations
                (sequence, id, kind, value, issuer, tenant, instant, effect, cause, expires_at, made_by, roles)
            VALUES
                (newest, ids[n], kinds[n], vals[n], issuers[n], tenants[n], instants[n], effects[n], causes[n],
                 expiries[n], makers[n], role_lists[n]);
        END IF;
        sequences := pg_catalog.array_append(sequences, known);
    END LOOP;
    IF newest > before THEN
        UPDATE doorward_numbers SET value = newest WHERE name = 'revocations';
        IF pg_catalog.pg_notification_queue_usage() < 0.5::float8 THEN
            PERFORM pg_catalog.pg_notify('doorward'::text, newest::text);
        END IF;
    END IF;
    RETURN sequences;
END $$;

CREATE OR REPLACE FUNCTION doorward_forget_revocations(before float8, most bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    gone text[];
BEGIN
    WITH dropped AS (
        DELETE FROM doorward_revocations WHERE sequence IN (
            SELECT sequence FROM doorward_revocations WHERE expires_at < before
            ORDER BY expires_at LIMIT most FOR UPDATE SKIP LOCKED
        ) RETURNING id
    )
    SELECT coalesce(pg_catalog.array_agg(dropped.id), '{}') INTO gone FROM dropped;
    DELETE FROM doorward_acknowledgements WHERE revocation = ANY (gone);
    RETURN pg_catalog.cardinality(gone);
END $$;

CREATE OR REPLACE FUNCTION doorward_sweep(
    asked_at float8, most bigint, tickets_kept float8, revocations_kept float8, dead_kept float8
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    at float8 := coalesce(asked_at, extract(epoch FROM pg_catalog.clock_timestamp())::float8);
    swept bigint;
    largest bigint := 0;
    dead record;
BEGIN
    PERFORM 1 FROM doorward_locks WHERE kind = 'sweep' AND place = 0 FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    PERFORM pg_catalog.set_config('synchronous_commit'::text, 'off'::text, true);
    DELETE FROM doorward_tickets WHERE id IN (
        SELECT id FROM doorward_tickets WHERE expires_at < at - tickets_kept
        ORDER BY expires_at LIMIT most FOR UPDATE SKIP LOCKED
    );
    GET DIAGNOSTICS largest = ROW_COUNT;
    largest := greatest(largest, doorward_forget_revocations(at - revocations_kept, most));
    DELETE FROM doorward_bans WHERE id IN (
        SELECT id FROM doorward_bans WHERE expires_at <= at LIMIT most FOR UPDATE SKIP LOCKED
    );
    GET DIAGNOSTICS swept = ROW_COUNT;
    largest := greatest(largest, swept);
    FOR dead IN SELECT node, worker FROM doorward_nodes WHERE beat_at < at - dead_kept LOOP
        DELETE FROM doorward_connections WHERE connection IN (
            SELECT c.connection FROM doorward_connections c
            WHERE c.node = dead.node AND c.worker = dead.worker LIMIT most FOR UPDATE SKIP LOCKED
        );
        GET DIAGNOSTICS swept = ROW_COUNT;
        largest := greatest(largest, swept);
        IF swept >= most THEN
            EXIT;
        END IF;
        DELETE FROM doorward_nodes
        WHERE node = dead.node AND worker = dead.worker AND beat_at < at - dead_kept;
    END LOOP;
    largest := greatest(largest, doorward_sweep_rates(at, most));
    RETURN largest;
END $$;
