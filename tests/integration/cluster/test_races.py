"""Two nodes spend one ticket at the same moment: exactly one of them gets it, every time."""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from doorward.config.load import load
from doorward.config.making import Opened, opened
from tests.architecture.source import ROOT
from tests.integration.cluster.nodes import Cluster, Node, clustered
from tests.integration.running import WITHIN
from tests.servers.redis import RedisServer
from tests.stores.made import digest, principal, ticket

pytestmark = pytest.mark.servers

ROUNDS = 1000
REAL_ROUNDS = 50


@asynccontextmanager
async def spender(config: Path) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.integration.cluster.spending", str(config),
        stdin=PIPE, stdout=PIPE, cwd=ROOT,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        await process.wait()


async def line(process: Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(WITHIN):
        said = await process.stdout.readline()
    assert said, "the spender ended"
    return said.decode().strip()


async def tell(process: Process, *lines: str) -> None:
    assert process.stdin is not None
    process.stdin.writelines(f"{line}\n".encode() for line in lines)
    await process.stdin.drain()


async def put_all(tools: Opened) -> list[bytes]:
    """Tickets of as many owners, so that none pushes another out."""
    now = tools.clock.now()
    digests = [digest(f"race-{number}") for number in range(ROUNDS)]
    for number, one in enumerate(digests):
        owner = principal(f"racer-{number}", issued_at=now - 1, expires_at=now + 600)
        whole = replace(ticket(f"race-{number}", owner), digest=one, issued_at=now, expires_at=now + 300)
        await tools.store.tickets.put(whole, most=10)
    return digests


async def two_processes_race(folder: Path, **stores: Any) -> None:
    async with clustered(folder, nodes=0, **stores) as cluster:
        config = load(cluster.operator.config, environment={})
        assert not isinstance(config, list), config
        async with opened(config, report=print) as tools:
            digests = await put_all(tools)
        async with spender(cluster.operator.config) as one, spender(cluster.operator.config) as other:
            assert [await line(process) for process in (one, other)] == ["open", "open"]
            for process in (one, other):
                await tell(process, *(code.hex() for code in digests))
            await asyncio.gather(tell(one, "go"), tell(other, "go"))
            answers = [await asyncio.gather(*(line(process) for process in (one, other))) for _ in range(ROUNDS)]
    won = [sum(answer == "won" for answer in pair) for pair in answers]
    assert won == [1] * ROUNDS, "exactly one winner each"
    assert {answer for pair in answers for answer in pair} == {"won", "spent"}
    firsts = sum(pair[0] == "won" for pair in answers)
    print(f"\n{ROUNDS} rounds: {firsts} for one process, {ROUNDS - firsts} for the other")


async def test_a_thousand_rounds_over_postgresql_and_redis(database: str, redis: RedisServer, tmp_path: Path) -> None:
    await two_processes_race(tmp_path, store_url=database, cluster_url=redis.url)


async def test_a_thousand_rounds_over_postgresql_alone(database: str, tmp_path: Path) -> None:
    await two_processes_race(tmp_path, store_url=database)


async def two_nodes_race(cluster: Cluster) -> tuple[int, int]:
    """How many each of them won."""
    first, second = cluster.nodes

    async def bought(turn: int) -> str:
        found = await cluster[turn % 2].buy(cluster.token(cluster.fresh("buyer")))
        return str(found["ticket"])

    async def spent(node: Node, code: str) -> int:
        return await cluster.spend(node, code)

    won = [0, 0]
    for turn in range(REAL_ROUNDS):
        code = await bought(turn)
        nodes = (first, second) if turn % 2 else (second, first)
        answers = await asyncio.gather(*(spent(node, code) for node in nodes))
        assert sorted(answers) == [101, 403], (turn, answers)
        won[cluster.nodes.index(nodes[answers.index(101)])] += 1
    return won[0], won[1]


async def test_real_handshakes(database: str, redis: RedisServer, tmp_path: Path) -> None:
    async with clustered(tmp_path, nodes=2, store_url=database, cluster_url=redis.url) as cluster:
        first, second = await two_nodes_race(cluster)
        print(f"\n{REAL_ROUNDS} rounds: {first} for one node, {second} for the other")
        await cluster.holds()
