"""The admin API on several nodes: any answers for all, and a node that is gone or cut off is told, not passed over."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from doorward import __version__
from tests.integration.admin.desk import Desk, issued
from tests.integration.cluster.nodes import Cluster, all_chat, all_revoked, clustered, until
from tests.servers.redis import RedisServer

pytestmark = pytest.mark.servers

EACH = 3


async def desks(cluster: Cluster) -> list[Desk]:
    """One operator's token, made on none of the nodes, at each node's listener."""
    operator = await issued(cluster.operator, "operator", "ops")
    return [Desk(node, operator=operator) for node in cluster.nodes]


async def connections(desk: Desk, subject: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await desk.get(f"/api/connections?subject={subject}&limit=1000")).json()[
        "connections"
    ]
    return found


async def answers_for_all(folder: Path, **stores: Any) -> None:
    async with clustered(folder, nodes=2, **stores) as cluster:
        first, second = await desks(cluster)
        subject = cluster.fresh("alice")
        clients = await cluster.inside(subject, each=EACH)
        others = await cluster.bystanders()

        async def listed() -> bool:
            rows = [await connections(desk, subject) for desk in (first, second)]
            return rows[0] == rows[1] and [row["node"] for row in rows[0]].count("gw-1") == EACH == len(rows[0]) / 2

        await until(listed, "both nodes list both nodes' connections")
        one = (await connections(second, subject))[0]
        told = (await second.post(f"/api/connections/{one['connection']}/close")).json()
        assert (told["closed"], told["nodes"], told["silent"]) == (1, 2, [])
        ends = {asyncio.create_task(client.closed()): client for client in clients}
        done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED, timeout=40)
        assert [task.result() for task in done] == [(4403, "doorward:closed_by_operator")]
        for task in ends.keys() - done:
            task.cancel()
        left = [client for task, client in ends.items() if task not in done]
        body = {"target": {"kind": "identity", "value": subject}}
        key = {"Idempotency-Key": "one-for-both-nodes_" + "0" * 45}
        answer = await first.post("/api/revocations", body, headers=key)
        told = answer.json()
        assert (answer.status_code, told["closed"], told["nodes"], told["silent"]) == (201, 2 * EACH - 1, 2, [])
        await all_revoked(left)
        again = (await second.post("/api/revocations", body, headers=key)).json()
        assert (again["revocation"], again["closed"]) == (told["revocation"], 2 * EACH - 1)
        seen = (await second.get(f"/api/revocations/{told['revocation']['id']}")).json()["acknowledgements"]
        assert sorted((one["node"], one["closed"] > 0) for one in seen) == [("gw-1", True), ("gw-2", True)]
        for desk in (first, second):
            overview = (await desk.get("/api/overview")).json()
            assert [node["node"] for node in overview["nodes"]] == ["gw-1", "gw-2"]
            workers = [worker for node in overview["nodes"] for worker in node["workers"]]
            assert [(worker["version"], worker["ready"]) for worker in workers] == [(__version__, True)] * 2
            assert all(abs(worker["clock_ahead"]) < 5.0 for worker in workers)
            assert overview["here"]["node"] == desk.gateway.settings["server"]["node"]
            assert abs(overview["here"]["clock_ahead"]) < 5.0
        await all_chat(others)
        assert (await first.post("/api/bans", {"subject": subject})).status_code == 201
        assert len((await second.get("/api/bans")).json()["bans"]) == 1


async def test_over_postgresql_and_redis(database: str, redis: RedisServer, tmp_path: Path) -> None:
    await answers_for_all(tmp_path, store_url=database, cluster_url=redis.url)


async def test_over_postgresql_alone(database: str, tmp_path: Path) -> None:
    await answers_for_all(tmp_path, store_url=database)


async def test_a_dead_node_is_named_and_a_lost_store_is_503(database: str, redis: RedisServer, tmp_path: Path) -> None:
    async with clustered(tmp_path, nodes=2, store_url=database, cluster_url=redis.url) as cluster:
        first, _ = await desks(cluster)
        await cluster[1].kill()
        told = await first.revoke("identity", cluster.fresh("alice"))
        assert (told["nodes"], told["silent"]) == (2, ["gw-2"])

        async def is_stale() -> bool:
            overview = (await first.get("/api/overview")).json()
            return overview["stale"] == ["gw-2"] and [node["node"] for node in overview["nodes"]] == ["gw-1", "gw-2"]

        await until(is_stale, "a dead node is not shown as well")
        cluster[0].redis_way.cut()

        async def unavailable() -> bool:
            answer = await first.get("/api/bans")
            return answer.status_code == 503 and answer.headers["retry-after"] == "5"

        await until(unavailable, "what can't be asked of the log is no yes")
        cluster[0].redis_way.flow()

        async def back() -> bool:
            return (await first.get("/api/bans")).status_code == 200

        await until(back, "it answers again")
