"""`revoke` says done only when nobody is left who may hold a connection of whoever was revoked."""

import json
import os
import signal
from pathlib import Path

import pytest

from doorward.service.predecessors import LOOK_EVERY
from tests.integration.admin.desk import Desk, issued
from tests.integration.cluster.ledger import Printed
from tests.integration.cluster.nodes import Cluster, Node, all_chat, all_revoked, clustered, until
from tests.servers.redis import RedisServer

pytestmark = pytest.mark.servers


async def until_lost(cluster: Cluster) -> Printed:
    """Of the first call that waits for nobody any more."""
    found: list[Printed] = []

    async def is_lost() -> bool:
        found.append(await cluster.revoke(cluster.fresh("asked")))
        return not found[-1].silent

    await until(is_lost, "it is waited for no longer")
    return found[-1]


async def test_who_is_long_cut_off_is_named_until_it_is_back(database: str, redis: RedisServer, tmp_path: Path) -> None:
    async with clustered(tmp_path, nodes=2, store_url=database, cluster_url=redis.url) as cluster:
        away = cluster[1]
        others, victims = await cluster.bystanders(), await cluster.inside("victim", each=1)
        for way in away.ways:
            way.cut()
        printed = await until_lost(cluster)
        assert (printed.code, printed.unheard) == (1, ["gw-2"]), printed.text
        printed = await cluster.revoke("victim")
        assert (printed.code, printed.figures, printed.unheard) == (1, (1, 1, 2), ["gw-2"]), printed.text
        assert printed.ended - printed.begun < 5, "it is named, not waited for"
        await all_revoked(victims[:1])
        await all_chat([*others, *victims[1:]])
        code, text = await cluster.operator.cli("connections", "list")
        assert code == 0
        assert "gw-2 not heard of for" in text
        for way in away.ways:
            way.flow()
        await all_revoked(victims[1:])
        await cluster.until_counted()
        assert (await cluster.revoke(cluster.fresh("asked"))).code == 0
        await all_chat(others)
        await cluster.holds()


async def test_of_two_nodes_with_one_name_neither_answers_for_the_other(
    database: str, redis: RedisServer, tmp_path: Path
) -> None:
    async with clustered(tmp_path, nodes=2, store_url=database, cluster_url=redis.url) as cluster:
        first, twin = cluster.nodes
        await twin.stop()
        twin.settings["server"]["node"] = first.name
        twin.write()
        await twin.start()
        for node in cluster.nodes:
            (event,) = await node.audited(kind="node", outcome="failed")
            assert event["detail"] == "another gateway is named gw-1 too: give each a server.node of its own"
            assert "another gateway is named gw-1 too" in node.printed
        victims = await cluster.inside("victim", each=1)
        for way in twin.ways:
            way.hold()
        printed = await cluster.revoke("victim")
        assert (printed.code, printed.figures, printed.silent) == (1, (1, 0, 1), ["gw-1"]), printed.text
        await all_revoked(victims[:1])
        await all_chat(victims[1:])
        for way in twin.ways:
            way.flow()
        await all_revoked(victims[1:])
        await cluster.until_admits()


def of_workers(node: Node, count: int) -> None:
    node.settings["server"]["workers"] = count
    node.write()


def heartbeats(redis: RedisServer) -> dict[str, float]:
    """Of each worker that Redis knows, `number:node`."""
    told = redis.ask("HGETALL", "doorward:{p}:workers")
    return {name.decode(): json.loads(row)[4] for name, row in zip(told[::2], told[1::2], strict=True)}


async def until_all_is_well(cluster: Cluster) -> None:
    """`revoke` names nobody any more."""

    async def is_well() -> bool:
        return (await cluster.revoke(cluster.fresh("asked"))).code == 0

    await until(is_well, "nobody is named")


async def test_what_is_open_stays_listed_while_a_twin_comes_and_goes(
    database: str, redis: RedisServer, tmp_path: Path
) -> None:
    """A stranger's: six seconds of a second gateway of its name, and the first one's connections were gone for good."""
    async with clustered(tmp_path, nodes=2, own_ways=False, store_url=database, cluster_url=redis.url) as cluster:
        first, twin = cluster.nodes
        await twin.stop()
        twin.settings["server"]["node"] = first.name
        twin.write()
        desk = Desk(first, operator=await issued(cluster.operator, "operator", "ops"))

        async def until_listed(count: int) -> None:
            async def are_listed() -> bool:
                code, text = await cluster.operator.cli("connections", "list", "--subject", "alice", "--json")
                overview = (await desk.get("/api/overview")).json()
                rows = redis.ask("KEYS", "doorward:{p}:rows:*")
                kept = sum(redis.ask("HLEN", key) for key in rows)
                return code == 0 and len(json.loads(text)) == overview["connections"] == kept == count

            await until(are_listed, f"{count} connections are listed, and kept once", of=[first])

        inside = await cluster.inside("alice", each=2, nodes=[first])
        await until_listed(2)
        await twin.start()
        await first.audited(kind="node", outcome="failed")
        inside += await cluster.inside("alice", each=1)
        await until_listed(4)
        await inside.pop().close()
        await twin.stop()
        await until_listed(3)
        inside += await cluster.inside("alice", each=1, nodes=[first])
        await until_listed(4)
        printed = await cluster.revoke("alice")
        assert (printed.code, printed.figures) == (0, (4, 1, 1)), printed.text
        await all_revoked(inside)
        await until_listed(0)


async def test_an_older_snapshot_of_redis_brings_nobody_back(database: str, redis: RedisServer, tmp_path: Path) -> None:
    """A stranger's: workers that had stopped in order were named at every revocation, under the name of a node that
    lived and had answered."""
    async with clustered(tmp_path, nodes=2, own_ways=False, store_url=database, cluster_url=redis.url) as cluster:
        second = cluster[1]
        await second.stop()
        of_workers(second, 2)
        await second.start()
        redis.ask("SAVE")
        assert "2:gw-2" in heartbeats(redis)
        await second.stop()
        assert "2:gw-2" not in heartbeats(redis)
        of_workers(second, 1)
        await second.start()
        redis.kill()
        redis.restart()
        assert "2:gw-2" in heartbeats(redis), "it is back"
        await cluster.until_admits()
        await until_all_is_well(cluster)
        victims = await cluster.inside("victim", each=1)
        printed = await cluster.revoke("victim")
        assert (printed.code, printed.figures) == (0, (2, 2, 2)), printed.text
        await all_revoked(victims)
        assert heartbeats(redis).keys() == {"1:gw-1", "1:gw-2"}


async def test_who_died_is_named_until_a_gateway_of_the_name_starts_whatever_its_number(
    database: str, redis: RedisServer, tmp_path: Path
) -> None:
    async with clustered(tmp_path, nodes=2, own_ways=False, store_url=database, cluster_url=redis.url) as cluster:
        second = cluster[1]
        await second.stop()
        of_workers(second, 2)
        await second.start()
        await second.kill()
        printed = await until_lost(cluster)
        assert (printed.code, printed.figures[1:], printed.unheard) == (1, (1, 2), ["gw-2"]), printed.text
        of_workers(second, 1)
        await second.start()
        await until_all_is_well(cluster)
        await cluster.holds()


async def test_a_worker_that_hangs_is_named_though_the_one_beside_it_was_started_again(
    database: str, redis: RedisServer, tmp_path: Path
) -> None:
    async with clustered(tmp_path, nodes=2, own_ways=False, store_url=database, cluster_url=redis.url) as cluster:
        second = cluster[1]
        await second.stop()
        of_workers(second, 2)
        await second.start()
        hangs, dies = second.worker_pids()
        await second.stand_still(hangs)
        os.kill(dies, signal.SIGKILL)
        printed = await until_lost(cluster)
        begun = max(heartbeats(redis).values())

        async def was_there_to_look() -> bool:
            seen = heartbeats(redis)
            return sum(at > begun + 2 * LOOK_EVERY for name, at in seen.items() if name.endswith(":gw-2")) == 1

        await until(was_there_to_look, "the one beside it is back, and has had the time to strike it off")
        printed = await cluster.revoke(cluster.fresh("asked"))
        assert (printed.code, printed.figures, printed.unheard) == (1, (0, 2, 2), ["gw-2"]), printed.text
        os.kill(hangs, signal.SIGCONT)
        await until_all_is_well(cluster)
