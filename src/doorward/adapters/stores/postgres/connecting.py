"""How a connection is made, and what PostgreSQL's errors mean. No text that leaves here holds a secret or a value.

With link.py, listening.py and migrating.py the only modules that know psycopg.
"""

import asyncio
import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.sql import Literal

from doorward.adapters.stores.postgres.url import fault
from doorward.ports import RefusedError, StoreError
from doorward.values.secret import Secret

Row = tuple[Any, ...]
Connection = psycopg.AsyncConnection[Row]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long PostgreSQL may take, in seconds. `enter`: to let us in, for all hosts of the URL together. `lock` and
    `statement`: its own limits. `answer`: for a call as a whole, which never waits longer."""

    enter: float
    lock: float
    statement: float
    answer: float


HANDSHAKES: Final = Patience(enter=1.2, lock=1.0, statement=1.4, answer=1.8)
"""Somebody stands at the door: a store that takes longer is away."""
COMMANDS: Final = Patience(enter=4.0, lock=3.0, statement=4.0, answer=5.0)
"""An operator waits, or a node that starts: a server that is only busy gets its time."""

OLDEST: Final = 130000  # 13: the oldest that is still looked after
_DEFAULTS: Final = {
    "application_name": "doorward",
    "hostaddr": "",  # else PGHOSTADDR, or what PGSERVICE stands for, would be where we go
    "gssencmode": "disable",  # else each connection begins by asking for it
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "2",
    "tcp_user_timeout": "4000",
}
# Where names are looked for: pg_catalog (first, because it is not named), then our schema, and nowhere else. What is
# temporary would come before both, so it is named, last.
_PATH: Final = "SELECT pg_catalog.set_config('search_path', {path}, false);"
_FOUND_PATH: Final = """
CASE WHEN pg_catalog.current_schema() IS NULL THEN ''
     ELSE pg_catalog.format('%I, pg_temp', pg_catalog.current_schema()) END
"""
# Those that a database or a role may have set otherwise. Commits that must last wait for the flush; where somebody has
# asked for more than that, for a replica's, it stays so.
_SETTINGS: Final = """
SELECT set_config('statement_timeout', '{statement:.0f}', false),
       set_config('lock_timeout', '{lock:.0f}', false),
       set_config('idle_in_transaction_session_timeout', '10000', false),
       set_config('default_transaction_isolation', 'read committed', false),
       set_config('default_transaction_deferrable', 'off', false),
       set_config('jit', 'off', false),
       set_config('client_min_messages', 'warning', false),
       CASE WHEN current_setting('synchronous_commit') = 'off'
            THEN set_config('synchronous_commit', 'on', false) END
"""
# 40001 serialization_failure, 40P01 deadlock_detected: rolled back whole, so it may be done anew.
_AGAIN: Final = frozenset({"40001", "40P01"})
_REFUSED: Final = frozenset({"22", "54"})  # classes: a value that it can't hold, or one over its limits
# 25006: it has become a replica. 26000, 0A000: what was prepared is gone or has changed. 57P…: it is shutting down.
_SPOIL: Final = frozenset({"25006", "26000", "0A000", "57P01", "57P02", "57P03", "57P05"})


class Place:
    """Where the database is and who we are there."""

    def __init__(self, url: str, *, patience: Patience = HANDSHAKES) -> None:
        """Raises StoreError when it is no URL of PostgreSQL's."""
        wrong = fault(url)
        if wrong:
            raise StoreError(f"store.url {wrong}")
        try:
            given = conninfo_to_dict(url)
        except psycopg.Error:
            # libpq's own text repeats what it could not read, and that may be a piece of the password
            raise StoreError("store.url is not a PostgreSQL URL that libpq understands") from None
        several = "," in f"{given.get('host', '')}{given.get('hostaddr', '')}"
        defaults = _DEFAULTS | ({"target_session_attrs": "read-write"} if several else {})
        self._conninfo = Secret(make_conninfo("", **(defaults | given)))
        self._path = _FOUND_PATH
        self._settings = _SETTINGS.format(statement=patience.statement * 1000, lock=patience.lock * 1000)
        self.patience = patience
        self.name = f"PostgreSQL at {given.get('host') or 'this machine'}"

    def settle(self, schema: str) -> None:
        """Every connection from now on is for that schema, whatever others are made, and whichever would be found."""
        quoted = schema.replace('"', '""')
        self._path = Literal(f'"{quoted}", pg_temp').as_string()

    async def connect(self, *, within: float | None = None) -> Connection:
        """A new connection, within so many seconds, or as our patience is; each statement commits, and is prepared the
        first time. Raises StoreError.
        """
        within = self.patience.enter if within is None else within
        for last in (False, True):
            connection = await self._enter(within)
            settling = Cut(connection, within=within)
            try:
                async with settling:
                    await connection.execute((_PATH.format(path=self._path) + self._settings).encode(), prepare=False)
            except psycopg.Error as error:
                await end(connection)
                # One that was let in and ended at once: somebody ends sessions, and the next may well stay.
                if last or settling.was_late:
                    raise told(error) from None
            except BaseException:
                cut(connection)
                raise
            else:
                return connection
        raise StoreError(f"{self.name} ends every session at once")

    async def _enter(self, within: float) -> Connection:
        try:
            async with asyncio.timeout(within):
                connection = await psycopg.AsyncConnection.connect(
                    self._conninfo.expose(),
                    autocommit=True,
                    prepare_threshold=0,
                    cursor_factory=psycopg.AsyncRawCursor,
                )
        except TimeoutError:
            raise StoreError(f"{self.name} does not let us in within {within:g} s") from None
        except (psycopg.Error, OSError, UnicodeError) as error:
            raise told(error) from None
        connection.prepared_max = None
        return connection


class Cut:
    """`async with`: what has not ended by then ends with an error, whether the server answers or not.

    psycopg ends a cancelled statement by asking the server to, and waits for that; a silent one never answers.
    `was_late`: it came to that.
    """

    def __init__(self, connection: Connection, *, within: float) -> None:
        self._connection = connection
        self._within = within
        self.was_late = False

    async def __aenter__(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._within, self._late)

    async def __aexit__(self, *_: object) -> None:
        self._timer.cancel()

    def _late(self) -> None:
        self.was_late = True
        cut(self._connection)


def cut(connection: Connection) -> None:
    """End it at once, under whoever waits for it: they get an OperationalError."""
    if connection.closed:
        return
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as end:
        end.shutdown(socket.SHUT_RDWR)


async def end(connection: Connection | None) -> None:
    """Close it, in whatever state it is."""
    if connection is not None:
        with suppress(psycopg.Error, OSError):
            await connection.close()


def is_passing(error: psycopg.Error) -> bool:
    """Nothing was done, and a second try may well succeed."""
    return error.sqlstate in _AGAIN


def spoils(error: Exception, connection: Connection) -> bool:
    """The connection is not to be trusted after this error."""
    if connection.closed or connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
        return True
    return isinstance(error, psycopg.Error) and error.sqlstate in _SPOIL


def told(error: Exception) -> Exception:
    """What the caller gets: StoreError for all that PostgreSQL or the system says, a bug as it is.

    Only the first line of what the server says, for the others quote values; of libpq's own, all lines.
    """
    match error:
        case psycopg.Error(sqlstate=str(state)) if state[:2] in _REFUSED:
            return RefusedError(f"PostgreSQL: {error.diag.message_primary or type(error).__name__} ({state})")
        case psycopg.Error(sqlstate=str(state)):
            return StoreError(f"PostgreSQL: {error.diag.message_primary or type(error).__name__} ({state})")
        case psycopg.DataError():
            return RefusedError("PostgreSQL can't hold this value")
        case psycopg.Error():
            words = "; ".join(line.strip() for line in str(error).splitlines() if line)
            # our log masks what follows the word "password"
            words = words.removeprefix("connection failed: ").replace(
                "password authentication failed", "wrong password,"
            )
            return StoreError(f"PostgreSQL: {words}")
        case UnicodeError() | OverflowError():
            return RefusedError(f"PostgreSQL can't hold this value ({type(error).__name__})")
        case OSError():
            return StoreError(f"{type(error).__name__}: {error.strerror or error}")
        case _:
            return error
