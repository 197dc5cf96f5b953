-- A heartbeat says which version it is of, whether it takes handshakes, and how far its machine's clock is off.

ALTER TABLE nodes ADD COLUMN version TEXT NOT NULL DEFAULT '';

ALTER TABLE nodes ADD COLUMN ready INTEGER NOT NULL DEFAULT 1;

ALTER TABLE nodes ADD COLUMN ahead REAL NOT NULL DEFAULT 0.0;
