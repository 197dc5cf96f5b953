-- How many slots each address holds, so that a handshake reads one row where thousands come from one address.

CREATE TABLE slots_of_addresses (
    address TEXT PRIMARY KEY,
    held INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO slots_of_addresses (address, held) SELECT address, count(*) FROM slots GROUP BY address;

CREATE TRIGGER slots_taken AFTER INSERT ON slots BEGIN
    INSERT INTO slots_of_addresses (address, held) VALUES (new.address, 1)
    ON CONFLICT (address) DO UPDATE SET held = held + 1;
END;

CREATE TRIGGER slots_freed AFTER DELETE ON slots BEGIN
    UPDATE slots_of_addresses SET held = held - 1 WHERE address = old.address;
    DELETE FROM slots_of_addresses WHERE address = old.address AND held = 0;
END;
