"""kill -9 of a node, of Redis, of PostgreSQL: who is inside stays, who comes gets 503, no promise is broken."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cluster.nodes import (
    FEW,
    REVOKED,
    Cluster,
    Node,
    all_chat,
    all_revoked,
    clustered,
    until,
)
from tests.integration.noise import measured
from tests.integration.running import Client, Refused, attempt
from tests.servers.postgres import Postgres
from tests.servers.redis import RedisServer, running_redis

pytestmark = pytest.mark.servers

AWAY_WITHIN = 3.0


# ---- a node


async def never_in_while_it_starts(node: Node, token: str) -> None:
    """From before it listens until it refuses for good, nobody is let in with this token."""
    starting = asyncio.create_task(node.start())
    url = f"ws://{node.settings['server']['listen']}/chat"
    answers: list[int] = []
    try:
        while True:
            found = await attempt(url, token=token)
            assert isinstance(found, Refused), f"after {answers}"
            answers.append(found.status)
            if found.status == 403:
                return
            assert found.status in {0, 503}, answers
            await asyncio.sleep(0.01)
    finally:
        await starting


async def a_node_dies(folder: Path, *, forgotten: bool, **stores: Any) -> None:
    async with clustered(folder, nodes=3, **stores) as cluster:
        first, second, third = cluster.nodes
        token = cluster.token("few")
        inside = [await cluster.comes_in(node, token) for node in cluster.nodes]
        assert len(inside) == FEW
        for node in cluster.nodes:
            await cluster.is_full(node, token)
        dying = cluster.token("dying")
        ticket = (await third.buy(dying))["ticket"]
        spent = (await third.buy(dying))["ticket"]
        assert await cluster.spend(third, spent) == 101
        victims = await cluster.inside("victim", each=1)
        others = await cluster.bystanders()

        await third.kill()
        assert await inside[2].closed() == (1006, "")
        printed = await cluster.revoke("victim")
        assert printed.code == 1, printed.text
        assert printed.silent == ["gw-3"], "it may live still, for all that anybody knows"
        assert printed.figures == (2, 2, 3)
        await all_revoked(victims[:2])
        await all_chat(others[:2])
        await cluster.stays_out(first, f"/chat?ticket={spent}", why="a spent ticket")
        assert sorted(await asyncio.gather(cluster.spend(first, ticket), cluster.spend(second, ticket))) == [101, 403]

        # its place comes free when its lease has run out, and no other one does
        inside[2] = await cluster.comes_in(first, token)
        for node in (first, second):
            await cluster.is_full(node, token)
        await until(lambda: _all_answer_or_are_lost(cluster), "it is waited for no longer")

        away = cluster.token("while it was away")
        printed = await cluster.revoke("while it was away")
        assert (printed.code, printed.figures, printed.unheard) == (1, (0, 2, 3), ["gw-3"]), printed.text
        if forgotten:
            code, text = await cluster.operator.cli("connections", "forget-node", "gw-3")
            assert code == 0, text
            printed = await cluster.revoke(cluster.fresh("asked"))
            assert (printed.code, printed.figures) == (0, (0, 2, 2)), printed.text
        await never_in_while_it_starts(third, away)
        printed = await cluster.revoke("all three again")
        assert (printed.code, printed.figures) == (0, (0, 3, 3)), printed.text
        for client in inside:
            await client.close()
        await cluster.holds()


async def _all_answer_or_are_lost(cluster: Cluster) -> bool:
    return not (await cluster.revoke(cluster.fresh("asked"))).silent


@pytest.mark.timeout(240)
async def test_a_node(postgres: Postgres, database: str, redis: RedisServer, tmp_path: Path) -> None:
    """Over PostgreSQL and Redis, and over PostgreSQL alone: beside each other, for both wait for leases."""
    async with asyncio.TaskGroup() as both:
        both.create_task(
            a_node_dies(tmp_path / "with-redis", forgotten=True, store_url=database, cluster_url=redis.url)
        )
        both.create_task(a_node_dies(tmp_path / "alone", forgotten=False, store_url=postgres.database()))


# ---- Redis


@pytest.mark.parametrize("append", ["no", "always"], ids=["comes back empty", "comes back with its log"])
async def test_redis(append: Any, database: str, tmp_path: Path) -> None:
    with running_redis(tmp_path / "redis", append=append, options={"maxmemory-policy": "noeviction"}) as redis:
        async with clustered(tmp_path, nodes=2, store_url=database, cluster_url=redis.url) as cluster:
            first, second = cluster.nodes
            token = cluster.token("few")
            inside = [await cluster.comes_in(node, token) for node in (first, second)]
            others, victims = await cluster.bystanders(), await cluster.inside("victim")
            buyer = cluster.token("buyer")
            tickets = [(await first.buy(buyer))["ticket"] for _ in range(4)]
            assert await cluster.spend(first, tickets[0]) == 101

            redis.kill()
            async with measured() as noise:
                took = await cluster.until_refuses(first, second)
            assert took < AWAY_WITHIN + noise.worst
            for node in (first, second):
                assert await node.status(f"/chat?ticket={tickets[1]}") == 503
                assert await node.ready() == 503
            await all_chat([*inside, *others])
            printed = await cluster.revoke("victim")
            assert (printed.code, printed.figures) == (0, (4, 2, 2)), printed.text
            assert printed.is_durable
            await all_revoked(victims)
            await all_chat([*inside, *others])

            redis.restart()
            await cluster.until_admits()
            for ticket in tickets:
                answers = await asyncio.gather(cluster.spend(first, ticket), cluster.spend(second, ticket))
                assert set(answers) <= {101, 403}, answers
            assert await first.status(f"/chat?ticket={tickets[0]}") == 403
            # who was inside all the time is counted again
            inside.append(await cluster.comes_in(first, token))
            for node in (first, second):
                await cluster.is_full(node, token)
            await all_chat([*inside, *others])
            for client in inside:
                await client.close()
            await cluster.holds()


# ---- PostgreSQL


async def test_postgresql_behind_redis(postgres: Postgres, database: str, redis: RedisServer, tmp_path: Path) -> None:
    async with clustered(tmp_path, nodes=2, store_url=database, cluster_url=redis.url) as cluster:
        first, second = cluster.nodes
        others, victims = await cluster.bystanders(), await cluster.inside("victim")
        early = await cluster.revoke("early")
        assert (early.code, early.is_durable) == (0, True), early.text

        await asyncio.to_thread(postgres.kill)
        async with measured() as noise:
            took = await cluster.until_refuses(first, second)
        assert took < AWAY_WITHIN + 1 + noise.worst
        await all_chat(others)
        printed = await cluster.revoke("victim", by_process=True)
        assert printed.code == 1, printed.text
        assert not printed.is_durable, printed.text
        assert printed.figures == (4, 2, 2), "all the same, everybody did it"
        await all_revoked(victims)
        assert await cluster.refuses(first)
        assert await cluster.refuses(second)
        await all_chat(others)

        await asyncio.to_thread(postgres.restart)
        await cluster.until_admits()
        await until(lambda: _stands(cluster, "victim"), "it is in the log by itself")
        await all_chat(others)
        await cluster.holds()
        # and a node that starts now knows it
        await first.kill()
        await never_in_while_it_starts(first, cluster.ledger.revoked["victim"])


async def _stands(cluster: Cluster, subject: str) -> bool:
    return subject in cluster.logged()


async def test_postgresql_alone(postgres: Postgres, database: str, tmp_path: Path) -> None:
    async with clustered(tmp_path, nodes=2, store_url=database) as cluster:
        first, second = cluster.nodes
        token = cluster.token("few")
        inside = [await cluster.comes_in(node, token) for node in (first, second)]
        others, spared = await cluster.bystanders(), await cluster.inside("spared", each=1)
        buyer = cluster.token("buyer")
        tickets = [(await first.buy(buyer))["ticket"] for _ in range(3)]
        assert await cluster.spend(first, tickets[0]) == 101
        before = await cluster.revoke("before")
        assert before.code == 0, before.text

        await asyncio.to_thread(postgres.kill)
        async with measured() as noise:
            took = await cluster.until_refuses(first, second)
        assert took < AWAY_WITHIN + 1 + noise.worst
        begun = time.monotonic()
        printed = await cluster.revoke("spared")
        assert printed.code == 1, "nothing was promised"
        assert "closed" not in printed.text
        assert printed.ended - begun < 30 + noise.worst
        await all_chat([*inside, *others, *spared])

        await asyncio.to_thread(postgres.restart)
        await cluster.until_admits()
        for ticket in tickets:
            answers = await asyncio.gather(cluster.spend(first, ticket), cluster.spend(second, ticket))
            assert sum(answer == 101 for answer in answers) <= 1, answers
        inside.append(await cluster.comes_in(first, token))
        for node in (first, second):
            await cluster.is_full(node, token)  # who was inside all the time is counted
        await cluster.until_counted()
        printed = await cluster.revoke("spared")
        assert (printed.code, printed.figures) == (0, (2, 2, 2)), printed.text
        assert [await client.closed() for client in spared] == [REVOKED] * 2
        await all_chat([*inside, *others])
        for client in inside:
            await client.close()
        await cluster.holds()


async def test_the_first_starts_race(database: str, redis: RedisServer, tmp_path: Path) -> None:
    """Three nodes at once on an empty database: one makes the tables and the key, and all come up."""
    async with clustered(tmp_path, nodes=3, at_once=True, store_url=database, cluster_url=redis.url) as cluster:
        keys = [(await node.get("/.well-known/jwks.json")).json() for node in cluster.nodes]
        assert keys[0] == keys[1] == keys[2]
        assert isinstance(await cluster[2].try_connect(token=cluster.token("somebody")), Client)
        await cluster.holds()
