-- Times are epoch seconds. Tickets are kept by digest: no code is ever in this file.

CREATE TABLE numbers (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO numbers (name, value) VALUES ('bans', 0), ('checks', 0), ('keys', 0), ('rates', 0);

CREATE TABLE tickets (
    id INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    tenant TEXT NOT NULL,
    session TEXT NOT NULL,
    principal TEXT NOT NULL,
    connection TEXT NOT NULL,
    issued_at REAL NOT NULL,
    expires_at REAL NOT NULL,
    path TEXT,
    origin TEXT,
    spent_at REAL
) STRICT;

CREATE INDEX tickets_unspent ON tickets (issuer, subject, tenant, session) WHERE spent_at IS NULL;
CREATE INDEX tickets_end ON tickets (expires_at);

CREATE TABLE rates (
    name TEXT NOT NULL,
    key TEXT NOT NULL,
    tat REAL NOT NULL,
    PRIMARY KEY (name, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX rates_end ON rates (tat);

CREATE TABLE slot_leases (
    process TEXT PRIMARY KEY,
    beat_at REAL NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE slots (
    id INTEGER PRIMARY KEY,
    connection TEXT NOT NULL UNIQUE,
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    tenant TEXT NOT NULL,
    address TEXT NOT NULL,
    process TEXT NOT NULL
) STRICT;

CREATE INDEX slots_identity ON slots (issuer, subject, tenant);
CREATE INDEX slots_address ON slots (address);
CREATE INDEX slots_process ON slots (process);

-- AUTOINCREMENT: a sequence is never given twice, even after the newest was forgotten.
CREATE TABLE revocations (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    issuer TEXT,
    tenant TEXT,
    instant REAL NOT NULL,
    effect TEXT NOT NULL,
    cause TEXT NOT NULL,
    expires_at REAL NOT NULL,
    made_by TEXT NOT NULL,
    roles TEXT NOT NULL
) STRICT;

CREATE INDEX revocations_end ON revocations (expires_at);

CREATE TABLE acknowledgements (
    sequence INTEGER NOT NULL,
    node TEXT NOT NULL,
    worker INTEGER NOT NULL,
    closed INTEGER NOT NULL,
    asked INTEGER NOT NULL,
    at REAL NOT NULL,
    took REAL NOT NULL,
    identities TEXT NOT NULL,
    PRIMARY KEY (sequence, node, worker)
) STRICT, WITHOUT ROWID;

CREATE TABLE bans (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    network TEXT,
    subject TEXT,
    issuer TEXT,
    tenant TEXT,
    cause TEXT NOT NULL,
    made_at REAL NOT NULL,
    expires_at REAL,
    made_by TEXT NOT NULL
) STRICT;

CREATE TABLE nodes (
    node TEXT NOT NULL,
    worker INTEGER NOT NULL,
    pid INTEGER NOT NULL,
    started_at REAL NOT NULL,
    beat_at REAL NOT NULL,
    cursor INTEGER NOT NULL,
    connections INTEGER NOT NULL,
    PRIMARY KEY (node, worker)
) STRICT, WITHOUT ROWID;

CREATE TABLE connections (
    connection TEXT PRIMARY KEY,
    node TEXT NOT NULL,
    worker INTEGER NOT NULL,
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    tenant TEXT NOT NULL,
    session TEXT NOT NULL,
    address TEXT NOT NULL,
    route TEXT NOT NULL,
    opened_at REAL NOT NULL,
    expires_at REAL
) STRICT, WITHOUT ROWID;

CREATE INDEX connections_node ON connections (node, worker);

CREATE TABLE keys (
    key_id TEXT PRIMARY KEY,
    algorithm TEXT NOT NULL,
    public_jwk TEXT NOT NULL,
    wrapped BLOB NOT NULL,
    active_from REAL NOT NULL,
    retired_at REAL
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    reason TEXT NOT NULL,
    line TEXT NOT NULL
) STRICT;

CREATE INDEX audit_subject ON audit (subject) WHERE subject <> '';
CREATE INDEX audit_at ON audit (at);
