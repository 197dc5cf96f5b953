"""`revoke` says done only when nobody is left who may hold a connection of whoever was revoked."""

from pathlib import Path

import pytest

from tests.integration.cluster.ledger import Printed
from tests.integration.cluster.nodes import Cluster, all_chat, all_revoked, clustered, until
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
