"""What counts over all nodes: rates, places of a subject and of an address, bans; and the oldest gives way wherever."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cluster.nodes import Cluster, all_chat, clustered, until
from tests.integration.running import Client, Config, Refused
from tests.servers.redis import RedisServer

pytestmark = [pytest.mark.servers, pytest.mark.parametrize("with_redis", [True, False], ids=["with Redis", "alone"])]


@pytest.fixture
def two(database: str, redis: RedisServer, tmp_path: Path, with_redis: bool):
    """Two nodes with these limits."""

    def make(**limits: Any) -> AbstractAsyncContextManager[Cluster]:
        wide: Config = {
            "connections_per_subject": 100,
            "connections_per_address": 100,
            "handshakes_per_address": "1000/min",
            "handshakes_per_subject": "1000/min",
            "refusals_per_address": "1000/min",
        }
        cluster_url = redis.url if with_redis else ""
        return clustered(tmp_path, nodes=2, cluster_limits=wide | limits, store_url=database, cluster_url=cluster_url)

    return make


async def refused(cluster: Cluster, token: str) -> set[tuple[int, str]]:
    """What each node answers; of a rate with when to come back."""
    answers = set()
    for node in cluster.nodes:
        found = await node.try_connect(token=token)
        assert isinstance(found, Refused), f"{node.name} admits"
        assert found.reason != "rate_limited" or int(found.headers["Retry-After"]) > 0
        answers.add((found.status, found.reason))
    return answers


async def test_the_oldest_gives_way_on_whichever_node_it_is(two) -> None:
    async with two(connections_per_subject=2, when_full="replace_oldest") as cluster:
        first, second = cluster.nodes
        token, others = cluster.token("alice"), await cluster.bystanders()
        inside = [await node.connect(token=token) for node in (first, second, second, first)]
        assert await inside[0].closed() == (4409, "doorward:replaced")
        assert await inside[1].closed() == (4409, "doorward:replaced")
        await all_chat([*inside[2:], *others])
        for node in cluster.nodes:
            (event,) = await node.audited(kind="close", subject="alice")
            assert event["reason"] == "replaced"


async def test_places_of_an_address(two) -> None:
    async with two(connections_per_address=4) as cluster:
        clients = [await node.connect(token=cluster.token(cluster.fresh())) for node in cluster.nodes for _ in range(2)]
        assert await refused(cluster, cluster.token("one more")) == {(429, "connection_limit")}
        await clients[0].close()
        clients[0] = await cluster.comes_in(cluster[1], cluster.token("one more"), "/chat")
        assert await refused(cluster, cluster.token("yet one more")) == {(429, "connection_limit")}
        await all_chat(clients)


async def test_handshakes_of_a_subject(two) -> None:
    async with two(handshakes_per_subject="6/h") as cluster:
        token = cluster.token("busy")
        clients = [await cluster[turn % 2].connect(token=token) for turn in range(6)]
        assert await refused(cluster, token) == {(429, "rate_limited")}
        assert isinstance(await cluster[0].try_connect(token=cluster.token("somebody else")), Client)
        await all_chat(clients)


async def test_refusals_of_an_address(two) -> None:
    async with two(refusals_per_address="6/h") as cluster:
        others = await cluster.bystanders()
        forged = cluster.token("nobody")[:-8] + "AAAAAAAA"
        for turn in range(6):
            assert await cluster[turn % 2].status(token=forged) == 403
        good = cluster.token(cluster.fresh())

        async def all_count_six() -> bool:
            """A refusal is charged once it is told. Who asks by a good token adds none."""
            return [await node.status(token=good) for node in cluster.nodes] == [429, 429]

        await until(all_count_six, "both nodes count the six that both have refused")
        assert await refused(cluster, forged) == {(429, "rate_limited")}
        await all_chat(others)


async def test_a_ban_by_whichever_node(two) -> None:
    async with two() as cluster:
        token = cluster.token("eve")
        for banning in cluster.nodes:
            code, printed = await banning.cli("ban", "add", "--subject", "eve")
            assert code == 0, printed
            assert await refused(cluster, token) == {(403, "forbidden")}
            code, printed = await banning.cli("ban", "remove", printed.split()[1])
            assert code == 0, printed
            for node in cluster.nodes:
                assert await node.status(token=token) == 101
