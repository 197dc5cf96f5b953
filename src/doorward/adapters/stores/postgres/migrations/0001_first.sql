-- Times are epoch seconds. Tickets are kept by digest: no code is ever in this database.
-- Names begin with doorward_, so that a schema can be shared; text is compared by bytes, whatever the database's locale.

CREATE TABLE doorward_numbers (
    name text COLLATE "C" PRIMARY KEY,
    value bigint NOT NULL
) WITH (fillfactor = 50);

INSERT INTO doorward_numbers (name, value)
VALUES ('audit', 0), ('bans', 0), ('checks', 0), ('keys', 0), ('revocations', 0);

-- ---- tickets. `owner` is a digest of identity and session: what a token says may be longer than an index takes.

CREATE TABLE doorward_tickets (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest bytea NOT NULL UNIQUE,
    owner bytea NOT NULL,
    principal text NOT NULL,
    connection text NOT NULL,
    issued_at float8 NOT NULL,
    expires_at float8 NOT NULL,
    path text,
    origin text,
    spent_at float8
);

CREATE INDEX doorward_tickets_unspent ON doorward_tickets (owner, id) WHERE spent_at IS NULL;
CREATE INDEX doorward_tickets_end ON doorward_tickets (expires_at);

-- A ticket that a crash of the server takes back is unknown, and refused; a spent one must stay spent, so that is
-- committed with the disk's flush, and this is not.
CREATE FUNCTION doorward_put_ticket(
    a_digest bytea, an_owner bytea, a_principal text, a_connection text, issued float8, expires float8,
    a_path text, an_origin text, most bigint
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    PERFORM pg_advisory_xact_lock(1685024626, hashtext(encode(an_owner, 'hex')));
    INSERT INTO doorward_tickets (digest, owner, principal, connection, issued_at, expires_at, path, origin)
    VALUES (a_digest, an_owner, a_principal, a_connection, issued, expires, a_path, an_origin);
    DELETE FROM doorward_tickets WHERE spent_at IS NULL AND id IN (
        SELECT id FROM doorward_tickets
        WHERE owner = an_owner AND spent_at IS NULL AND expires_at > issued
        ORDER BY id DESC OFFSET most
    );
END $$;

-- ---- rates. `place` is a digest of name and key.

CREATE TABLE doorward_rates (
    place bytea PRIMARY KEY,
    tat float8 NOT NULL
) WITH (fillfactor = 70);

CREATE INDEX doorward_rates_end ON doorward_rates (tat);

CREATE TABLE doorward_rate_count (held bigint NOT NULL) WITH (fillfactor = 10);

INSERT INTO doorward_rate_count (held) VALUES (0);

-- 0 admits; else the seconds to wait, and nothing was charged. The arithmetic is that of core/rates.py.
-- `step` is seconds per event, `ahead` how far the TAT may run ahead, `span` the whole burst in seconds.
-- An UPDATE that finds another number than the one decided on decides anew. The count is locked last, and nothing is
-- waited for under that lock, so no two calls wait for each other.
CREATE FUNCTION doorward_take_rate(
    a_place bytea, cost bigint, step float8, ahead float8, span float8, most bigint, at float8
) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
    now float8;
    old float8;
    base float8;
    later float8;
    total bigint;
    dropped bigint;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    LOOP
        now := coalesce(at, extract(epoch FROM clock_timestamp())::float8);
        SELECT tat INTO old FROM doorward_rates WHERE place = a_place;
        IF FOUND THEN
            base := CASE WHEN old < now THEN now WHEN old - now > ahead THEN now + span ELSE old END;
            later := base + step * greatest(cost, 1);
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
                RETURN greatest(old - now, 0.05);
            END IF;
        END IF;
        IF cost = 0 THEN
            RETURN 0;
        END IF;
        INSERT INTO doorward_rates (place, tat) VALUES (a_place, now + step * cost) ON CONFLICT DO NOTHING;
        IF NOT FOUND THEN
            CONTINUE;
        END IF;
        UPDATE doorward_rate_count SET held = held + 1 RETURNING held INTO total;
        IF total <= most OR doorward_sweep_rates(now, 64) > 0 THEN
            RETURN 0;
        END IF;
        DELETE FROM doorward_rates WHERE place = a_place;
        UPDATE doorward_rate_count SET held = held - 1;
        SELECT tat INTO old FROM doorward_rates ORDER BY tat LIMIT 1;
        RETURN greatest(coalesce(old, now) - now, 0.05);
    END LOOP;
END $$;

-- Keys whose TAT has passed count like those that are not there.
CREATE FUNCTION doorward_sweep_rates(at float8, most bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    dropped bigint;
BEGIN
    DELETE FROM doorward_rates WHERE place IN (
        SELECT place FROM doorward_rates WHERE tat <= at ORDER BY tat LIMIT most FOR UPDATE SKIP LOCKED
    );
    GET DIAGNOSTICS dropped = ROW_COUNT;
    IF dropped > 0 THEN
        UPDATE doorward_rate_count SET held = held - dropped;
    END IF;
    RETURN dropped;
END $$;

-- ---- slots. `place` is the order in which they were taken; `identity` is a digest.

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

-- ---- revocations. The counter's row is locked until the commit, so that sequences have no gap and come in the order of
-- commits.

CREATE TABLE doorward_revocations (
    sequence bigint PRIMARY KEY,
    id text COLLATE "C" NOT NULL,
    kind text NOT NULL,
    value text NOT NULL,
    issuer text,
    tenant text,
    instant float8 NOT NULL,
    effect text NOT NULL,
    cause text NOT NULL,
    expires_at float8 NOT NULL,
    made_by text NOT NULL,
    roles text NOT NULL
);

CREATE UNIQUE INDEX doorward_revocations_id ON doorward_revocations (id) WHERE id <> '';
CREATE INDEX doorward_revocations_end ON doorward_revocations (expires_at);

CREATE TABLE doorward_acknowledgements (
    revocation text COLLATE "C" NOT NULL,
    sequence bigint NOT NULL,
    node text COLLATE "C" NOT NULL,
    worker bigint NOT NULL,
    closed bigint NOT NULL,
    asked bigint NOT NULL,
    at float8 NOT NULL,
    took float8 NOT NULL,
    identities text NOT NULL,
    PRIMARY KEY (revocation, node, worker)
);

-- Several at once, so that they share one flush. Those whose id is known keep the sequence they have.
CREATE FUNCTION doorward_append_revocations(
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
    FOR n IN 1 .. cardinality(ids) LOOP
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
        sequences := sequences || known;
    END LOOP;
    IF newest > before THEN
        UPDATE doorward_numbers SET value = newest WHERE name = 'revocations';
        PERFORM pg_notify('doorward', newest::text);
    END IF;
    RETURN sequences;
END $$;

CREATE FUNCTION doorward_forget_revocations(before float8, most bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    gone text[];
BEGIN
    WITH dropped AS (
        DELETE FROM doorward_revocations WHERE sequence IN (
            SELECT sequence FROM doorward_revocations WHERE expires_at < before
            ORDER BY expires_at LIMIT most FOR UPDATE SKIP LOCKED
        ) RETURNING id
    )
    SELECT coalesce(array_agg(dropped.id), '{}') INTO gone FROM dropped;
    DELETE FROM doorward_acknowledgements WHERE revocation = ANY (gone);
    RETURN cardinality(gone);
END $$;

-- ---- bans, keys, presence, audit

CREATE TABLE doorward_bans (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    network text,
    subject text,
    issuer text,
    tenant text,
    cause text NOT NULL,
    made_at float8 NOT NULL,
    expires_at float8,
    made_by text NOT NULL
);

CREATE TABLE doorward_keys (
    key_id text COLLATE "C" PRIMARY KEY,
    algorithm text NOT NULL,
    public_jwk text NOT NULL,
    wrapped bytea NOT NULL,
    active_from float8 NOT NULL,
    retired_at float8
);

CREATE FUNCTION doorward_add_key(
    a_key_id text, an_algorithm text, a_jwk text, a_wrapped bytea, from_when float8, retired float8,
    retire_others_at float8
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM doorward_numbers WHERE name = 'keys' FOR UPDATE;
    IF EXISTS (SELECT 1 FROM doorward_keys WHERE key_id = a_key_id) THEN
        RETURN false;
    END IF;
    IF retire_others_at IS NOT NULL THEN
        UPDATE doorward_keys SET retired_at = retire_others_at
        WHERE algorithm = an_algorithm AND (retired_at IS NULL OR retired_at > retire_others_at);
    ELSIF EXISTS (SELECT 1 FROM doorward_keys WHERE algorithm = an_algorithm) THEN
        RETURN false;
    END IF;
    INSERT INTO doorward_keys (key_id, algorithm, public_jwk, wrapped, active_from, retired_at)
    VALUES (a_key_id, an_algorithm, a_jwk, a_wrapped, from_when, retired);
    UPDATE doorward_numbers SET value = value + 1 WHERE name = 'keys';
    RETURN true;
END $$;

CREATE TABLE doorward_nodes (
    node text COLLATE "C" NOT NULL,
    worker bigint NOT NULL,
    pid bigint NOT NULL,
    started_at float8 NOT NULL,
    beat_at float8 NOT NULL,
    cursor bigint NOT NULL,
    connections bigint NOT NULL,
    PRIMARY KEY (node, worker)
) WITH (fillfactor = 50);

CREATE TABLE doorward_connections (
    connection text COLLATE "C" PRIMARY KEY,
    node text COLLATE "C" NOT NULL,
    worker bigint NOT NULL,
    issuer text NOT NULL,
    subject text NOT NULL,
    tenant text NOT NULL,
    session text NOT NULL,
    address text NOT NULL,
    route text NOT NULL,
    opened_at float8 NOT NULL,
    expires_at float8
);

CREATE INDEX doorward_connections_node ON doorward_connections (node, worker);

CREATE FUNCTION doorward_beat_node(
    a_node text, a_worker bigint, a_pid bigint, started float8, at float8, a_cursor bigint, live bigint
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    before float8;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    SELECT started_at INTO before FROM doorward_nodes WHERE node = a_node AND worker = a_worker;
    IF before <> started THEN
        -- The same name in a later life: what the earlier one had open died with it.
        DELETE FROM doorward_connections WHERE node = a_node AND worker = a_worker AND opened_at < started;
    END IF;
    INSERT INTO doorward_nodes (node, worker, pid, started_at, beat_at, cursor, connections)
    VALUES (a_node, a_worker, a_pid, started, at, a_cursor, live)
    ON CONFLICT (node, worker) DO UPDATE SET
        pid = excluded.pid, started_at = excluded.started_at, beat_at = excluded.beat_at,
        cursor = excluded.cursor, connections = excluded.connections;
END $$;

CREATE FUNCTION doorward_leave_node(a_node text, a_worker bigint) RETURNS void LANGUAGE sql AS $$
    DELETE FROM doorward_nodes WHERE node = a_node AND worker = a_worker;
    DELETE FROM doorward_connections WHERE node = a_node AND worker = a_worker;
$$;

CREATE FUNCTION doorward_note_connections(
    ids text[], nodes text[], workers bigint[], issuers text[], subjects text[], tenants text[], sessions text[],
    addresses text[], routes text[], openings float8[], expiries float8[], closed text[]
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    INSERT INTO doorward_connections
        (connection, node, worker, issuer, subject, tenant, session, address, route, opened_at, expires_at)
    SELECT * FROM unnest(
        ids, nodes, workers, issuers, subjects, tenants, sessions, addresses, routes, openings, expiries
    )
    ON CONFLICT (connection) DO UPDATE SET
        node = excluded.node, worker = excluded.worker, issuer = excluded.issuer, subject = excluded.subject,
        tenant = excluded.tenant, session = excluded.session, address = excluded.address, route = excluded.route,
        opened_at = excluded.opened_at, expires_at = excluded.expires_at;
    DELETE FROM doorward_connections WHERE connection = ANY (closed);
END $$;

CREATE TABLE doorward_audit (
    id bigint PRIMARY KEY,
    at float8 NOT NULL,
    kind text NOT NULL,
    subject text NOT NULL,
    reason text NOT NULL,
    line text NOT NULL
);

CREATE INDEX doorward_audit_subject ON doorward_audit USING hash (subject) WHERE subject <> '';
CREATE INDEX doorward_audit_at ON doorward_audit (at);

-- ---- the sweep: at most so many rows of each table, by one process at a time. The most that went from any.

CREATE FUNCTION doorward_sweep(
    asked_at float8, most bigint, tickets_kept float8, revocations_kept float8, dead_kept float8
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    at float8 := coalesce(asked_at, extract(epoch FROM clock_timestamp())::float8);
    swept bigint;
    largest bigint := 0;
    dead record;
BEGIN
    IF NOT pg_try_advisory_xact_lock(1685024629, 0) THEN
        RETURN 0;
    END IF;
    PERFORM set_config('synchronous_commit', 'off', true);
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
