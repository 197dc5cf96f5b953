"""`doorward revoke` on two and three nodes: closed on every one, the way back blocked on every one, others chat on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cluster.nodes import all_chat, all_revoked, clustered
from tests.servers.redis import RedisServer, running_cluster

pytestmark = pytest.mark.servers

EACH = 3


@pytest.fixture(scope="module")
def masters(tmp_path_factory) -> Iterator[str]:
    """The URL of a Redis Cluster of three masters."""
    with running_cluster(tmp_path_factory.mktemp("masters")) as cluster:
        yield cluster.url


async def is_revoked_everywhere(folder: Path, *, nodes: int, by_process: bool = False, **stores: Any) -> None:
    async with clustered(folder, nodes=nodes, **stores) as cluster:
        subject = cluster.fresh("alice")
        clients = await cluster.inside(subject, each=EACH)
        ticket = (await cluster[0].buy(cluster.token(subject)))["ticket"]
        others = await cluster.bystanders()
        printed = await cluster.revoke(subject, by_process=by_process)
        assert printed.code == 0, printed.text
        assert printed.figures == (EACH * nodes, nodes, nodes)
        assert subject in printed.text, "each identity that was hit is named"
        last = await all_revoked(clients)
        print(f"\n{printed.text.splitlines()[0]}; the command took {printed.ended - printed.begun:.2f} s, and the last "
              f"client knew {last - printed.ended:+.3f} s after it")  # fmt: skip
        for node in reversed(cluster.nodes):
            assert await cluster.spend(node, ticket) == 403, "bought before, and dead with its parent"
        await all_chat(others)
        printed = await cluster.revoke(subject)
        assert printed.code == 0, printed.text
        assert printed.figures == (0, nodes, nodes)
        cluster.ledger.revoked.clear()  # twice in the log by right
        await cluster.holds()


@pytest.mark.parametrize("nodes", [2, 3])
async def test_over_postgresql_and_redis(nodes: int, database: str, redis: RedisServer, tmp_path: Path) -> None:
    """Said in a process of its own, as a user says it."""
    await is_revoked_everywhere(tmp_path, nodes=nodes, by_process=True, store_url=database, cluster_url=redis.url)


async def test_over_postgresql_alone(database: str, tmp_path: Path) -> None:
    await is_revoked_everywhere(tmp_path, nodes=3, store_url=database)


async def test_over_one_file_and_redis(redis: RedisServer, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    await is_revoked_everywhere(tmp_path, nodes=2, store_url=url, cluster_url=redis.url)


async def test_over_postgresql_and_a_redis_cluster(database: str, masters: str, tmp_path: Path) -> None:
    await is_revoked_everywhere(tmp_path, nodes=2, store_url=database, cluster_url=masters)
