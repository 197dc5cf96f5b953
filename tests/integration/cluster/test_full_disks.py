"""A disk that is full: no promise is made that can't be kept, and what was kept back is written once there is room."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import DEVNULL

import pytest
from redis.exceptions import ResponseError

from tests.integration.cluster.nodes import Cluster, all_chat, all_revoked, clustered, until
from tests.servers.postgres import Postgres
from tests.servers.redis import RedisServer, running_redis
from tests.unit.adapters.audit.following import follow

pytestmark = pytest.mark.servers

# A segment of PostgreSQL's own log is as long as this, and goes on being written; a table that is longer can't grow.
MOST = 16 * 1024 * 1024
# Rows that nobody sees, for they are not committed; the next one has to go behind them.
ROW = """
INSERT INTO doorward_revocations
SELECT 1000000000 + n, 'bloat-' || n, 'identity', 'bloat', NULL, NULL, 0, 'close', repeat('x', {wide}), 0, '', '[]'
"""
MANY = 20_000
BLOAT = f"{ROW.format(wide=1000)} FROM generate_series(1, {MANY}) AS n"
# One by one, so that only the one for which there is no room is taken back. Another error is that of a page that had to
# make way in memory, and says nothing of room: once it was taken for that, and a revocation found some.
FILL = f"""
DO $$
BEGIN
    FOR n IN {MANY + 1}..10 * {MANY} LOOP
        BEGIN
            {ROW.format(wide=0)};
        EXCEPTION WHEN OTHERS THEN
            IF SQLERRM LIKE 'could not extend file%' THEN
                RETURN;
            END IF;
        END;
    END LOOP;
    RAISE 'there is room still';
END $$
"""


@contextmanager
def no_file_grows_beyond(pids: Callable[[], list[int]], most: int, *, owner: Path) -> Iterator[None]:
    """EFBIG where it would be ENOSPC: who writes takes the one as the other, and needs no file system of its own.

    The first process has it and all that come of it. Whoever owns `owner` asks for it: nobody else may.
    """
    stands = owner.stat()
    asks_as = [f"--reuid={stands.st_uid}", f"--regid={stands.st_gid}", "--clear-groups"] if os.geteuid() == 0 else []

    def limit(soft: str) -> None:
        for pid in pids():
            with suppress(subprocess.CalledProcessError):  # it has ended meanwhile
                subprocess.run(
                    ["setpriv", *asks_as, "prlimit", "--pid", str(pid), f"--fsize={soft}:"], check=True, stderr=DEVNULL
                )

    limit(str(most))
    try:
        yield
    finally:
        limit("unlimited")


@contextmanager
def full(postgres: Postgres, cluster: Cluster) -> Iterator[None]:
    """Not one revocation more goes into the table."""
    with postgres.connect(cluster.store_url) as filling:
        filling.execute("BEGIN")
        filling.execute(BLOAT.encode())
        with no_file_grows_beyond(postgres.pids, MOST, owner=postgres.data):
            filling.execute(FILL.encode())  # what is left of its pages
            yield
        filling.execute("ROLLBACK")


async def test_of_postgresql_behind_redis(
    postgres: Postgres, database: str, redis: RedisServer, tmp_path: Path
) -> None:
    async with clustered(tmp_path, nodes=2, store_url=database, cluster_url=redis.url) as cluster:
        others, victims = await cluster.bystanders(), await cluster.inside("victim")
        early = await cluster.revoke("early")
        assert (early.code, early.is_durable) == (0, True), early.text
        with full(postgres, cluster):
            printed = await cluster.revoke("victim")
            assert printed.code == 1, printed.text
            assert not printed.is_durable, printed.text
            assert printed.figures[0] == 4, printed.text
            await all_revoked(victims)
            await all_chat(others)
            assert "victim" not in cluster.logged()
            for node in cluster.nodes:
                status = await node.status(token=cluster.ledger.revoked["victim"])
                assert status in {403, 503}, status
        await until(lambda: _stands(cluster, "victim"), "it is in the log once there is room")
        await all_chat(others)
        await cluster.holds()


async def _stands(cluster: Cluster, subject: str) -> bool:
    return subject in cluster.logged()


async def test_of_postgresql_alone(postgres: Postgres, database: str, tmp_path: Path) -> None:
    async with clustered(tmp_path, nodes=2, store_url=database) as cluster:
        others, spared = await cluster.bystanders(), await cluster.inside("spared", each=1)
        with full(postgres, cluster):
            printed = await cluster.revoke("spared")
            assert printed.code == 1, printed.text
            assert "closed" not in printed.text, "nothing was done, and nothing is said to be"
            await all_chat([*others, *spared])
        await cluster.until_counted()
        printed = await cluster.revoke("spared")
        assert (printed.code, printed.figures) == (0, (2, 2, 2)), printed.text
        await all_revoked(spared)
        await all_chat(others)
        await cluster.holds()


@pytest.fixture
def saving(tmp_path: Path) -> Iterator[RedisServer]:
    """One that keeps what it holds on disk, and takes no write once it can't."""
    options = {
        "maxmemory-policy": "noeviction",
        "save": "3600 1",
        "stop-writes-on-bgsave-error": "yes",
        "enable-protected-configs": "yes",
    }
    with running_redis(tmp_path / "saving", options=options) as server:
        yield server


async def saves(redis: RedisServer, *, to: Path) -> None:
    """It tries to save there, and knows whether it could."""
    redis.ask("CONFIG", "SET", "dir", str(to))
    redis.ask("BGSAVE")

    async def is_done() -> bool:
        return b"rdb_bgsave_in_progress:0" in redis.ask("INFO", "persistence")

    await until(is_done, "it has tried to save")


async def test_of_redis(database: str, saving: RedisServer, tmp_path: Path) -> None:
    """It answers that it can't write (MISCONF), and reads on."""
    async with clustered(tmp_path / "nodes", nodes=2, store_url=database, cluster_url=saving.url) as cluster:
        others, victims = await cluster.bystanders(), await cluster.inside("victim")
        buyer = cluster.token("buyer")
        tickets = [(await cluster[0].buy(buyer))["ticket"] for _ in range(2)]
        assert await cluster.spend(cluster[1], tickets[0]) == 101
        await saves(saving, to=Path("/proc"))  # where nobody makes a file
        with pytest.raises(ResponseError, match="MISCONF"):
            saving.ask("SET", "doorward:test", "1")
        await cluster.until_refuses(*cluster.nodes)
        for node in cluster.nodes:
            assert await node.status(f"/chat?ticket={tickets[0]}") in {403, 503}
        printed = await cluster.revoke("victim")
        assert (printed.code, printed.figures) == (0, (4, 2, 2)), printed.text
        await all_revoked(victims)
        await all_chat(others)
        await saves(saving, to=saving.folder)
        await cluster.until_admits()
        answers = {await cluster.spend(node, tickets[1]) for node in cluster.nodes}
        assert answers <= {101, 403}, answers
        await all_chat(others)
        await cluster.holds()


async def test_of_the_audit_file(database: str, redis: RedisServer, tmp_path: Path) -> None:
    """The node that can't write goes on, obeys, and says afterwards how much is missing."""
    async with clustered(tmp_path, nodes=2, store_url=database, cluster_url=redis.url) as cluster:
        node = cluster[1]
        others, victims = await cluster.bystanders(), await cluster.inside("victim")
        await node.audited(kind="handshake", subject="victim", count=2)
        audit = node.audit_file()
        with no_file_grows_beyond(lambda: [node.pid], audit.stat().st_size, owner=audit):
            printed = await cluster.revoke("victim")
            assert (printed.code, printed.figures) == (0, (4, 2, 2)), printed.text
            await all_revoked(victims)
            await all_chat(others)
            await cluster[0].audited(kind="revocation", subject="victim")
        await cluster.until_admits(node)
        await until(lambda: _told(cluster, "victim"), "it is in the audit, or the audit says that something is missing")
        if not node.events(kind="revocation", subject="victim"):
            cluster.ledger.answered["victim"] = [one for one in cluster.ledger.answered["victim"] if one[0] is not node]
        await cluster.revoke("afterwards")
        await cluster.holds()
        followed = follow(node.audit_file().read_bytes())
        assert followed.faults == []


async def _told(cluster: Cluster, subject: str) -> bool:
    node = cluster[1]
    return bool(node.events(kind="gap") or node.events(kind="revocation", subject=subject))
