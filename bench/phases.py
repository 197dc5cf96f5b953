"""A phase takes one sample of one peer: it prepares outside the window, counts inside it, and checks what was done."""

import asyncio
import itertools
import json
import time
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from bench.load import (
    Exchange,
    Opening,
    Socket,
    Url,
    ask,
    exchanges,
    in_parallel,
    leave_all,
    open_all,
    opened,
    opening,
    play_all,
    refuse_all,
)
from bench.peers import Peer
from bench.peers.doorward import buy_ticket
from bench.processes import BenchError, cpu, memory
from bench.tokens import mint

SETTLE: Final = 0.3
"""Seconds counted after the work: what was put off (a batched audit, a flush) is part of the cost."""

REST: Final = 3.0
"""Seconds before memory is read: buffers are given back, and no keep-alive ping falls due."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One figure in the row's unit, of `count` pieces of work; CPU and wall seconds of the window, where it has one."""

    value: float
    count: int
    cpu_seconds: float | None = None
    wall_seconds: float | None = None
    parts: Mapping[str, float] = field(default_factory=dict)
    """The figure told apart by the peer's parts, where it has several."""


class Load:
    """What one run puts on its peers: how much of it, and tokens that never repeat."""

    def __init__(self, secret: bytes, *, factor: float, now: int) -> None:
        self._secret = secret
        self._factor = factor
        self._now = now
        self._serials = itertools.count()

    def of(self, count: int) -> int:
        """`count` at this run's size, at least 10."""
        return max(10, round(count * self._factor))

    @property
    def factor(self) -> float:
        """This run's size: 1 is a measurement, less a trial."""
        return self._factor

    def serials(self, count: int) -> int:
        """`count` numbers for a process that makes its own tokens: the first of them."""
        first = next(self._serials)
        self._serials = itertools.count(first + count)
        return first

    def token(self, *, genuine: bool = True, tenant: str = "") -> str:
        """A new token of a subject of its own."""
        return self.token_of(next(self._serials), genuine=genuine, tenant=tenant)

    def token_of(self, serial: int, *, genuine: bool = True, tenant: str = "") -> str:
        """The token of this number. Its subject is `user-{serial}`."""
        return mint(
            self._secret, subject=f"user-{serial}", serial=serial, now=self._now, genuine=genuine, tenant=tenant
        )

    def another(self, serial: int) -> str:
        """A new token for the subject of `token_of(serial)`."""
        return mint(self._secret, subject=f"user-{serial}", serial=next(self._serials), now=self._now)

    def openings(self, url: Url, count: int, *, genuine: bool = True) -> list[Opening]:
        """`count` handshakes, each with a token of its own. The forged ones differ in their signature alone."""
        return [opening(url, token=self.token(genuine=genuine)) for _ in range(count)]


async def seen(peer: Peer) -> dict[str, int]:
    """What the backend behind `peer` has seen of upgrades so far."""
    port = peer.backend_port
    _, body = await ask(Url(port), b"GET /seen HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n\r\n" % port)
    counts: dict[str, int] = json.loads(body)
    return counts


class Phase(Protocol):
    """Takes one sample. Raises BenchError, OSError or TimeoutError when there is none to be had."""

    async def __call__(self, peer: Peer, load: Load) -> Sample: ...


async def counted(peer: Peer, work: Awaitable[object], *, count: int, per: float = 1e6) -> Sample:
    """CPU of the peer for `work` and SETTLE after it: by `count`, in microseconds unless `per` says otherwise."""
    pids, parts = peer.pids(), peer.parts()
    before, started = cpu(pids), time.monotonic()
    before_parts = {name: cpu(some) for name, some in parts.items()}
    await work
    wall = time.monotonic() - started
    await asyncio.sleep(SETTLE)
    used = cpu(pids).since(before)
    if set(peer.pids()) != set(pids):
        raise BenchError(f"{peer.name} started or lost a process while it was measured")
    apart = {name: cpu(some).since(before_parts[name]) / count * per for name, some in parts.items()}
    return Sample(used / count * per, count, used, wall, apart)


@dataclass(frozen=True, slots=True)
class Messages:
    """Round trips of one message size over many connections, one message under way on each."""

    size: int
    connections: int
    trips: int
    warm_up: int = 5

    async def __call__(self, peer: Peer, load: Load) -> Sample:
        url, trips = peer.url, load.of(self.trips)
        async with opened(url, load.openings(url, load.of(self.connections))) as sockets:
            kits = [exchanges(self.size, seed=seed) for seed in range(len(sockets))]
            await play_all(sockets, _scripts(kits, self.warm_up))
            work = play_all(sockets, _scripts(kits, trips))
            return await counted(peer, work, count=trips * len(sockets))


@dataclass(frozen=True, slots=True)
class Handshakes:
    """Admitted handshakes, from the connect to the 101. The connections stay open; closing them is not counted."""

    handshakes: int

    async def __call__(self, peer: Peer, load: Load) -> Sample:
        url = peer.url
        return await _admitted(peer, url, load.openings(url, load.of(self.handshakes)))


@dataclass(frozen=True, slots=True)
class TicketHandshakes:
    """Admitted handshakes with a ticket. Buying the tickets is not counted."""

    handshakes: int

    async def __call__(self, peer: Peer, load: Load) -> Sample:
        url, count = peer.url, load.of(self.handshakes)
        tickets: list[str] = []

        async def buy() -> None:
            tickets.append(await buy_ticket(url, token=load.token()))

        await in_parallel((buy() for _ in range(count)), at_once=16)
        await asyncio.sleep(SETTLE)
        return await _admitted(peer, url, [opening(url, ticket=ticket) for ticket in tickets])


@dataclass(frozen=True, slots=True)
class Refusals:
    """Handshakes with a forged signature, from the connect to the end of the connection."""

    handshakes: int

    async def __call__(self, peer: Peer, load: Load) -> Sample:
        url = peer.url
        wanted = load.openings(url, load.of(self.handshakes), genuine=False)
        before = await seen(peer)
        sample = await counted(peer, refuse_all(url, wanted), count=len(wanted))
        if (await seen(peer))["upgrades"] != before["upgrades"]:
            raise BenchError("a forged handshake reached the backend")
        return sample


@dataclass(frozen=True, slots=True)
class IdleMemory:
    """Memory that one open, authenticated, silent connection adds, in KiB of PSS, in a freshly started peer."""

    connections: int
    warm_up: int = 10

    async def __call__(self, peer: Peer, load: Load) -> Sample:
        url, count = peer.url, load.of(self.connections)
        async with opened(url, load.openings(url, self.warm_up)):
            await asyncio.sleep(REST / 2)
        await asyncio.sleep(REST / 2)
        before = memory(peer.pids())
        async with opened(url, load.openings(url, count)):
            await asyncio.sleep(REST)
            return _kept(peer, before, count)


@dataclass(frozen=True, slots=True)
class KeptMemory:
    """Memory that an open connection still holds after one big message each way, in KiB of PSS, in a fresh peer.

    Few connections send at the same time: what many at once need for the moment is another figure.
    """

    connections: int
    size: int
    at_once: int = 16

    async def __call__(self, peer: Peer, load: Load) -> Sample:
        url, count = peer.url, load.of(self.connections)
        async with opened(url, load.openings(url, count)) as sockets:
            kit = exchanges(self.size, seed=0)
            await asyncio.sleep(REST)
            before = memory(peer.pids())
            for start in range(0, len(sockets), self.at_once):
                some = sockets[start : start + self.at_once]
                await play_all(some, _scripts([kit] * len(some), 1))
            await asyncio.sleep(REST)
            return _kept(peer, before, count)


def _kept(peer: Peer, before: int, count: int) -> Sample:
    return Sample((memory(peer.pids()) - before) / count / 1024, count)


def _scripts(kits: Sequence[tuple[Exchange, ...]], trips: int) -> list[Iterator[Exchange]]:
    return [itertools.islice(itertools.cycle(kit), trips) for kit in kits]


async def _admitted(peer: Peer, url: Url, wanted: Sequence[Opening]) -> Sample:
    """Open `wanted`, counted; then prove that every one reached the backend with what this peer must show it."""
    sockets: list[Socket] = []

    async def work() -> None:
        sockets.extend(await open_all(url, wanted))

    before, audited = await seen(peer), peer.audited()
    try:
        sample = await counted(peer, work(), count=len(wanted))
        after = await seen(peer)
        for name in ("upgrades", *peer.shows):
            times = after[name] - before[name]
            if times != len(wanted):
                raise BenchError(f"the backend saw {name} {times} times in {len(wanted)} handshakes")
        if peer.authenticates and after["authorization"] != before["authorization"]:
            raise BenchError("a credential reached the backend")
        if audited is not None and (peer.audited() or 0) - audited < len(wanted):
            raise BenchError(f"{(peer.audited() or 0) - audited} audit records for {len(wanted)} handshakes")
        return sample
    finally:
        await leave_all(sockets)
