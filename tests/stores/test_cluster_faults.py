"""The log of several nodes over real servers that are killed, emptied, and written into by others."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from doorward.adapters.stores.postgres.connecting import COMMANDS
from doorward.adapters.stores.postgres.store import PostgresStore
from doorward.adapters.stores.redis.feed import KEPT, STREAM
from doorward.ports import LogBehindError, RefusedError, Store, StoreError
from doorward.service.withdrawals import Withdrawals
from doorward.values.principal import Identity
from doorward.values.revocation import Revocation
from tests.servers.postgres import Postgres
from tests.servers.postgres import running as running_postgres
from tests.servers.redis import RedisServer, running_redis
from tests.stores.clock import NOW, StillClock
from tests.stores.cluster_ground import Node
from tests.stores.made import acknowledgement, ban, revocation

pytestmark = pytest.mark.servers
WITHIN = 60.0


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """It may be hurt; each test leaves it running."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path / "redis", append="always") as server:
        yield server


class Nodes:
    """Makes them, and closes them at the end."""

    def __init__(self, url: str, redis: RedisServer) -> None:
        self.url = url
        self.redis = redis
        self.clock = StillClock()
        self.durable: dict[str, PostgresStore] = {}
        self._opened: list[Node] = []

    async def node(self, name: str, *, follows: bool = True) -> Node:
        durable = self.durable[name] = PostgresStore(
            self.url, clock=self.clock, process=name, own_time=True, patience=COMMANDS
        )
        node = Node(durable, self.redis.url, process=name, clock=self.clock, follows=follows)
        await node.open()
        self._opened.append(node)
        if follows:
            await node.revocations.read(after=0)
        return node

    async def close(self) -> None:
        for node in self._opened:
            try:
                await node.close()
            except StoreError:
                continue


@pytest.fixture
async def nodes(postgres: Postgres, redis: RedisServer) -> AsyncIterator[Nodes]:
    nodes = Nodes(postgres.database(), redis)
    yield nodes
    await nodes.close()


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(WITHIN):
        while not await holds():  # noqa: ASYNC110 - in other processes
            await asyncio.sleep(0.01)


async def known(store: Store) -> list[str]:
    """What the follower of a node acts on, whether or not the log could be read."""
    try:
        found: object = await store.revocations.read(after=0)
    except LogBehindError as behind:
        found = behind.found
    assert isinstance(found, list | tuple)
    return [one.id for one in found if isinstance(one, Revocation)]


async def knows(store: Store, *ids: str) -> None:
    async def holds() -> bool:
        return set(ids) <= set(await known(store))

    await until(holds)


async def reads(store: Store, *ids: str) -> None:
    """It answers, and with exactly these, all of which have a place."""

    async def holds() -> bool:
        try:
            found = await store.revocations.read(after=0)
        except StoreError:
            return False
        return [one.id for one in found] == list(ids) and all(one.sequence for one in found)

    await until(holds)


async def test_postgresql_killed_a_revocation_counts_everywhere_and_becomes_durable_once(
    postgres: Postgres, nodes: Nodes
) -> None:
    a, b = await nodes.node("a:0"), await nodes.node("b:0")
    assert await a.revocations.append(revocation(id="r1")) == 1
    postgres.kill()
    command = await nodes.node("command", follows=False)
    try:
        assert await command.revocations.append(revocation(id="r2")) == 0
        await command.close()
        for node in (a, b):
            await knows(node, "r1", "r2")
        await b.revocations.acknowledge(acknowledgement("r2"))
        assert await a.revocations.acknowledgements("r2") == [acknowledgement("r2")]
    finally:
        postgres.start()
    for node in (a, b):
        await reads(node, "r1", "r2")
    assert {one.id for one in (*a.made_durable, *b.made_durable)} == {"r2"}
    await until(lambda: _is_empty(nodes.redis))
    late = await nodes.node("c:0")
    await reads(late, "r1", "r2")


async def _is_empty(redis: RedisServer) -> bool:
    return not redis.ask("HLEN", KEPT)


async def test_redis_killed_the_nodes_learn_from_postgresql_and_nobody_is_let_in(nodes: Nodes) -> None:
    a, b = await nodes.node("a:0"), await nodes.node("b:0")
    nodes.redis.kill()
    command = await nodes.node("command", follows=False)
    assert await command.revocations.append(revocation(id="r1")) == 1
    for node in (a, b):
        await knows(node, "r1")
        with pytest.raises(StoreError):
            await node.revocations.read(after=0)
        with pytest.raises(StoreError):
            await node.bans.version()
    await b.revocations.acknowledge(acknowledgement("r1"))
    assert await command.revocations.acknowledgements("r1") == [acknowledgement("r1")]
    nodes.redis.restart()
    for node in (a, b):
        await reads(node, "r1")


async def test_redis_restarted_empty_and_emptied_by_hand(nodes: Nodes) -> None:
    a, b = await nodes.node("a:0"), await nodes.node("b:0")
    ids = []
    for turn, hurt in enumerate((nodes.redis.flush, lambda: nodes.redis.ask("DEL", STREAM), None)):
        for part in ("x", "y"):
            ids.append(f"r{turn}{part}")
            assert await a.revocations.append(revocation(id=ids[-1])) == len(ids)
            if part == "x":
                await b.revocations.read(after=0)
        if hurt is None:
            nodes.redis.flush()
            nodes.redis.kill()
            nodes.redis.restart()
            await reads(b, *ids)
        else:
            hurt()
            assert [one.id for one in await b.revocations.read(after=0)] == ids


async def test_what_others_write_is_dropped_and_told_and_the_feed_goes_on(nodes: Nodes) -> None:
    a, b = await nodes.node("a:0"), await nodes.node("b:0")
    nodes.redis.ask("XADD", STREAM, "*", "n", b"x" * 300)
    nodes.redis.ask("XADD", STREAM, "*", "n", b"x" * 100_000)
    nodes.redis.ask("XADD", STREAM, "*", "sequence", "7", "target", "alice")
    nodes.redis.ask("HSET", KEPT, "forged", b"x" * 300)
    assert await a.revocations.append(revocation(id="r1")) == 1
    await reads(b, "r1")

    async def told() -> bool:
        return {"forged", "too long", "unsigned"} <= {why for why, _ in b.junk}

    await until(told)


@pytest.mark.parametrize(
    "command", [("XADD", STREAM, "18446744073709551615-18446744073709551615", "n", "last"), ("SET", STREAM, "text")]
)
async def test_a_stream_that_can_not_be_added_to_is_begun_anew(nodes: Nodes, command: tuple[str, ...]) -> None:
    a, b = await nodes.node("a:0"), await nodes.node("b:0")
    nodes.redis.ask("DEL", STREAM)
    nodes.redis.ask(*command)
    assert await a.revocations.append(revocation(id="r1")) == 1
    assert [one.id for one in await b.revocations.read(after=0)] == ["r1"]
    assert nodes.redis.ask("TYPE", STREAM) == b"stream"


async def test_keys_that_somebody_made_another_type_close_no_door_for_long(postgres: Postgres, nodes: Nodes) -> None:
    a, b = await nodes.node("a:0"), await nodes.node("b:0")
    assert await a.revocations.append(revocation(id="r1")) == 1
    for key in (STREAM, KEPT):
        nodes.redis.ask("SET", key, "text")
    assert [one.id for one in await b.revocations.read(after=0)] == ["r1"]
    assert nodes.redis.ask("TYPE", STREAM) == b"stream"
    postgres.kill()
    try:
        nodes.redis.ask("SET", KEPT, "text")
        assert await a.revocations.append(revocation(id="r2")) == 0
        await knows(b, "r2")
    finally:
        postgres.start()
    await reads(b, "r1", "r2")


async def test_a_ban_counts_after_the_database_was_made_anew(postgres: Postgres, nodes: Nodes) -> None:
    a = await nodes.node("a:0")
    for number in range(5):
        await a.bans.add(ban(subject=f"s{number}", network=None))
    await a.close()
    nodes.url = postgres.database()
    a, b = await nodes.node("a:0"), await nodes.node("b:0")
    withdrawals = Withdrawals(b.revocations, b.bans, nodes.clock)
    who = Identity("https://login.example.com/", "mallory", "")
    assert await withdrawals.ban_on_identity(who, now=NOW) is None
    await a.bans.add(ban(subject="mallory", issuer=None, tenant=None, network=None, expires_at=None))
    assert await withdrawals.ban_on_identity(who, now=NOW) is not None


async def lets_nobody_in_any_more(node: Store) -> bool:
    """It says that it must be started again. On a busy machine it may first say that a store is slow; never nothing."""
    with pytest.raises(LogBehindError) as behind:
        await node.revocations.read(after=0)
    return "Start this node again" in str(behind.value)


async def test_one_that_got_the_number_of_one_that_a_failover_lost_is_acted_on(
    postgres: Postgres, nodes: Nodes
) -> None:
    a, b = await nodes.node("a:0"), await nodes.node("b:0")
    for number in range(1, 4):
        await a.revocations.append(revocation(id=f"r{number}"))
    await reads(b, "r1", "r2", "r3")
    name = nodes.url.rsplit("/", 1)[1].split("?")[0]
    postgres.sql("DELETE FROM doorward_revocations WHERE sequence = 3", database=name)
    postgres.sql("UPDATE doorward_numbers SET value = 2 WHERE name = 'revocations'", database=name)
    command = await nodes.node("command", follows=False)
    assert await command.revocations.append(revocation(id="mallory")) == 3
    assert await a.revocations.append(revocation(id="trudy")) == 4
    for node in (a, b):
        await knows(node, "mallory", "trudy")
        await until(partial(lets_nobody_in_any_more, node))


async def test_what_postgresql_refuses_is_refused_and_told_to_nobody(nodes: Nodes) -> None:
    a, b = await nodes.node("a:0"), await nodes.node("b:0")
    with pytest.raises(RefusedError):
        await nodes.durable["a:0"].revocations.append(revocation(id="bad", cause="a\0b"))
    for cause in ("\udcff", "a\0b"):
        with pytest.raises(RefusedError):
            await a.revocations.append(revocation(id="bad", cause=cause))
    assert await a.revocations.append(revocation(id="r1")) == 1
    await reads(b, "r1")


async def test_word_of_it_comes_by_itself_and_a_ban_counts_at_once(nodes: Nodes) -> None:
    a, b = await nodes.node("a:0"), await nodes.node("b:0")
    before = await b.bans.version()
    await a.bans.add(ban())
    assert await b.bans.version() != before
    await b.revocations.read(after=0)
    await a.revocations.append(revocation(id="r1"))

    async def touched() -> bool:
        return b.revocations.touched() is True

    await until(touched)
    nodes.redis.ask("CLIENT", "KILL", "TYPE", "NORMAL", "SKIPME", "yes")
    await reads(b, "r1")
    await a.revocations.append(revocation(id="r2"))
    await until(touched)
    await reads(b, "r1", "r2")
