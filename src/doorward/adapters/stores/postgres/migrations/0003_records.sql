-- Revocations: the counter's row is locked until the commit, so that sequences have no gap and come in the order of
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
