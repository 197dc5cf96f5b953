"""A wall clock that is two seconds off opens no door: what one node issues and another revokes is refused by all."""

import asyncio
import os
import time
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from tests.integration.cluster.nodes import REVOKED, Cluster, Node, all_chat, clustered, until
from tests.integration.noise import measured
from tests.integration.running import Client
from tests.servers.redis import RedisServer

pytestmark = pytest.mark.servers

OFF: Final = 2.0
# Read by the interpreter before anything else (site), so that all of it lives in that time. It moves as the true one.
SHIFTED: Final = """
import time
from functools import partial

true, true_ns = time.time, time.time_ns
time.time = lambda: true() + {seconds}
time.time_ns = lambda: true_ns() + int({seconds} * 1e9)
"""


def off_by(folder: Path, seconds: float) -> dict[str, str]:
    """The environment of a machine whose clock is so far ahead."""
    place = folder / f"clock{seconds:+g}"
    place.mkdir(exist_ok=True)
    (place / "sitecustomize.py").write_text(SHIFTED.format(seconds=seconds))
    return {"PYTHONPATH": os.pathsep.join(filter(None, (str(place), os.environ.get("PYTHONPATH"))))}


async def issued(node: Node, subject: str) -> str:
    """By a command on that node's machine."""
    code, printed = await node.command("token", "issue", subject)
    assert code == 0, printed
    return next(word for word in printed.split() if word.count(".") == 2)


async def told_of(node: Node) -> bool:
    return bool(node.events(kind="clock"))


async def test_a_fast_and_a_slow_node(database: str, redis: RedisServer, tmp_path: Path) -> None:
    clocks = [off_by(tmp_path, OFF), off_by(tmp_path, -OFF)]
    async with clustered(tmp_path, nodes=2, environments=clocks, store_url=database, cluster_url=redis.url) as cluster:
        fast, slow = cluster.nodes
        for node in (fast, slow):
            await until(partial(told_of, node), f"{node.name} says that its clock is off", of=[node])
        early = await issued(fast, "alice")
        inside = [await cluster.comes_in(node, early, "/chat") for node in (fast, slow)]
        ticket = (await fast.buy(early))["ticket"]
        # revoked on the machine whose clock says that it was long before the token
        code, printed = await slow.command("revoke", "--subject", "alice")
        assert code == 0, printed
        assert [await client.closed() for client in inside] == [REVOKED] * 2
        for node in (fast, slow):
            await cluster.stays_out(node, token=early, why="revoked before")
            await cluster.stays_out(node, f"/chat?ticket={ticket}", why="bought by who was revoked")
        # what is issued afterwards, on the machine that is behind, comes in at once and everywhere
        late = await issued(slow, "alice")
        for node in (fast, slow):
            await cluster.looks_in(node, late)
        # and is revoked from the machine that is ahead
        code, printed = await fast.command("revoke", "--subject", "alice")
        assert code == 0, printed
        for node in (fast, slow):
            await cluster.stays_out(node, token=late, why="revoked from the machine that is ahead")
        await cluster.holds()


async def test_one_clock_says_when_something_ends(database: str, redis: RedisServer, tmp_path: Path) -> None:
    clocks = [off_by(tmp_path, OFF), off_by(tmp_path, -OFF)]
    async with clustered(
        tmp_path,
        nodes=2,
        environments=clocks,
        store_url=database,
        cluster_url=redis.url,
        tokens={"ticket_ttl": "4s"},
    ) as cluster:
        fast, slow = cluster.nodes
        others = await cluster.bystanders()
        async with asyncio.TaskGroup() as together:
            together.create_task(both_end_it_at_once(cluster))
            together.create_task(spent_in_time(cluster, fast, slow))
            together.create_task(spent_in_time(cluster, slow, fast))
        await all_chat(others)


async def both_end_it_at_once(cluster: Cluster) -> None:
    """Each node ends a connection at the moment that its token's own clock says."""
    end = int(time.time()) + 10
    # another issuer's, whose clock is the true one, as PostgreSQL's is here
    token = cluster.operator.token("short", exp=end, iat=int(time.time()))
    clients = [await cluster.comes_in(node, token, "/chat") for node in cluster.nodes]
    async with measured() as noise:
        ends = await asyncio.gather(*(ended(client) for client in clients))
    assert {how for how, _ in ends} == {(4001, "doorward:expired")}
    for _, at in ends:
        assert -0.2 < at - end < 1.5 + noise.worst, [at - end for _, at in ends]
    for node in cluster.nodes:
        await cluster.stays_out(node, token=token, why="it has expired")


async def ended(client: Client) -> tuple[tuple[int | None, str | None], float]:
    how = await client.closed()
    return how, time.time()


async def spent_in_time(cluster: Cluster, seller: Node, door: Node) -> None:
    """A ticket that is sold on one node opens the other's door until its end, and no longer."""
    token = cluster.token(cluster.fresh("buyer"))
    begun = time.monotonic()
    kept, used = [(await seller.buy(token))["ticket"] for _ in range(2)]
    status = await cluster.spend(door, used)
    assert status == 101 or time.monotonic() - begun >= 3.9, status
    await asyncio.sleep(max(0.0, begun + 4.5 - time.monotonic()))
    await cluster.stays_out(door, f"/chat?ticket={kept}", why="it has expired")
