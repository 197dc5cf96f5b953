"""Thousands of idle, authenticated connections: time to open them, memory, and CPU while nothing happens.

Idle is not nothing: each connection is pinged every 20 s and answers, timers are looked at, the revocation log is read.
The same gateway is measured empty first, so that what a connection costs can be told from what a gateway costs.
"""

import asyncio
import time

from bench.arithmetic import flatness
from bench.peers.doorward import Build, Doorward, path_of, told
from bench.processes import BenchError, cpu, memory
from bench.studies.base import Figure, Finding, Ground, Limit, Study
from bench.studies.crowds import Companions
from bench.studies.timers import cost

PER_CROWD = 10_000
PING_EVERY = 20.0
"""Seconds (PRODUCT section 7)."""

_EMPTY = 10.0
_SETTLE = 5.0
_WINDOWS = 12
_OPENING = 240.0


class Scale(Study):
    """`connections` through `workers` for `idle` seconds."""

    long = True

    def __init__(self, *, name: str, connections: int, workers: int, idle: float) -> None:
        self.name = name
        self._connections = connections
        self._workers = workers
        self._idle = idle
        processes = "one process" if workers == 1 else f"{workers} workers"
        self.title = f"{connections:,} idle authenticated connections, {processes}"
        self.figures = (
            Figure("opened", "opened", "", digits=0),
            Figure("alive", f"open after {idle:.0f} s of idling", "", target=connections, side=Limit.AT_LEAST, digits=0,
                   scaled=True, must=True),
            Figure("ended", "ended meanwhile, by the gateway's audit", "", target=0, digits=0, must=True),
            Figure("opening", "time to open them", "s"),
            Figure("opening_cpu", "CPU to open one", "µs"),
            Figure("memory", "memory of all processes", "MiB"),
            Figure("each", "memory that a connection adds", "KiB"),
            Figure("empty", "CPU without a connection", "% of a core", digits=2),
            Figure("idle", "CPU with all of them idle", "% of a core", digits=2),
            Figure("flat", "CPU of the last third of the time by that of the first", "×", target=1.2, digits=2),
            Figure("ping", "CPU that a connection adds, each 20 s (one ping, one pong, its timers)", "µs"),
            Figure("timers", "of that, the table of timers by itself", "µs"),
        )  # fmt: skip

    async def __call__(self, ground: Ground) -> Finding:
        count = ground.load.of(self._connections)
        idle = max(6.0, self._idle * ground.load.factor)
        crowds = -(-count // PER_CROWD)
        companions = Companions(ground.site)
        peer: Doorward | None = None
        try:
            more = companions.backends(crowds - 1)
            peer = Doorward(ground.site, tls=False, build=Build(workers=self._workers, more_backends=more))
            peer.start()
            await asyncio.sleep(1.0)
            pids = peer.pids()
            empty = await _used(pids, min(_EMPTY, idle))
            before, before_cpu = memory(pids), cpu(pids)
            parts = [(path_of(number), count // crowds + (number < count % crowds)) for number in range(crowds)]
            try:
                opening = await companions.crowd(ground.load, peer.url, parts, seconds=_OPENING)
            except BenchError as error:
                await asyncio.sleep(1.0)
                raise BenchError(f"{error}; refusals: {told(peer.reasons('handshake'))}") from error
            await asyncio.sleep(_SETTLE)
            spent, after = cpu(pids).since(before_cpu), memory(pids)
            series = [await _used(pids, idle / _WINDOWS) for _ in range(_WINDOWS)]
            if set(peer.pids()) != set(pids):
                raise BenchError("a worker ended or was started meanwhile")
            lost = peer.reasons("close")
            alive = companions.alive()
        finally:
            companions.stop()
            if peer is not None:
                peer.stop()
        load = sum(series) / len(series)
        figures = {
            "opened": float(count),
            "alive": float(alive),
            "ended": float(lost.total()),
            "opening": opening,
            "opening_cpu": spent / count * 1e6,
            "memory": after / 1024**2,
            "each": (after - before) / count / 1024,
            "empty": empty * 100,
            "idle": load * 100,
            "flat": flatness(series),
            "ping": max(0.0, load - empty) * PING_EVERY / count * 1e6,
            "timers": await cost(count, every=PING_EVERY) * 1e6,
        }
        note = f"Ended meanwhile, by reason: {told(lost)}." if alive < count or lost else ""
        percent = [round(each * 100, 3) for each in series]
        return Finding(figures, {"idle_percent": percent, "window_seconds": [idle / _WINDOWS]}, note)


async def _used(pids: tuple[int, ...], seconds: float) -> float:
    """CPU seconds per second of these processes in the next `seconds`."""
    before, began = cpu(pids), time.monotonic()
    await asyncio.sleep(seconds)
    return cpu(pids).since(before) / (time.monotonic() - began)
