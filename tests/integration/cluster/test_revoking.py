"""`doorward revoke` on two and three nodes: closed on every one, the way back blocked on every one, others chat on."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from doorward.config.load import load
from doorward.config.making import Opened, opened
from doorward.values.revocation import Target, TargetKind
from tests.integration.cluster.nodes import REVOKED, Cluster, all_chat, all_revoked, clustered
from tests.integration.running import Refused
from tests.servers.redis import RedisServer, running_cluster
from tests.stores.made import revocation

pytestmark = pytest.mark.servers

EACH = 3
ROUNDS = 200


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
            await cluster.stays_out(node, f"/chat?ticket={ticket}", why="bought before, and dead with its parent")
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


async def withdraw(tools: Opened, subject: str, *, after: float) -> float:
    """So many seconds from now. When it was in the log (monotonic)."""
    await asyncio.sleep(after)
    now = tools.clock.now()
    target = Target(TargetKind.IDENTITY, subject)
    assert await tools.store.revocations.append(revocation(target=target, instant=now, expires_at=now + 600)) > 0
    return time.monotonic()


async def one_round(cluster: Cluster, tools: Opened, turn: int, *, after: float) -> tuple[str, float]:
    """What became of a handshake during which its authority was withdrawn, and how long it took."""
    node, subject = cluster.nodes[turn % len(cluster.nodes)], cluster.fresh("raced")
    token = cluster.token(subject)
    withdrawing = asyncio.create_task(withdraw(tools, subject, after=after))
    begun = time.monotonic()
    found = await node.try_connect(token=token)
    ended = time.monotonic()
    told = await withdrawing
    for other in cluster.nodes:
        await cluster.stays_out(other, token=token, why="the way back")
    if isinstance(found, Refused):
        if (found.status, found.reason) == (503, "unavailable"):
            return "a store was slow", ended - begun
        assert (found.status, found.reason) == (403, "refused")
        return "refused", ended - begun
    assert await found.closed() == REVOKED, "nobody survives it"
    return ("closed" if told < ended else "closed later"), ended - begun


async def test_at_any_moment_of_a_handshake_it_leaves_no_survivor(
    database: str, redis: RedisServer, tmp_path: Path
) -> None:
    """RV-24: said past the nodes, while they are on their way through the thirteen steps."""
    chance = random.Random(20261123)
    async with clustered(tmp_path, nodes=2, store_url=database, cluster_url=redis.url) as cluster:
        config = load(cluster.operator.config, environment={})
        assert not isinstance(config, list), config
        others = await cluster.bystanders()
        async with opened(config, report=print) as tools:
            typical, became = 0.02, Counter[str]()
            for turn in range(ROUNDS):
                what, took = await one_round(cluster, tools, turn, after=1.2 * typical * chance.random())
                typical += (took - typical) / 8
                became[what] += 1
        print(f"\n{ROUNDS} rounds: {dict(became)}; a handshake took some {typical * 1000:.1f} ms")
        assert became["refused"] > 0
        assert became["refused"] < ROUNDS
        await all_chat(others)
        await cluster.holds()
