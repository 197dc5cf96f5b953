"""A private PostgreSQL on loopback, started by the first test that needs it, with what faults are made of.

`shared()` is the one of this pytest process; each test gets a database of its own on it. A test that kills, stops or
fills the server starts its own with `running()`, so that no other test feels it.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from signal import SIGCONT, SIGINT, SIGKILL, SIGQUIT, SIGSTOP, Signals
from threading import Event, Thread
from typing import Final

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL, Identifier

from tests import servers
from tests.integration.ports import free_port

PASSWORD: Final = "correct-horse-5"
OWNER: Final = "doorward"  # a plain role; it owns each database that a test gets
WITHIN: Final = 60.0
_SETTINGS: Final = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
fsync = {fsync}
max_connections = 200
shared_buffers = 32MB
autovacuum_naptime = 1h
logging_collector = off
log_destination = stderr
lc_messages = 'C'
{more}
"""


def programs() -> Path:
    """The folder of initdb and postgres: Debian keeps it out of the path."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
    if not folders:
        raise RuntimeError("no PostgreSQL here: tools/debian postgresql")
    return folders[-1]


class Postgres:
    """One server over one data folder. `url()` keeps its value through restarts: the port stays.

    Its methods block for moments; call them by asyncio.to_thread where the loop has to go on meanwhile.
    """

    def __init__(self, folder: Path, *, fsync: bool = False, settings: str = "") -> None:
        self.folder = folder
        self.data = folder / "data"
        self.port = 0
        self.log: deque[str] = deque(maxlen=1000)
        self._programs = programs()
        # An immediate shutdown, should the thread that started it be gone (PR_SET_PDEATHSIG, prctl(2)).
        self._start_as = ["setpriv", "--pdeathsig", "QUIT"]
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            owner = _unprivileged()
            self._start_as += [f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups"]
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        self._settings = _SETTINGS.format(fsync="on" if fsync else "off", more=settings)
        self._numbers = count(1)
        self._ready = Event()
        self._ended = Event()
        self._child: subprocess.Popen[str] | None = None
        self._failed: Exception | None = None
        self._was_up = False

    # ---- its life

    def make(self) -> None:
        """initdb, and the roles. Ends with the server running."""
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        self._run("initdb", "--no-sync", "-U", "postgres", "-A", "scram-sha-256", "--pwfile", secret, "-D", self.data,
                  "--locale=C.UTF-8", "-E", "UTF8")  # fmt: skip
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(self._settings)
        self.start()
        self.sql(f"CREATE ROLE {OWNER} LOGIN PASSWORD '{PASSWORD}'")

    def start(self) -> None:
        """Until it accepts connections: after a crash, once it has recovered."""
        for _ in range(10):
            self._ready, self._ended, self._failed = Event(), Event(), None
            self.log.clear()
            self.port = self.port or free_port()
            # A thread of its own starts it and reads what it logs: the kernel ties its life to that thread.
            Thread(target=self._live, args=(self._ready, self._ended), daemon=True).start()
            if not self._ready.wait(WITHIN):
                raise RuntimeError("PostgreSQL did not start:\n" + "".join(self.log))
            if self._failed is not None:
                raise self._failed
            if not self._ended.is_set():
                self._was_up = True
                return
            if self._was_up or not any("Address already in use" in line for line in self.log):
                break
            self.port = 0  # somebody else was quicker
        raise RuntimeError("PostgreSQL did not start:\n" + "".join(self.log))

    def stop(self) -> None:
        """In order, at once: sessions are ended ("fast")."""
        self.signal(SIGCONT)
        self._end(SIGINT, only_the_first=True)

    def crash(self) -> None:
        """An immediate shutdown: every process ends without a checkpoint, and says so to its clients."""
        self._end(SIGQUIT, only_the_first=True)

    def kill(self) -> None:
        """kill -9 of every process of it: nothing that was in its memory outlives it."""
        self._end(SIGKILL, only_the_first=False)

    def restart(self) -> None:
        """Start it again on its port, after `stop` or `kill`; stop it before that if it runs."""
        if self.is_running:
            self.stop()
        self.start()

    def pause(self) -> None:
        """SIGSTOP: sockets stay open, and nothing answers."""
        self.signal(SIGSTOP)

    def resume(self) -> None:
        self.signal(SIGCONT)

    @property
    def is_running(self) -> bool:
        return self._child is not None and not self._ended.is_set()

    def signal(self, number: Signals) -> None:
        """To the first process and each of its sessions and workers."""
        for pid in self.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def pids(self) -> list[int]:
        """The first process, then its children."""
        if self._child is None:
            return []
        first = self._child.pid
        found = Path(f"/proc/{first}/task/{first}/children")
        with suppress(FileNotFoundError, ProcessLookupError):
            return [first, *map(int, found.read_text().split())]
        return []

    def _live(self, ready: Event, ended: Event) -> None:
        try:
            child = self._popen("postgres", "-D", self.data, "-p", self.port)
        except Exception as error:  # noqa: BLE001 - it is raised by start()
            self._failed = error
            ready.set()
            return
        self._child = child
        if child.stdout is None:
            raise RuntimeError("no pipe")
        with child.stdout:
            for line in child.stdout:
                self.log.append(line)
                if "database system is ready to accept connections" in line:
                    ready.set()
        # The pipe ends once the last process that held it has gone.
        child.wait()
        ended.set()
        ready.set()

    def _end(self, number: Signals, *, only_the_first: bool) -> None:
        if not self.is_running or self._child is None:
            return
        if only_the_first:
            self._child.send_signal(number)
        else:
            self._child.send_signal(SIGSTOP)  # so that no session is begun behind our back
            for pid in reversed(self.pids()):
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
        if not self._ended.wait(WITHIN):
            raise RuntimeError("PostgreSQL did not end:\n" + "".join(self.log))

    def _run(self, program: str, *arguments: object) -> None:
        child = self._popen(program, *arguments)
        said, _ = child.communicate(timeout=WITHIN)
        if child.returncode:
            raise RuntimeError(f"{program}: {said}")

    def _popen(self, program: str, *arguments: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*self._start_as, str(self._programs / program), *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "TZ": "UTC", "LC_ALL": "C.UTF-8"},
        )

    # ---- its databases

    def url(self, database: str, *, user: str = OWNER, password: str = PASSWORD, query: str = "") -> str:
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}{query}"

    def database(self, *, template: str = "template0") -> str:
        """The URL of a new, empty database that OWNER owns."""
        name = f"test_{next(self._numbers)}"
        self.sql(f"CREATE DATABASE {name} OWNER {OWNER} TEMPLATE {template}")
        return self.url(name)

    def drop(self, url: str) -> None:
        """A database, with whoever is still connected to it."""
        name = conninfo_to_dict(url)["dbname"]
        with self.connect() as connection:
            connection.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(str(name))))

    def connect(self, url: str = "") -> psycopg.Connection:
        """As the superuser, unless a URL says otherwise; each statement commits."""
        return psycopg.connect(url or self.url("postgres", user="postgres"), autocommit=True)

    def sql(self, statement: str, *, database: str = "postgres") -> list[tuple]:
        """One statement as the superuser, and its rows."""
        with self.connect(self.url(database, user="postgres")) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


def _unprivileged() -> pwd.struct_passwd:
    """Debian's package makes the first."""
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


@contextmanager
def running(*, fsync: bool = False, settings: str = "", parent: Path | None = None) -> Iterator[Postgres]:
    """A server of one's own, running; gone at the end, with its folder. `settings` are lines of postgresql.conf.

    Not in tmp_path: pytest lets only its own user in there.
    """
    folder = Path(tempfile.mkdtemp(prefix="doorward-postgres-", dir=parent))
    server = Postgres(folder, fsync=fsync, settings=settings)
    try:
        server.make()
        yield server
    finally:
        try:
            if server.is_running:
                server.signal(SIGCONT)
                server.crash()
        finally:
            shutil.rmtree(folder, ignore_errors=True)


_shared: list[Postgres] = []


def shared() -> Postgres:
    """The server of this pytest process. Leave it running."""
    if not _shared:
        _shared.append(servers.KEPT.enter_context(running()))
    return _shared[0]
