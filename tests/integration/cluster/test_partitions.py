"""A node that is cut off: its connections obey whatever still reaches it, and it admits nobody who was revoked."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.integration.cluster.nodes import Cluster, Node, all_chat, all_revoked, clustered, until
from tests.integration.noise import measured
from tests.integration.running import Client, Refused
from tests.servers.postgres import Postgres
from tests.servers.proxy import Proxy
from tests.servers.redis import RedisServer

pytestmark = pytest.mark.servers

LONG = 60.0  # seconds of the one long partition
REACHES_WITHIN = 10.0  # by whichever store a node still reads: a second's poll, and a busy machine
HELD = pytest.mark.parametrize("fault", [Proxy.hold, Proxy.cut], ids=["held", "cut"])
Fault = Callable[[Proxy], None]


@asynccontextmanager
async def knocking(node: Node, *tokens: str) -> AsyncIterator[None]:
    """Somebody tries to come in with these, all the time, and must not once."""
    answers: list[int] = []

    async def knock() -> None:
        while True:
            for token in tokens:
                found = await node.try_connect(token=token)
                assert isinstance(found, Refused), f"{node.name} admitted who was revoked, after {answers[-10:]}"
                answers.append(found.status)
                assert found.status in {403, 503}, answers[-10:]
            await asyncio.sleep(0.005)

    task = asyncio.create_task(knock())
    try:
        yield
        assert not task.done() or task.result() is None
    finally:
        task.cancel()
        await asyncio.wait([task])
    if not task.cancelled():
        task.result()


async def obeys_again(cluster: Cluster, node: Node, heal: Callable[[], None]) -> None:
    """Whoever was revoked meanwhile never comes in, from before the heal until it admits others again."""
    async with knocking(node, *cluster.ledger.revoked.values()):
        heal()
        await cluster.until_admits(node)


@HELD
async def test_from_redis(fault: Fault, database: str, redis: RedisServer, tmp_path: Path) -> None:
    async with clustered(tmp_path, nodes=2, store_url=database, cluster_url=redis.url) as cluster:
        here, away = cluster.nodes
        others, victims = await cluster.bystanders(), await cluster.inside("victim")
        held = await cluster.inside("later", each=1, nodes=[away])
        ticket = (await away.buy(cluster.token("buyer")))["ticket"]
        fault(away.redis_way)
        await cluster.until_refuses(away)
        printed = await cluster.revoke("victim")
        assert (printed.code, printed.figures) == (0, (4, 2, 2)), printed.text
        last = await all_revoked(victims)
        assert last - printed.begun < REACHES_WITHIN
        assert await cluster.spend(here, ticket) == 101, "the other node is well"
        assert await away.status(f"/chat?ticket={ticket}") == 503
        await all_chat([*others, *held])
        await obeys_again(cluster, away, away.redis_way.flow)
        await all_chat([*others, *held])
        await cluster.holds()


@pytest.mark.timeout(240)
async def test_for_long(postgres: Postgres, database: str, redis: RedisServer, tmp_path: Path) -> None:
    """Those that take half a minute or a whole one, beside each other."""
    async with asyncio.TaskGroup() as together:
        together.create_task(obeys_for_long_without_redis(tmp_path / "obeying", database, redis))
        together.create_task(closes_when_its_store_is_long_away(tmp_path / "closing", postgres.database()))
        together.create_task(is_cut_off_from_its_only_store(tmp_path / "alone", postgres.database()))


async def obeys_for_long_without_redis(folder: Path, database: str, redis: RedisServer) -> None:
    """A partition during which revocations are made, all the time."""
    async with clustered(folder, nodes=3, store_url=database, cluster_url=redis.url) as cluster:
        away = cluster[2]
        others = await cluster.bystanders()
        subjects = [cluster.fresh("victim") for _ in range(12)]
        victims = {subject: await cluster.inside(subject, each=1) for subject in subjects}
        away.redis_way.hold()
        begun = time.monotonic()
        took: list[float] = []
        for turn, subject in enumerate(subjects):
            await asyncio.sleep(max(0.0, begun + LONG * turn / (len(subjects) - 1) - time.monotonic()))
            printed = await cluster.revoke(subject)
            assert printed.figures == (3, 3, 3), printed.text
            took.append(await all_revoked(victims[subject]) - printed.begun)
            assert printed.code == 0, printed.text
            assert await cluster.refuses(away)
            await cluster.until_admits(cluster[0])
        await all_chat(others)
        print(f"\ncall to the last close, past Redis: {', '.join(f'{one:.2f}' for one in took)} s")
        assert max(took) < REACHES_WITHIN
        await obeys_again(cluster, away, away.redis_way.flow)
        await all_chat(others)
        await cluster.holds()


@HELD
async def test_from_postgresql(fault: Fault, database: str, redis: RedisServer, tmp_path: Path) -> None:
    async with clustered(tmp_path, nodes=2, store_url=database, cluster_url=redis.url) as cluster:
        here, away = cluster.nodes
        others, victims = await cluster.bystanders(), await cluster.inside("victim")
        fault(away.postgres_way)
        async with measured() as noise:
            took = await cluster.until_refuses(away)
        assert took < 3 + 3 + noise.worst
        printed = await cluster.revoke("victim")
        assert printed.is_durable, "the log itself is well"
        assert (printed.code, printed.figures) == (0, (4, 2, 2)), printed.text
        last = await all_revoked(victims)
        assert last - printed.begun < REACHES_WITHIN, "by the feed"
        await cluster.until_admits(here)
        assert await cluster.refuses(away)
        await all_chat(others)
        await obeys_again(cluster, away, away.postgres_way.flow)
        await all_chat(others)
        await cluster.holds()


async def test_from_both(database: str, redis: RedisServer, tmp_path: Path) -> None:
    async with clustered(tmp_path, nodes=2, store_url=database, cluster_url=redis.url) as cluster:
        here, away = cluster.nodes
        others, victims = await cluster.bystanders(), await cluster.inside("victim")
        for way in away.ways:
            way.hold()
        await cluster.until_refuses(away)
        printed = await cluster.revoke("victim")
        assert printed.code == 1
        assert printed.silent == ["gw-2"], printed.text
        assert printed.figures[:2] == (2, 1)
        await all_revoked(victims[:2])
        await cluster.until_admits(here)
        # nothing reaches it: they keep their lease, as live_when_unavailable says
        await all_chat([*others, *victims[2:]])

        def heal() -> None:
            for way in away.ways:
                way.flow()

        await obeys_again(cluster, away, heal)
        await all_revoked(victims[2:])
        await all_chat(others)
        await cluster.holds()


async def is_cut_off_from_its_only_store(folder: Path, database: str) -> None:
    """PostgreSQL alone: who is cut off from it is cut off from everything."""
    async with clustered(folder, nodes=2, store_url=database) as cluster:
        away = cluster[1]
        others, victims = await cluster.bystanders(), await cluster.inside("victim")
        away.postgres_way.hold()
        await cluster.until_refuses(away)
        printed = await cluster.revoke("victim")
        assert (printed.code, printed.silent) == (1, ["gw-2"]), printed.text
        await all_revoked(victims[:2])
        await all_chat([*others, *victims[2:]])
        await obeys_again(cluster, away, away.postgres_way.flow)
        await all_revoked(victims[2:])
        await all_chat(others)
        await cluster.holds()


async def closes_when_its_store_is_long_away(folder: Path, database: str) -> None:
    """Where `live_when_unavailable` is "close": half a minute after it had last been read."""
    store = {"live_when_unavailable": "close"}
    async with clustered(folder, nodes=2, store_url=database, store=store) as cluster:
        here, away = await cluster.bystanders()
        begun = time.monotonic()
        cluster[1].postgres_way.cut()
        code, reason = await away.closed(60)
        assert (code, str(reason).partition(";")[0]) == (1013, "doorward:unavailable")
        assert time.monotonic() - begun >= 29
        assert await here.echoes()


# ---- slow

SLOW = 2.0


async def round_trips(client: Client, count: int) -> list[float]:
    """Seconds of each."""
    took = []
    for turn in range(count):
        begun = time.monotonic()
        assert await client.echoes(f"turn {turn}")
        took.append(time.monotonic() - begun)
        await asyncio.sleep(0.01)
    return took


async def one_attempt(cluster: Cluster, node: Node) -> tuple[int, float]:
    begun = time.monotonic()
    status = await node.status(token=cluster.token(cluster.fresh()))
    return status, time.monotonic() - begun


@pytest.mark.parametrize("slow", ["redis", "postgresql"])
async def test_a_store_that_takes_two_seconds(slow: str, database: str, redis: RedisServer, tmp_path: Path) -> None:
    async with clustered(tmp_path, nodes=2, store_url=database, cluster_url=redis.url) as cluster:
        node = cluster[1]
        way = node.redis_way if slow == "redis" else node.postgres_way
        live = await cluster.bystanders()
        victims = await cluster.inside("victim")
        quick = sorted(await round_trips(live[1], 50))
        way.delay(to=SLOW / 2, back=SLOW / 2)
        async with measured() as noise:
            echoing = asyncio.create_task(round_trips(live[1], 350))
            answers = list(await asyncio.gather(*(one_attempt(cluster, node) for _ in range(10))))
            while not echoing.done():
                answers.append(await one_attempt(cluster, node))
                await asyncio.sleep(0.1)
            took = sorted(await echoing)
        count = Counter(status for status, _ in answers)
        told = f"{dict(count)}, the slowest in {max(seconds for _, seconds in answers):.2f} s"
        figures = [f"{seconds * 1000:.1f}" for seconds in (quick[25], took[175], took[-4])]
        print(
            f"\n{slow}: handshakes {told}; round trips {figures} ms: median before, meanwhile, and the fourth slowest"
        )
        assert set(count) <= {101, 503}
        assert max(seconds for _, seconds in answers) < 5 + noise.worst
        if slow == "redis":
            assert set(count) == {503}, "a handshake asks it, and its deadline is shorter"
        assert took[175] < quick[25] * 3 + 0.05 + noise.worst
        assert took[-4] < 0.5 + noise.worst, "three of them may be this machine's"
        printed = await cluster.revoke("victim")
        last = await all_revoked(victims)
        assert last - printed.begun < SLOW + REACHES_WITHIN
        await obeys_again(cluster, node, way.delay)
        await until(lambda: _is_quick(cluster, node), "handshakes are quick again")
        await all_chat(live)
        await cluster.holds()


async def _is_quick(cluster: Cluster, node: Node) -> bool:
    status, seconds = await one_attempt(cluster, node)
    return status == 101 and seconds < SLOW / 2
