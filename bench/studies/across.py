"""Authority withdrawn on two gateways that share PostgreSQL and Redis: how long from the call to the close.

Half of the connections are on each. Both gateways have the same core, as one has it in `on-duty`; clients, PostgreSQL
(fsync on) and Redis share the other. At the end Redis is stopped, and what is left is revoked by the log alone.
"""

import asyncio
import random
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Final

from bench.arithmetic import percentile
from bench.load import open_all, opening
from bench.peers.doorward import Build, Doorward
from bench.processes import BenchError, cpu
from bench.studies.base import Figure, Finding, Ground, Study
from bench.studies.revocation import CROWD, REVOKED, Guest, one_by_one, revoke
from bench.studies.servers import servers
from doorward.config.load import load
from doorward.config.making import Opened, opened
from doorward.values.revocation import Target, TargetKind

NODES: Final = ("one", "two")
LATER: Final = "later"
_AT_ONCE: Final = 1000
_QUIET: Final = 3.0
_AFTER: Final = 1.0
_PATIENCE: Final = 20.0

Crowd = tuple[list[Guest], list[int]]
"""Guests, and the subject's number of each."""


class AcrossNodes(Study):
    """One identity of many, again and again; then all at once; then one by one without Redis."""

    title = "on duty: revocation across two nodes that share PostgreSQL and Redis"
    figures = (
        Figure("connections", "live, authenticated connections, half on each node", "", digits=0),
        Figure("one_p50", "one identity revoked across two nodes: call to close frame, median", "ms"),
        Figure("one_p99", "one identity revoked across two nodes: call to close frame, p99", "ms", target=100.0),
        Figure("one_max", "one identity revoked across two nodes: call to close frame, longest", "ms"),
        Figure("all_closed", "all revoked at once across two nodes: call to the last close frame at its client", "ms",
               target=500.0),
        Figure("all_took", "all revoked at once: call to the last close that a gateway acknowledged", "ms"),
        Figure("all_cpu", "all revoked at once: CPU of both gateways for each", "µs"),
        Figure("without_p50", "one identity revoked while Redis is stopped: call to close frame, median", "ms"),
        Figure("without_max", "one identity revoked while Redis is stopped: call to close frame, longest", "ms"),
    )  # fmt: skip

    def __init__(self, *, name: str, connections: int, singles: int, without: int) -> None:
        self.name = name
        self._connections = connections
        self._singles = singles
        self._without = without

    async def __call__(self, ground: Ground) -> Finding:
        async with AsyncExitStack() as stack:
            both = stack.enter_context(servers(ground.site.folder))
            peers: list[Doorward] = []
            build = Build(tenants=True, store_url=both.database(), cluster_url=both.cluster_url)
            for node in NODES:
                key = peers[0].key_file if peers else None
                peers.append(Doorward(ground.site, tls=False, build=replace(build, node=node, key_file=key)))
                stack.callback(peers[-1].stop)
                peers[-1].start()
            crowd = await _enter(stack, peers, ground, ground.load.of(self._connections), tenant=CROWD)
            later = await _enter(stack, peers, ground, ground.load.of(2 * self._without), tenant=LATER)
            config = load(peers[0].configuration, environment={})
            if isinstance(config, list):
                raise BenchError(f"the configuration can't be read: {config[0]}")
            tools = await stack.enter_async_context(opened(config, report=lambda line: None))
            await asyncio.sleep(_QUIET)
            singles = await one_by_one(tools, *crowd, ground.load.of(self._singles))
            figures = await _all(tools, crowd[0], peers)
            both.end_redis()
            without = await one_by_one(tools, *later, ground.load.of(self._without))
        figures |= {
            "connections": float(len(crowd[0]) + len(later[0])),
            "one_p50": percentile(singles, 0.5),
            "one_p99": percentile(singles, 0.99),
            "one_max": max(singles),
            "without_p50": percentile(without, 0.5),
            "without_max": max(without),
        }
        return Finding(figures, {"one_ms": [round(each, 3) for each in sorted(singles)]})


async def _enter(stack: AsyncExitStack, peers: list[Doorward], ground: Ground, count: int, *, tenant: str) -> Crowd:
    """`count` guests, as many through each gateway, in no order that tells which."""
    guests: list[tuple[Guest, int]] = []
    for number, peer in enumerate(peers):
        own = count // len(peers) + (number < count % len(peers))
        serials = range(first := ground.load.serials(own), first + own)
        for start in range(0, own, _AT_ONCE):
            some = serials[start : start + _AT_ONCE]
            wanted = [opening(peer.url, token=ground.load.token_of(serial, tenant=tenant)) for serial in some]
            came = await open_all(peer.url, wanted, Guest)
            stack.callback(_cut, came)
            guests += zip(came, some, strict=True)
    random.Random(2).shuffle(guests)
    return [guest for guest, _ in guests], [serial for _, serial in guests]


async def _all(tools: Opened, guests: list[Guest], peers: list[Doorward]) -> dict[str, float]:
    """Everybody of the crowd who is left, by one call."""
    left = [guest for guest in guests if not guest.ended_at]
    pids = [pid for peer in peers for pid in peer.pids()]
    used, began = cpu(pids), time.monotonic()
    took = await revoke(tools, Target(kind=TargetKind.TENANT, value=CROWD))
    async with asyncio.timeout(_PATIENCE):
        await asyncio.gather(*(guest.ended for guest in left))
    await asyncio.sleep(_AFTER)
    spent = cpu(pids).since(used)
    wrong = sum(guest.code != REVOKED for guest in left)
    if wrong:
        raise BenchError(f"{wrong} of {len(left)} connections did not end with {REVOKED}")
    return {
        "all_closed": (max(guest.ended_at for guest in left) - began) * 1e3,
        "all_took": took * 1e3,
        "all_cpu": spent / len(left) * 1e6,
    }


def _cut(guests: list[Guest]) -> None:
    for guest in guests:
        guest.cut()
