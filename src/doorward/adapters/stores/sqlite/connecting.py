"""How a connection to the file is made, and what an SQLite error means. Only `create` makes a file, with mode 0600.

SQLite gives its -wal and -shm files the mode of the database.
"""

import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from doorward.ports import RefusedError, StoreError

Connect = Callable[[], sqlite3.Connection]

OLDEST_SQLITE: Final = (3, 37, 0)  # STRICT tables; RETURNING came with 3.35
_WAL_KEPT: Final = 32 * 1024 * 1024  # bytes that stay allocated to the log after a burst
_CACHE: Final = 8_192  # KiB: the live tickets and their indexes


def create(path: Path) -> None:
    """Make an empty file that only its owner can read, unless there is one. Raises OSError.

    One that is there is not opened: with any close of it this process would lose all the locks that SQLite holds on it
    for another store of ours, and the next process to leave would take the log away from under them (SQLite, "How To
    Corrupt", section 2.2).
    """
    if path.is_file():
        return
    # O_EXCL refuses links and folders too: a link may lead where the file is to be, and a folder is told as what it is
    exclusive = 0 if path.is_symlink() or path.is_dir() else os.O_EXCL
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | exclusive, 0o600))


def connect(path: Path, *, patience: float, query_only: bool = False) -> sqlite3.Connection:
    """Open the file, which must be there. `patience` is how long, in seconds, to wait for another's lock.

    Checkpoints are the reader's: a commit must not wait for the flush of everybody's pages.
    """
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=patience, isolation_level=None, cached_statements=256
    )
    try:
        connection.execute("PRAGMA wal_autocheckpoint = 0").fetchall()
        connection.execute(f"PRAGMA cache_size = -{_CACHE}").fetchall()
        connection.execute(f"PRAGMA journal_size_limit = {_WAL_KEPT}").fetchall()
        if query_only:
            connection.execute("PRAGMA query_only = 1").fetchall()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def is_busy(error: Exception) -> bool:
    """Another process holds the lock: it passes by itself. Nothing was done."""
    # The lower byte is the primary code, the rest says more precisely what (SQLite, result codes).
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return isinstance(error, sqlite3.OperationalError) and code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def spoils(error: Exception) -> bool:
    """The connection is not to be trusted after this error: open a new one, so that the store heals with its cause."""
    if not isinstance(error, sqlite3.Error) or isinstance(error, sqlite3.IntegrityError):
        return False
    return not is_busy(error)


def store_error(error: Exception) -> Exception:
    """What the caller gets: StoreError for all that SQLite or the system says, a bug as it is."""
    if isinstance(error, sqlite3.Error):
        told = StoreError(f"{error} ({getattr(error, 'sqlite_errorname', 'no code')})")
    elif isinstance(error, UnicodeError | OverflowError):
        told = RefusedError(f"{type(error).__name__}: {error}")
    elif isinstance(error, OSError):
        told = StoreError(f"{type(error).__name__}: {error}")
    else:
        return error
    told.__cause__ = error
    return told
