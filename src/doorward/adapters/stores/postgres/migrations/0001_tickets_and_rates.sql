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

-- Whether it was spent by this call, and what it is. Each statement in here sees what was committed before it.
CREATE FUNCTION doorward_spend_ticket(a_digest bytea, at float8) RETURNS TABLE (
    won boolean, principal text, connection text, issued_at float8, expires_at float8, path text, origin text,
    spent_at float8
) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY UPDATE doorward_tickets t SET spent_at = at WHERE t.digest = a_digest AND t.spent_at IS NULL
    RETURNING true, t.principal, t.connection, t.issued_at, t.expires_at, t.path, t.origin, t.spent_at;
    IF NOT FOUND THEN
        RETURN QUERY SELECT false, t.principal, t.connection, t.issued_at, t.expires_at, t.path, t.origin, t.spent_at
        FROM doorward_tickets t WHERE t.digest = a_digest;
    END IF;
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
