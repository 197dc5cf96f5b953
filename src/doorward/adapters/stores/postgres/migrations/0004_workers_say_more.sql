-- A heartbeat says which version it is of, whether it takes handshakes, and how far its machine's clock is off.
-- The shorter one stays, for nodes of before that are still there.

ALTER TABLE doorward_nodes
    ADD COLUMN version text NOT NULL DEFAULT '',
    ADD COLUMN ready boolean NOT NULL DEFAULT true,
    ADD COLUMN ahead float8 NOT NULL DEFAULT 0;

CREATE FUNCTION doorward_beat_node(
    a_node text, a_worker bigint, a_pid bigint, started float8, at float8, a_cursor bigint, live bigint,
    a_version text, is_ready boolean, is_ahead float8
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM doorward_beat_node(a_node, a_worker, a_pid, started, at, a_cursor, live);
    UPDATE doorward_nodes SET version = a_version, ready = is_ready, ahead = is_ahead
    WHERE node = a_node AND worker = a_worker;
END $$;
