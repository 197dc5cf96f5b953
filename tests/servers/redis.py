"""A private Redis on loopback, and a private Redis Cluster: started here, hurt as a test wants, and gone with it.

Nothing is written to disk unless a test is about what comes back from there. A server keeps its port over a restart.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, Literal

from redis.connection import Connection, SSLConnection
from redis.exceptions import BusyLoadingError, ConnectionError, RedisError, TimeoutError

from tests import servers
from tests.integration.ports import free_port

PROGRAMS = ("redis-server", "valkey-server")
STARTS_WITHIN = 30.0
SLOTS = 16384
Append = Literal["no", "everysec", "always"]


class RedisFailedError(RuntimeError):
    """A server did not do what a test needs of it. The text has its last words."""


class RedisServer:
    """One server. `options` are lines of its configuration; `tls` is (certificate, key, authority) and ends plain TCP.

    `users` are ACL rules as in a configuration file, without the word `user`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        append: Append = "no",
        password: str = "",
        users: Sequence[str] = (),
        tls: tuple[Path, Path, Path] | None = None,
        options: Mapping[str, str] = {},
        program: str | None = None,
    ) -> None:
        self.folder = folder
        self.password = password
        self.tls = tls
        self._append = append
        self._users = users
        self._options = options
        self._program = program or _program()
        self._child: subprocess.Popen[bytes] | None = None
        self._client: Connection | None = None
        self.port = 0
        self.bus_port = free_port()  # a cluster's
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.port

    @property
    def url(self) -> str:
        """For the product: with the password, and with the authority's certificate under TLS."""
        secret = f":{self.password}@" if self.password else ""
        if self.tls is None:
            return f"redis://{secret}127.0.0.1:{self.port}"
        return f"rediss://{secret}127.0.0.1:{self.port}?ssl_ca_certs={self.tls[2]}"

    @property
    def runs(self) -> bool:
        return self._child is not None

    @property
    def pid(self) -> int:
        if self._child is None:
            raise RedisFailedError("it does not run")
        return self._child.pid

    def start(self) -> None:
        """Returns once it answers and has loaded what it had kept."""
        for _ in range(10):
            self.port = free_port()
            if self._begin():
                return
        raise RedisFailedError(self.words())

    def restart(self) -> None:
        """Again on the same port, with whatever it had written to disk."""
        if not self._begin():
            raise RedisFailedError(self.words())

    def kill(self) -> None:
        """As kill -9 does."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._child = None
        self._forget_client()

    def pause(self) -> None:
        """It stands still; the kernel goes on taking connections and bytes for it."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def flush(self) -> None:
        """Everything that it holds is gone; scripts stay, and settings too."""
        self.ask("FLUSHALL")

    def ask(self, *command: str | bytes | int | float) -> Any:
        """The bare answer. Raises redis-py's errors."""
        if self._client is None:
            self._client = self._connect()
        self._client.send_command(*command)
        return self._client.read_response()

    def _connect(self) -> Connection:
        keys: dict[str, Any] = {"port": self.port, "password": self.password or None, "socket_timeout": STARTS_WITHIN}
        keys |= {"host": "127.0.0.1", "protocol": 2}
        client = SSLConnection(ssl_ca_certs=str(self.tls[2]), **keys) if self.tls else Connection(**keys)
        client.connect()
        return client

    def words(self) -> str:
        """The end of its log."""
        log = self.folder / "redis.log"
        return log.read_text(encoding="utf-8", errors="replace")[-4000:] if log.exists() else "(no log)"

    def _begin(self) -> bool:
        self._forget_client()
        (self.folder / "redis.conf").write_text("\n".join(self._lines()) + "\n", encoding="utf-8")
        with (self.folder / "redis.log").open("ab") as log:
            self._child = subprocess.Popen(
                [self._program, "redis.conf"], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        end = monotonic() + STARTS_WITHIN
        while monotonic() < end:
            # poll() waits for nothing: its end, or its first answer, whichever comes first
            if self._child.poll() is not None:
                return False
            try:
                self.ask("PING")
                return True
            except (BusyLoadingError, ConnectionError, TimeoutError):
                self._forget_client()
                _pause(self._child)
            except RedisError:
                return True  # it answers, if only to say who may not
        self.kill()
        return False

    def _lines(self) -> list[str]:
        lines = [
            "bind 127.0.0.1",
            'save ""',
            "daemonize no",
            f"appendonly {'no' if self._append == 'no' else 'yes'}",
            f"appendfsync {'everysec' if self._append == 'no' else self._append}",
            "stop-writes-on-bgsave-error no",
        ]
        if self.tls is None:
            lines.append(f"port {self.port}")
        else:
            certificate, key, authority = self.tls
            lines += ["port 0", f"tls-port {self.port}", "tls-auth-clients no"]
            lines += [f"tls-cert-file {certificate}", f"tls-key-file {key}", f"tls-ca-cert-file {authority}"]
        if self.password:
            lines.append(f"requirepass {self.password}")
        if "cluster-enabled" in self._options:
            lines.append(f"cluster-port {self.bus_port}")
        lines += [f"user {rule}" for rule in self._users]
        return lines + [f"{name} {value}" for name, value in self._options.items()]

    def _forget_client(self) -> None:
        if self._client is not None:
            self._client.disconnect()
            self._client = None


class RedisCluster:
    """Masters that share the slots out evenly among them, each with so many replicas.

    A lost master stops all of it until its replica has taken over, which takes some three seconds.
    """

    def __init__(self, folder: Path, *, masters: int = 3, replicas: int = 0) -> None:
        self._masters = masters
        self.servers = [
            RedisServer(
                folder / f"node{n}",
                options={
                    "cluster-enabled": "yes",
                    "cluster-node-timeout": "1500",
                    "cluster-replica-validity-factor": "0",
                    "repl-diskless-sync-delay": "0",
                },
            )
            for n in range(masters * (1 + replicas))
        ]

    @property
    def url(self) -> str:
        return f"redis+cluster://127.0.0.1:{self.servers[0].port}"

    @property
    def masters(self) -> list[RedisServer]:
        """Those that were made masters; a replica that took over is not among them."""
        return self.servers[: self._masters]

    def start(self) -> None:
        """Returns once every node sees every slot served."""
        for server in self.servers:
            server.start()
        first, share = self.servers[0], -(-SLOTS // self._masters)
        for n, server in enumerate(self.masters):
            server.ask("CLUSTER", "ADDSLOTSRANGE", n * share, min((n + 1) * share, SLOTS) - 1)
            server.ask("CLUSTER", "SET-CONFIG-EPOCH", n + 1)
        for server in self.servers[1:]:
            server.ask("CLUSTER", "MEET", "127.0.0.1", first.port, first.bus_port)
        self._until(lambda server: f"cluster_known_nodes:{len(self.servers)}" in _said(server, "CLUSTER", "INFO"))
        for n, server in enumerate(self.servers[self._masters :]):
            master = self.servers[n % self._masters]
            _until(server, partial(_knows, self.id_of(master)))
            server.ask("CLUSTER", "REPLICATE", self.id_of(master))
        self._until(lambda server: "cluster_state:ok" in _said(server, "CLUSTER", "INFO"))
        for server in self.servers[self._masters :]:
            _until(server, lambda server: "master_link_status:up" in _said(server, "INFO", "replication"))

    def stop(self) -> None:
        for server in self.servers:
            server.kill()

    def flush(self) -> None:
        for server in self.servers:
            if _is_master(server):
                server.flush()

    def id_of(self, server: RedisServer) -> str:
        return _said(server, "CLUSTER", "MYID")

    def server_of(self, key: str) -> RedisServer:
        """The master that serves a key now, as a living node tells it."""
        living = next(server for server in self.servers if server.runs)
        slot = int(living.ask("CLUSTER", "KEYSLOT", key))
        for row in _said(living, "CLUSTER", "NODES").splitlines():
            fields = row.split()
            for range_ in fields[8:]:
                first, _, last = range_.partition("-")
                if "master" in fields[2] and "[" not in range_ and int(first) <= slot <= int(last or first):
                    port = int(fields[1].split("@")[0].rpartition(":")[2])
                    return next(server for server in self.servers if server.port == port)
        raise RedisFailedError(f"nobody serves slot {slot}")

    def begin_move(self, key: str) -> tuple[int, RedisServer, RedisServer]:
        """Open the migration of a key's slot to another master: (slot, from, to). The source then answers ASK for what
        it does not hold any more."""
        source = self.server_of(key)
        target = next(server for server in self.masters if server is not source)
        slot = int(source.ask("CLUSTER", "KEYSLOT", key))
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", self.id_of(source))
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", self.id_of(target))
        return slot, source, target

    def carry(self, slot: int, source: RedisServer, target: RedisServer, *, most: int = 1_000_000) -> int:
        """Migrate up to so many keys of the slot. How many."""
        carried = 0
        while carried < most and (keys := source.ask("CLUSTER", "GETKEYSINSLOT", slot, min(100, most - carried))):
            source.ask("MIGRATE", "127.0.0.1", target.port, "", 0, 10_000, "KEYS", *keys)
            carried += len(keys)
        return carried

    def end_move(self, slot: int, source: RedisServer, target: RedisServer) -> None:
        """The target serves the slot from now on: the source answers MOVED."""
        id_ = self.id_of(target)
        for server in (target, source, *self.servers):
            if _is_master(server):
                server.ask("CLUSTER", "SETSLOT", slot, "NODE", id_)

    def _until(self, holds: Callable[[RedisServer], bool]) -> None:
        for server in self.servers:
            _until(server, holds)


@contextmanager
def running_redis(folder: Path, **options: Any) -> Iterator[RedisServer]:
    server = RedisServer(folder, **options)
    server.start()
    try:
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running_cluster(folder: Path, **options: Any) -> Iterator[RedisCluster]:
    cluster = RedisCluster(folder, **options)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _program() -> str:
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    for program in PROGRAMS:
        if found := shutil.which(program, path=path):
            return found
    raise RedisFailedError("redis-server is not there: `tools/debian redis-server` installs it")


def _pause(child: "subprocess.Popen[bytes]") -> None:
    """A moment for a server that starts; less when it ends."""
    with suppress(subprocess.TimeoutExpired):
        child.wait(0.02)


def _said(server: RedisServer, *what: str) -> str:
    answer: bytes = server.ask(*what)
    return answer.decode()


def _knows(id_: str, server: RedisServer) -> bool:
    return id_ in _said(server, "CLUSTER", "NODES")


def _is_master(server: RedisServer) -> bool:
    return server.runs and "role:master" in _said(server, "INFO", "replication")


def _until(server: RedisServer, holds: Callable[[RedisServer], bool]) -> None:
    end = monotonic() + STARTS_WITHIN
    while not holds(server):
        if monotonic() > end or server._child is None:
            raise RedisFailedError(f"it did not come to it: {server.words()}")
        _pause(server._child)


_shared: list[RedisServer] = []
_shared_cluster: list[RedisCluster] = []


def shared() -> RedisServer:
    """The server of this pytest process, emptied. Leave it running."""
    if not _shared:
        _shared.append(servers.KEPT.enter_context(running_redis(Path(tempfile.mkdtemp(prefix="doorward-redis-")))))
    _shared[0].flush()
    return _shared[0]


def shared_cluster() -> RedisCluster:
    """Its three masters, emptied. Leave them running."""
    if not _shared_cluster:
        folder = Path(tempfile.mkdtemp(prefix="doorward-redis-"))
        _shared_cluster.append(servers.KEPT.enter_context(running_cluster(folder)))
    _shared_cluster[0].flush()
    return _shared_cluster[0]
