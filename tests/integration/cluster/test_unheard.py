"""A gateway whose standard error nobody reads any more stays on duty: an outage of its stores ends none of its work."""

import asyncio

import pytest

from tests.integration.cluster.nodes import Node, all_chat, all_revoked, clustered
from tests.servers.redis import RedisServer

pytestmark = pytest.mark.servers


async def nobody_reads(node: Node) -> None:
    """From now on whatever it prints fails with EPIPE."""
    assert node._printing is not None
    node._printing.cancel()
    await asyncio.wait([node._printing])
    node._printing = asyncio.create_task(asyncio.sleep(0))


@pytest.mark.parametrize("away", ["postgres", "redis", "both"])
async def test_after_an_outage_it_follows_revocations_and_admits_again(
    away: str, database: str, redis: RedisServer, tmp_path
) -> None:
    async with clustered(tmp_path, store_url=database, cluster_url=redis.url, nodes=2) as cluster:
        node = cluster[0]
        subject = cluster.fresh()
        inside = await cluster.inside(subject)
        bystanders = await cluster.bystanders()
        await nobody_reads(node)
        ways = [way for way in node.ways if away == "both" or way is (node.to_redis, node.to_postgres)[away != "redis"]]
        for way in ways:
            way.cut()
        await cluster.until_refuses(node)
        for way in ways:
            way.flow()
        await cluster.until_admits()
        await cluster.until_counted()
        printed = await cluster.revoke(subject)
        assert printed.figures == (len(inside), 2, 2), printed.text
        await all_revoked(inside)
        await all_chat(bystanders)
        assert not node.events(kind="fault"), "to note it is no fault"
        assert await node.stop() == 0
