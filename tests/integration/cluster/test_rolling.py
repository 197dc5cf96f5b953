"""Two nodes restarted one after the other behind HAProxy: everybody is told when to come back, and nobody is lost."""

import asyncio
import re
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.integration.cluster.nodes import Cluster, Node, clustered, until
from tests.integration.noise import measured
from tests.integration.ports import free_port
from tests.integration.running import Client, Refused, attempt
from tests.servers.redis import RedisServer

pytestmark = pytest.mark.servers

CLIENTS = 60
RATE = 10  # handshakes a second
DRAIN = 8.0

# Whoever says that it is not ready gets nobody new; who is inside stays where he is.
HAPROXY = """
global
    maxconn 1000
defaults
    mode tcp
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    retries 3
    option redispatch
listen front
    bind 127.0.0.1:{port}
    balance leastconn
    option httpchk GET /readyz
    http-check expect status 200
    default-server inter 200ms fall 1 rise 1 on-marked-down none
{servers}
"""


@asynccontextmanager
async def balanced(folder: Path, port: int, cluster: Cluster) -> AsyncIterator[None]:
    lines = [f"    server {node.name} {node.settings['server']['listen']} check" for node in cluster.nodes]
    file = folder / "haproxy.cfg"
    file.write_text(HAPROXY.format(port=port, servers="\n".join(lines)).replace(" on-marked-down none", ""))
    process = await asyncio.create_subprocess_exec("haproxy", "-db", "-f", str(file))
    try:
        yield
    finally:
        process.kill()
        await process.wait()


class Guest:
    """Comes in, stays until it is told to come back, and does as it is told. It never asks before its time."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._token = token
        self.ends: list[tuple[int | None, str | None]] = []
        self.refusals: list[Refused] = []
        self.client: Client | None = None
        self.here = asyncio.Event()

    async def stay(self) -> None:
        while True:
            found = await attempt(self._url, token=self._token)
            if isinstance(found, Refused):
                self.refusals.append(found)
                await asyncio.sleep(0.25)
                continue
            self.client = Client(found)
            self.here.set()
            self.ends.append(await self.client.closed(120))
            self.here.clear()
            told = re.fullmatch(r"doorward:draining; retry_after=(\d+)", self.ends[-1][1] or "")
            if told is None:
                return
            await asyncio.sleep(int(told[1]))


def admitted(cluster: Cluster, since: float) -> list[float]:
    """When each handshake was allowed, by the nodes' audits."""
    found = [event["at"] for node in cluster.nodes for event in node.events(kind="handshake", outcome="allowed")]
    return sorted(at for at in found if at >= since)


async def _all_admitted(cluster: Cluster, since: float, count: int) -> bool:
    return len(admitted(cluster, since)) >= count


def busiest(moments: list[float]) -> int:
    """The most within any second."""
    return max((sum(at <= other < at + 1 for other in moments) for at in moments), default=0)


async def restarted(cluster: Cluster, node: Node) -> None:
    node.tell(signal.SIGTERM)
    assert await node.ended(60) == 0
    await node.start()


@pytest.mark.timeout(240)
async def test_two_nodes_behind_a_balancer(database: str, redis: RedisServer, tmp_path: Path) -> None:
    port = free_port()
    server = {"drain_timeout": f"{DRAIN:g}s", "handshake_rate": f"{RATE}/s"}
    async with (
        clustered(
            tmp_path,
            nodes=2,
            own_ways=False,
            store_url=database,
            cluster_url=redis.url,
            public_port=port,
            server=server,
        ) as cluster,
        balanced(tmp_path, port, cluster),
    ):
        await until(lambda: _answers(port, cluster), "the balancer has somebody behind it")
        guests = [Guest(f"ws://127.0.0.1:{port}/chat", cluster.token(f"guest-{n}")) for n in range(CLIENTS)]
        staying = [asyncio.create_task(guest.stay()) for guest in guests]
        try:
            await asyncio.gather(*(guest.here.wait() for guest in guests))
            await cluster.revoke("nobody")
            # dated by the nodes' own clock, and counted from after the start
            begun = time.time()
            async with measured() as noise:
                for node in cluster.nodes:
                    await restarted(cluster, node)
                    async with asyncio.timeout(90):
                        await asyncio.gather(*(guest.here.wait() for guest in guests))
            for task in staying:
                task.cancel()
            await asyncio.gather(*staying, return_exceptions=True)
            ends = [end for guest in guests for end in guest.ends]
            assert {code for code, _ in ends} == {1012}, Counter(ends)
            assert len(ends) >= CLIENTS, "each node had its half at least"
            for guest in guests:
                assert guest.client is not None
                assert await guest.client.echoes()
            refusals = Counter(one.status for guest in guests for one in guest.refusals)
            await until(lambda: _all_admitted(cluster, begun, len(ends)), "nobody was lost")
            moments = admitted(cluster, begun)
            waits = Counter(reason for _, reason in ends)
            print(f"\n{len(ends)} were told to come back, {len(waits)} different waits; {len(moments)} came back, "
                  f"{busiest(moments)} in the busiest second; refusals {dict(refusals)}")  # fmt: skip
            assert len(waits) > 3, "spread"
            # whole seconds of waiting and a machine that is late put two neighbouring seconds' share into one
            assert busiest(moments) <= 2 * RATE + RATE * noise.worst, busiest(moments)
            await cluster.holds()
        finally:
            for task in staying:
                task.cancel()
            await asyncio.gather(*staying, return_exceptions=True)


async def _answers(port: int, cluster: Cluster) -> bool:
    found = await attempt(f"ws://127.0.0.1:{port}/chat", token=cluster.token("first"))
    if isinstance(found, Refused):
        return False
    await found.close()
    return True
