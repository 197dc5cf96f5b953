"""Two nodes spend one ticket at the same moment: exactly one of them gets it, every time."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count
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

ROUNDS = 1000  # in which both were asking at the same moment
AT_ONCE = 10
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


async def ask(process: Process, codes: Sequence[bytes]) -> list[tuple[str, float, float]]:
    """What became of each, from when and until when it was asked for."""
    assert process.stdin is not None
    process.stdin.write(json.dumps([code.hex() for code in codes]).encode() + b"\n")
    await process.stdin.drain()
    answers = json.loads(await line(process))
    assert len(answers) == len(codes)
    return [(what, begun, ended) for what, begun, ended in answers]


async def put_some(tools: Opened, turn: int) -> list[bytes]:
    """Tickets of as many owners, so that none pushes another out."""
    now = tools.clock.now()

    async def put(name: str) -> bytes:
        owner = principal(name, issued_at=now - 1, expires_at=now + 600)
        whole = replace(ticket(name, owner), digest=digest(name), issued_at=now, expires_at=now + 300)
        await tools.store.tickets.put(whole, most=10)
        return whole.digest

    return await asyncio.gather(*(put(f"race-{turn}-{number}") for number in range(AT_ONCE)))


async def two_processes_race(folder: Path, **stores: Any) -> None:
    """A round that one of them had to itself proves nothing: so many are wanted in which both asked at once."""
    async with clustered(folder, nodes=0, **stores) as cluster:
        config = load(cluster.operator.config, environment={})
        assert not isinstance(config, list), config
        async with (
            opened(config, report=print) as tools,
            spender(cluster.operator.config) as one,
            spender(cluster.operator.config) as other,
        ):
            assert [await line(process) for process in (one, other)] == ["open", "open"]
            races, alone, won = 0, 0, [0, 0]
            for turn in count():
                codes = await put_some(tools, turn)
                # who is told first changes from turn to turn
                here, there = await asyncio.gather(
                    *(ask(process, codes) for process in ((one, other) if turn % 2 else (other, one)))
                )
                mine, theirs = (here, there) if turn % 2 else (there, here)
                for (my, my_begin, my_end), (their, their_begin, their_end) in zip(mine, theirs, strict=True):
                    assert sorted((my, their)) == ["spent", "won"], "exactly one winner each"
                    won[my == "spent"] += 1
                    both = my_begin < their_end and their_begin < my_end
                    races, alone = races + both, alone + (not both)
                if races >= ROUNDS:
                    break
    print(f"\n{races} races and {alone} rounds without: {won[0]} for one process, {won[1]} for the other")
    assert min(won) > 0


async def test_a_thousand_rounds_over_postgresql_and_redis(database: str, redis: RedisServer, tmp_path: Path) -> None:
    await two_processes_race(tmp_path, store_url=database, cluster_url=redis.url)


async def test_a_thousand_rounds_over_postgresql_alone(database: str, tmp_path: Path) -> None:
    await two_processes_race(tmp_path, store_url=database)


async def two_nodes_race(cluster: Cluster) -> tuple[int, int]:
    """How many each of them won. Where a store was slow to one of them (503) it was no race."""
    first, second = cluster.nodes

    async def bought(turn: int) -> str:
        found = await cluster[turn % 2].buy(cluster.token(cluster.fresh("buyer")))
        return str(found["ticket"])

    async def spent(node: Node, code: str) -> int:
        return await cluster.spend(node, code)

    won = [0, 0]
    for turn in count():
        if sum(won) == REAL_ROUNDS:
            break
        code = await bought(turn)
        nodes = (first, second) if turn % 2 else (second, first)
        answers = await asyncio.gather(*(spent(node, code) for node in nodes))
        assert sorted(answers) == [101, 403] or 503 in answers, (turn, answers)
        if 503 not in answers:
            won[cluster.nodes.index(nodes[answers.index(101)])] += 1
    return won[0], won[1]


async def test_real_handshakes(database: str, redis: RedisServer, tmp_path: Path) -> None:
    async with clustered(tmp_path, nodes=2, store_url=database, cluster_url=redis.url) as cluster:
        first, second = await two_nodes_race(cluster)
        print(f"\n{REAL_ROUNDS} rounds: {first} for one node, {second} for the other")
        await cluster.holds()
