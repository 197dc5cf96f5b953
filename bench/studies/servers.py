"""PostgreSQL and Redis for the studies that need them: private, on loopback, on the load's core, gone with the study.

PostgreSQL has its own settings for what is on the disk (fsync, synchronous commit): a revocation is as durable as where
it is used. Redis writes nothing to disk.
"""

import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.processes import CORE_OF_LOAD, BenchError, Process, free_port, tree
from tests.servers.postgres import Postgres, running

_STARTS_WITHIN = 10.0


class Servers:
    """Both, running."""

    def __init__(self, postgres: Postgres, redis: Process, port: int) -> None:
        self._postgres = postgres
        self._redis = redis
        self._port = port
        self.cluster_url = f"redis://127.0.0.1:{port}"

    def database(self) -> str:
        """The URL of a new, empty database."""
        return self._postgres.database()

    def parts(self) -> dict[str, tuple[int, ...]]:
        """Their processes as they are now."""
        return {"postgres": tree(self._postgres.pids()[0]), "redis": self._redis.pids()}

    def forget(self) -> None:
        """Redis is as new. Raises BenchError, OSError."""
        with socket.create_connection(("127.0.0.1", self._port), timeout=_STARTS_WITHIN) as connection:
            connection.sendall(b"FLUSHALL\r\n")
            if (said := connection.recv(100)) != b"+OK\r\n":
                raise BenchError(f"redis: {said.decode(errors='replace').strip()}")

    def end_redis(self) -> None:
        """For what goes on without it."""
        self._redis.stop()


@contextmanager
def servers(folder: Path) -> Iterator[Servers]:
    """Start both. Raises BenchError where one is missing or does not start."""
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        raise BenchError("could not start: redis-server is missing (`tools/debian redis-server`)")
    port = free_port()
    command = [program, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
    redis = Process(command, folder=folder, name="redis", core=CORE_OF_LOAD)
    try:
        redis.wait_listening(port, seconds=_STARTS_WITHIN)
        try:
            with running(fsync=True) as postgres:
                yield Servers(postgres, redis, port)
        except RuntimeError as error:
            raise BenchError(str(error)) from error
    finally:
        redis.stop()
