"""What a peer's slowness costs the others: one that stops reading, then a hundred that read a few KiB at a time.

The others send 128 bytes each at a steady pace and wait for them. What is compared is their round trip, and the
gateway's CPU, alone and beside the slow ones. Whoever stalls asked for far more than he reads, and so fills the
gateway's queue.
"""

import asyncio
import contextlib
import socket as sockets
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from functools import partial

from bench.arithmetic import percentile
from bench.load import Exchange, Opening, Socket, Url, exchanges, masked, opened, opening
from bench.peers.doorward import Doorward
from bench.processes import BenchError, cpu
from bench.studies.base import Figure, Finding, Ground, Study

PACE = 0.01
"""Seconds between two messages of one of the others."""

SMALL = 128
LARGE = 16 * 1024
STALLED_ASKS = 512
"""Messages of LARGE: 8 MiB, eight times the gateway's queue."""

SLOW_ASKS = 64
SIP_EVERY = 0.05
_RECEIVE_BUFFER = 4096
_SETTLE = 1.0


class Sipper(Socket):
    """Reads what its small buffer holds, then not again before it is told to."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.swallowed = 0

    def data_received(self, data: bytes) -> None:
        if not self._upgraded:
            super().data_received(data)
            return
        self.swallowed += len(data)
        self._transport.pause_reading()

    def ask_for(self, count: int) -> None:
        """Ask for `count` large messages at once."""
        frame = masked(0x82, bytes(LARGE), mask=b"\x01\x02\x03\x04")
        self._transport.pause_reading()
        for _ in range(count):
            self._transport.write(frame)

    def sip(self) -> None:
        """Read once."""
        if not self.closed.done():
            self._transport.resume_reading()


class SlowReaders(Study):
    """Alone, beside one that stalls, beside many that are slow."""

    def __init__(self, *, name: str, others: int, slow: int, seconds: float) -> None:
        self.name = name
        self.title = f"what slow readers cost {others} others that send {1 / PACE:.0f} messages a second each"
        self._others = others
        self._slow = slow
        self._seconds = seconds
        cases = {"alone": "alone", "stalled": "beside one that stalls", "slow": f"beside {slow} slow readers"}
        self.figures = tuple(
            figure
            for key, title in cases.items()
            for figure in (
                Figure(f"{key}_p50", f"round trip {title}, median", "ms", digits=2),
                Figure(f"{key}_p99", f"round trip {title}, p99", "ms", digits=2),
                Figure(f"{key}_cpu", f"CPU of the gateway {title}", "% of a core"),
            )
        )

    async def __call__(self, ground: Ground) -> Finding:
        peer = Doorward(ground.site, tls=False)
        seconds = max(1.0, self._seconds * ground.load.factor)
        figures: dict[str, float] = {}
        try:
            peer.start()
            async with opened(peer.url, ground.load.openings(peer.url, self._others)) as others:
                figures |= await self._window("alone", peer, others, seconds)
                async with AsyncExitStack() as stack:
                    await _slow(stack, peer.url, [opening(peer.url, token=ground.load.token())], asks=STALLED_ASKS)
                    await asyncio.sleep(_SETTLE)
                    figures |= await self._window("stalled", peer, others, seconds)
                count = ground.load.of(self._slow)
                async with AsyncExitStack() as stack:
                    slow = await _slow(stack, peer.url, ground.load.openings(peer.url, count), asks=SLOW_ASKS)
                    stack.callback(asyncio.create_task(_sip(slow)).cancel)
                    await asyncio.sleep(_SETTLE)
                    before = sum(each.swallowed for each in slow)
                    figures |= await self._window("slow", peer, others, seconds)
                    if sum(each.swallowed for each in slow) == before:
                        raise BenchError("the slow readers read nothing: they were no load")
        finally:
            peer.stop()
        return Finding(figures)

    async def _window(self, key: str, peer: Doorward, others: list[Socket], seconds: float) -> dict[str, float]:
        trips: list[float] = []
        before, began = cpu(peer.pids()), time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number, other in enumerate(others):
                group.create_task(_talk(other, exchanges(SMALL, seed=number), began + seconds, trips))
        used = cpu(peer.pids()).since(before) / (time.monotonic() - began)
        return {
            f"{key}_p50": percentile(trips, 0.5) * 1e3,
            f"{key}_p99": percentile(trips, 0.99) * 1e3,
            f"{key}_cpu": used * 100,
        }


async def _talk(socket: Socket, kit: tuple[Exchange, ...], until: float, trips: list[float]) -> None:
    """One message every PACE, each waited for."""
    loop = asyncio.get_running_loop()
    turn = 0
    while (began := time.monotonic()) < until:
        done: asyncio.Future[float] = loop.create_future()

        def finished(fault: str | None, done: asyncio.Future[float] = done) -> None:
            if fault is None:
                done.set_result(time.monotonic())
            else:
                done.set_exception(BenchError(fault))

        script: Iterator[Exchange] = iter(kit[turn % len(kit) :][:1])
        socket.play(script, finished)
        async with asyncio.timeout(10):
            took = await done - began
        trips.append(took)
        turn += 1
        await asyncio.sleep(max(0.0, PACE - took))


async def _slow(stack: AsyncExitStack, url: Url, wanted: list[Opening], *, asks: int) -> list[Sipper]:
    """Open them with small receive buffers, and let them ask. They are cut at the end."""
    loop = asyncio.get_running_loop()
    slow: list[Sipper] = []
    for each in wanted:
        raw = sockets.socket()
        raw.setblocking(False)
        raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, _RECEIVE_BUFFER)
        await loop.sock_connect(raw, ("127.0.0.1", url.port))
        _, socket = await loop.create_connection(partial(Sipper, each), sock=raw)
        stack.callback(socket.cut)
        if await socket.status != 101:
            raise BenchError(f"a slow reader was answered with {socket.status.result() or 'a cut'}, not 101")
        slow.append(socket)
    for socket in slow:
        socket.ask_for(asks)
    return slow


async def _sip(slow: list[Sipper]) -> None:
    """Each reads every SIP_EVERY, until cancelled."""
    with contextlib.suppress(asyncio.CancelledError):
        while True:
            for socket in slow:
                socket.sip()
            await asyncio.sleep(SIP_EVERY)
