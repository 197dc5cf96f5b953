-- A revocation has an id from whoever made it: the log takes each once, and acknowledgements go by it.
-- Those of before are given one, so that what waits for their acknowledgements goes on.

ALTER TABLE revocations ADD COLUMN id TEXT NOT NULL DEFAULT '';

UPDATE revocations SET id = 'log-' || sequence;

CREATE UNIQUE INDEX revocations_id ON revocations (id) WHERE id <> '';

CREATE TABLE acknowledgements_by_id (
    revocation TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    node TEXT NOT NULL,
    worker INTEGER NOT NULL,
    closed INTEGER NOT NULL,
    asked INTEGER NOT NULL,
    at REAL NOT NULL,
    took REAL NOT NULL,
    identities TEXT NOT NULL,
    PRIMARY KEY (revocation, node, worker)
) STRICT, WITHOUT ROWID;

INSERT INTO acknowledgements_by_id (revocation, sequence, node, worker, closed, asked, at, took, identities)
SELECT 'log-' || sequence, sequence, node, worker, closed, asked, at, took, identities FROM acknowledgements;

DROP TABLE acknowledgements;

ALTER TABLE acknowledgements_by_id RENAME TO acknowledgements;
