"""Authority withdrawn among thousands: how long from the call to the close, and how long everybody else waits.

The call is what `doorward revoke` does once Python has started: it writes to the log, and waits for the answers. The
loop is watched from outside by a connection that sends a few bytes every millisecond to a backend of its own, and from
inside by the loop's own late turns.
"""

import asyncio
import os
import random
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.arithmetic import percentile, within
from bench.load import Opening, Socket, Url, masked, open_all, opening
from bench.peers.doorward import Build, Doorward, path_of
from bench.processes import BenchError, cpu
from bench.studies.base import Figure, Finding, Ground, Study
from bench.studies.crowds import Companions, Heartbeat
from bench.tokens import ISSUER
from doorward.config.load import load
from doorward.config.making import Opened, opened
from doorward.service import operate
from doorward.values.ids import new_id
from doorward.values.revocation import Effect, Target, TargetKind

REVOKED: Final = 4002
CROWD: Final = "crowd"
HEART: Final = "heart"
_QUIET: Final = 3.0
_AFTER: Final = 3.0
_PATIENCE: Final = 20.0
_CLOSE: Final = 0x88


class Guest(Socket):
    """A connection that notes when its close frame came, and answers it."""

    def __init__(self, wanted: Opening) -> None:
        super().__init__(wanted)
        self.ended_at = 0.0
        self.code = 0
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        if self._upgraded and data[0] == _CLOSE and not self.ended_at:
            self.ended_at = time.monotonic()
            self.code = int.from_bytes(data[2:4], "big")
            self._transport.write(masked(_CLOSE, data[2:4], mask=b"\x11\x22\x33\x44"))
            self._transport.close()
            self.ended.set_result(None)
            return
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if not self.ended.done():
            self.ended.set_result(None)


class OnDuty(Study):
    """One identity of many, again and again; then a garbage collection; then all at once."""

    title = "on duty: revocation among live connections, one worker"
    figures = (
        Figure("connections", "live, authenticated connections", "", digits=0),
        Figure("one_p50", "one identity revoked: call to close frame, median", "ms"),
        Figure("one_p99", "one identity revoked: call to close frame, p99", "ms", target=10.0),
        Figure("one_max", "one identity revoked: call to close frame, longest", "ms"),
        Figure("all_closed", "all revoked at once: call to the last close frame at its client", "ms", target=500.0),
        Figure("all_took", "all revoked at once: call to the gateway's last close", "ms"),
        Figure("all_cpu", "all revoked at once: CPU of the gateway for each, until it is quiet again", "µs"),
        Figure("quiet_max", "somebody else's round trip, nothing going on, longest", "ms"),
        Figure("outside_p50", "somebody else's round trip while all are closed, median", "ms"),
        Figure("outside_max", "somebody else's round trip while all are closed, longest", "ms", target=10.0),
        Figure("inside_max", "event loop while all are closed: longest turn", "ms", target=10.0),
        Figure("inside_cpu", "event loop while all are closed: most CPU in a turn", "ms"),
        Figure("gc_inside", "event loop while all garbage is collected: longest turn", "ms", target=10.0),
        Figure("gc_cpu", "event loop while all garbage is collected: most CPU in a turn", "ms"),
        Figure("live_max", "event loop in the rest of the study: longest turn", "ms", target=10.0),
    )

    def __init__(self, *, name: str, connections: int, singles: int) -> None:
        self.name = name
        self._connections = connections
        self._singles = singles

    async def __call__(self, ground: Ground) -> Finding:
        watch = ground.site.folder / "loop.txt"
        companions = Companions(ground.site)
        peer: Doorward | None = None
        guests: list[Guest] = []
        try:
            (hearts,) = companions.backends(1, urgent=True)
            build = Build(more_backends=(hearts,), tenants=True, watch=watch)
            peer = Doorward(ground.site, tls=False, build=build)
            peer.start()
            count = ground.load.of(self._connections)
            serials = range(first := ground.load.serials(count), first + count)
            tokens = [ground.load.token_of(serial, tenant=CROWD) for serial in serials]
            for start in range(0, count, 1000):
                some = [opening(peer.url, token=token) for token in tokens[start : start + 1000]]
                guests += await open_all(peer.url, some, Guest)
            heartbeat = await companions.heartbeat(Url(peer.port, path_of(1)), token=ground.load.token(tenant=HEART))
            config = load(peer.configuration, environment={})
            if isinstance(config, list):
                raise BenchError(f"the configuration can't be read: {config[0]}")
            async with opened(config, report=lambda line: None) as tools:
                return await self._watched(tools, guests, serials, peer, heartbeat, watch, ground)
        finally:
            for guest in guests:
                guest.cut()
            companions.stop()
            if peer is not None:
                peer.stop()
            watch.unlink(missing_ok=True)

    async def _watched(
        self, tools: Opened, guests: list[Guest], serials: range, peer: Doorward, heartbeat: Heartbeat, watch: Path,
        ground: Ground,
    ) -> Finding:  # fmt: skip
        rested = time.monotonic()
        await asyncio.sleep(_QUIET)
        live_from = time.monotonic()
        singles = await one_by_one(tools, guests, serials, ground.load.of(self._singles))
        collected = time.monotonic()
        os.kill(peer.pids()[0], signal.SIGUSR1)
        await asyncio.sleep(1.0)
        left = [guest for guest in guests if not guest.ended_at]
        used, began = cpu(peer.pids()), time.monotonic()
        took = await revoke(tools, Target(kind=TargetKind.TENANT, value=CROWD))
        async with asyncio.timeout(_PATIENCE):
            await asyncio.gather(*(guest.ended for guest in left))
        await asyncio.sleep(_AFTER)
        done = time.monotonic()
        spent = cpu(peer.pids()).since(used)
        wrong = sum(guest.code != REVOKED for guest in left)
        if wrong:
            raise BenchError(f"{wrong} of {len(left)} connections did not end with {REVOKED}")
        beats = heartbeat.read()
        turns = [tuple(map(float, line.split())) for line in watch.read_text().splitlines()]
        walls = [(when, gap) for when, gap, _ in turns]
        used_by = [(when, used_in) for when, _, used_in in turns]
        quiet, during = within(beats, rested, live_from), within(beats, began, done)
        closes = sorted((guest.ended_at - began) * 1e3 for guest in left)
        figures = {
            "connections": float(len(guests)),
            "one_p50": percentile(singles, 0.5),
            "one_p99": percentile(singles, 0.99),
            "one_max": max(singles),
            "all_closed": closes[-1],
            "all_took": took * 1e3,
            "all_cpu": spent / len(left) * 1e6,
            "quiet_max": max(quiet) * 1e3,
            "outside_p50": percentile(during, 0.5) * 1e3,
            "outside_max": max(during) * 1e3,
            "inside_max": _longest(within(walls, began, done)),
            "inside_cpu": _longest(within(used_by, began, done)),
            "gc_inside": _longest(within(walls, collected, collected + 1.0)),
            "gc_cpu": _longest(within(used_by, collected, collected + 1.0)),
            "live_max": _longest(within(walls, rested, collected)),
        }
        step = max(1, len(closes) // 200)
        shown = began - 0.2, max(guest.ended_at for guest in left) + 0.3
        series = {
            "one_ms": [round(each, 3) for each in sorted(singles)],
            "all_ms": [round(each, 2) for each in closes[::step]],
            "beat_at_ms": [round((when - began) * 1e3, 1) for when, _ in beats if shown[0] <= when <= shown[1]],
            "beat_ms": [round(each * 1e3, 3) for each in within(beats, *shown)],
        }
        return Finding(figures, series)


async def one_by_one(tools: Opened, guests: Sequence[Guest], serials: Sequence[int], count: int) -> list[float]:
    """Milliseconds from the call to the close frame, at instants that follow no beat of a gateway's.

    `serials` are the guests' subjects, at the same places. At most half of the guests are revoked.
    """
    chance = random.Random(1)
    found = []
    for place in chance.sample(range(len(guests)), min(count, len(guests) // 2)):
        await asyncio.sleep(chance.uniform(0.005, 0.03))
        began = time.monotonic()
        await revoke(tools, Target(kind=TargetKind.IDENTITY, value=f"user-{serials[place]}", issuer=ISSUER))
        async with asyncio.timeout(_PATIENCE):
            await guests[place].ended
        if guests[place].code != REVOKED:
            raise BenchError(f"a revoked connection ended with {guests[place].code or 'a cut'}")
        found.append((guests[place].ended_at - began) * 1e3)
    return found


async def revoke(tools: Opened, target: Target) -> float:
    """Seconds from the call to the last close, as the gateways acknowledged it. Raises BenchError where one did not."""
    result = await operate.revoke(
        tools.store,
        tools.clock,
        id=new_id(tools.entropy.bytes(16)),
        target=target,
        effect=Effect.CLOSE,
        cause="bench",
        by="bench",
        counts_for=3600.0,
        within=_PATIENCE,
    )
    if result.silent or not result.closed:
        raise BenchError(f"a revocation closed {result.closed}; no answer from {result.silent or 'nobody'}")
    return result.took


def _longest(late: list[float]) -> float:
    """In milliseconds; 0 where no turn was late enough to be noted."""
    return max(late, default=0.0) * 1e3
