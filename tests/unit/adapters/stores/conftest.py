"""A file in WAL mode, with a table of two rows: what readers and glances look at."""

from pathlib import Path

import pytest

from doorward.adapters.stores.sqlite.connecting import connect, create


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    create(path)
    connection = connect(path, patience=1)
    connection.execute("PRAGMA journal_mode = WAL").fetchall()
    connection.execute("CREATE TABLE rows (value)")
    connection.execute("INSERT INTO rows VALUES (1), (2)")
    connection.close()
    return path
