"""What a flood of refused handshakes costs who is in already: `make flood`, eight minutes, loopback alone.

For each kind of flood the gateway runs afresh, alone on one core; attackers (bench/storm.py), backend and the watched
connection share the other, the attackers with a lower priority. One connection sends 128 bytes and waits for them, a
hundred others are idle. Calm and flood take turns, so that what else the machine does weighs on both: a ratio is the
median of the turns' own ratios. Some floods last two minutes, and tell what the gateway's memory does meanwhile. It
fails where a figure is missing or an echo is wrong, never for a slow one: the table says yes or no.
"""

import argparse
import asyncio
import itertools
import json
import os
import random
import resource
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

import uvloop

from bench import certificate
from bench.load import Exchange, Socket, exchanges, leave_all, open_all, opening
from bench.peers.base import Site
from bench.peers.doorward import Doorward
from bench.processes import CORE_OF_LOAD, BenchError, Process, cpu, free_port
from bench.storm import ATTACKS
from bench.tokens import base64url, mint

BOUND: Final = 2.0
"""The most that a flood may lengthen the median round trip."""

FLAT: Final = 1.0
"""MiB a minute in a long flood's second half, up to which its memory is called flat."""

IDLE: Final = 100
SIZE: Final = 128
PAUSE: Final = 0.002
"""Seconds between an echo and the next message, more or less: one who talks, and is no load himself. They differ, and
are no loop's milliseconds: else he would keep step with the gateway's timers, and meet always or never the same."""

SETTLING: Final = 0.7
"""Seconds after a storm's beginning and after its end that are not counted."""

SAMPLE_SECONDS: Final = 5.0
_CHANCE: Final = random.Random(1)
_WATCH: Final = 2
_ATTACK: Final = 1
"""Real-time priorities."""

_FILES: Final = 8192
_HERE: Final = Path(__file__).resolve().parent
_MIB: Final = 2**20
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


# ---- who is watched --------------------------------------------------------------------------------------------------


async def talk(socket: Socket, seconds: float, pause: float) -> list[float]:
    """Round trips one after another, each compared whole. Seconds each. Raises BenchError at a wrong echo."""
    loop = asyncio.get_running_loop()
    trips: list[float] = []
    script = itertools.cycle(exchanges(SIZE, seed=1))
    end = loop.time() + seconds
    while loop.time() < end:
        done: asyncio.Future[str | None] = loop.create_future()
        exchange: Exchange = next(script)
        begun = time.perf_counter()
        socket.play(iter((exchange,)), done.set_result)
        async with asyncio.timeout(10):
            fault = await done
        if fault is not None:
            raise BenchError(fault)
        trips.append(time.perf_counter() - begun)
        if pause:
            await loop.run_in_executor(_sleeper(), time.sleep, _CHANCE.uniform(0.5, 1.5) * pause)
    return trips


@cache
def _sleeper() -> ThreadPoolExecutor:
    """One thread, which is kept waiting by nobody either."""
    return ThreadPoolExecutor(1, initializer=lambda: put_first(os.getpid(), _WATCH))


def resident(pids: Sequence[int]) -> int:
    """Bytes of memory that `pids` have in use (RSS). Raises BenchError when one has ended."""
    try:
        return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids) * _PAGE
    except (FileNotFoundError, ProcessLookupError) as error:
        raise BenchError("the gateway ended while it was measured") from error


@dataclass(frozen=True, slots=True)
class Turn:
    """A calm and a flood. Seconds; memory as (seconds since the flood began, bytes)."""

    calm: list[float]
    flood: list[float]
    memory: list[tuple[float, int]]
    busy: float

    @property
    def ratio(self) -> float:
        return statistics.median(self.flood) / statistics.median(self.calm)

    @property
    def slope(self) -> float:
        """Bytes a second, of the line that fits the second half best."""
        half = self.memory[len(self.memory) // 2 :]
        return statistics.linear_regression(*zip(*half, strict=True)).slope


@dataclass(slots=True)
class Row:
    """One kind of flood. `ended`: attackers a second that the gateway was done with, in each storm."""

    kind: str
    long: bool = False
    turns: list[Turn] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        return statistics.median(turn.ratio for turn in self.turns)


class Watched:
    """A gateway with its live connections, and the one that talks."""

    def __init__(self, gateway: Doorward, socket: Socket, *, pause: float, firm: bool) -> None:
        self._gateway = gateway
        self._socket = socket
        self._pause = pause
        self._firm = firm

    async def turn(self, row: Row, *, seconds: float, calm: float) -> None:
        """Talk in calm, then in a flood of `seconds`. Adds to `row`."""
        before = await self._talk(calm)
        lasts = seconds + 2 * SETTLING
        storming = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.storm", row.kind, str(self._gateway.port), str(lasts),
            cwd=_HERE.parent, env={**os.environ, "PYTHONPATH": "."}, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            if self._firm:
                put_first(storming.pid, _ATTACK)
            assert storming.stdout is not None
            async with asyncio.timeout(20):
                await storming.stdout.readline()
            await self._talk(SETTLING)
            talking = asyncio.ensure_future(self._talk(seconds))
            used, begun = cpu(self._gateway.pids()), time.monotonic()
            memory: list[tuple[float, int]] = []
            while not talking.done():
                memory.append((time.monotonic() - begun, resident(self._gateway.pids())))
                await asyncio.wait({talking}, timeout=min(SAMPLE_SECONDS, seconds / 4))
            during = talking.result()
            busy = cpu(self._gateway.pids()).since(used) / (time.monotonic() - begun)
            row.ended.append(json.loads((await asyncio.wait_for(storming.communicate(), 30))[0]) / lasts)
        finally:
            if storming.returncode is None:
                storming.kill()
        row.turns.append(Turn(before, during, memory, busy))
        await self._talk(SETTLING)

    async def _talk(self, seconds: float) -> list[float]:
        return await talk(self._socket, seconds, self._pause)


async def measure(row: Row, site: Site, lengths: Sequence[tuple[float, float]], *, pause: float, firm: bool) -> None:
    """One kind against a gateway of its own: for each of `lengths` so many seconds of flood and of calm."""
    gateway = Doorward(site, tls=ATTACKS[row.kind].tls)
    gateway.start()
    try:
        if firm:
            for pid in gateway.pids():
                put_first(pid, _ATTACK)
        now = int(time.time())
        wanted = [
            opening(gateway.url, token=mint(site.secret, subject=f"user-{n}", serial=n, now=now))
            for n in range(IDLE + 1)
        ]
        sockets = await open_all(gateway.url, wanted)
        try:
            watched = Watched(gateway, sockets[0], pause=pause, firm=firm)
            await talk(sockets[0], 0.5, pause)
            for seconds, calm in lengths:
                await watched.turn(row, seconds=seconds, calm=calm)
        finally:
            await leave_all(sockets)
    finally:
        gateway.stop()


# ---- the report ------------------------------------------------------------------------------------------------------


def _time(trips: Sequence[list[float]], share: float) -> str:
    return f"{statistics.median(sorted(each)[int(len(each) * share)] for each in trips) * 1e6:.0f} µs"


def _answer(*, within: bool) -> str:
    return "yes" if within else "**no**"


def _line(row: Row) -> str:
    calm, flood = [turn.calm for turn in row.turns], [turn.flood for turn in row.turns]
    ratios = sorted(turn.ratio for turn in row.turns)
    memory = [octets / _MIB for turn in row.turns for _, octets in turn.memory]
    cells = [
        row.kind + (", long" if row.long else ""),
        f"{statistics.median(row.ended):.0f}",
        f"{statistics.median(turn.busy for turn in row.turns):.0%}",
        _time(calm, 0.5),
        _time(flood, 0.5),
        f"{row.ratio:.2f} ({ratios[0]:.2f}–{ratios[-1]:.2f})",
        _answer(within=row.ratio <= BOUND),
        _time(calm, 0.99),
        _time(flood, 0.99),
        f"{memory[0]:.1f}, {max(memory):.1f}, {memory[-1]:.1f} MiB",
    ]
    slope = row.turns[0].slope * 60 / _MIB
    cells += [f"{slope:+.2f} MiB", _answer(within=slope <= FLAT)] if row.long else ["–", "–"]
    return "| " + " | ".join(cells) + " |"


def table(rows: Sequence[Row]) -> str:
    names = "flood, ended/s, core, median calm, in flood, ratio, ≤ 2, p99 calm, in flood, memory, a minute, flat"
    return "\n".join(["| " + " | ".join(names.split(", ")) + " |", "|" + " --- |" * 12, *(_line(row) for row in rows)])


def report(rows: Sequence[Row], *, firm: bool) -> str:
    kinds = dict.fromkeys(row.kind for row in rows)
    says = "\n".join(f"- **{kind}**: {ATTACKS[kind].says}" for kind in kinds)
    others = " Gateway and attackers went before all other processes of a busy machine." if firm else ""
    return f"""# What a flood of refused handshakes costs who is in already

Made by `make flood`, on a machine with {len(os.sched_getaffinity(os.getppid()))} cores: the gateway has one, all else
the other.{others} *ended/s*: attackers that the gateway was done with; *core*: how much of its core it used; *median*:
of the round trips of 128 bytes on one live connection; *ratio*: median of the turns' own (lowest–highest); *memory*: of
the gateway (RSS), at the flood's begin, at most, at its end; *a minute*: its growth in the second half of a long flood,
called flat up to {FLAT:.0f} MiB.

{table(rows)}

{says}
"""


# ---- the run ---------------------------------------------------------------------------------------------------------


def put_first(pid: int, priority: int) -> None:
    """Before all that has no real-time priority, with all its threads. Children don't inherit it."""
    with suppress(PermissionError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            os.sched_setscheduler(int(thread), os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(priority))
        return
    print("without real-time priority what else there is on a core weighs on the figures", file=sys.stderr)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says."""

    kinds: list[str]
    long: list[str]
    seconds: float
    minutes: float
    turns: int
    busy: bool
    firm: bool
    publish: bool

    def plan(self) -> list[tuple[Row, list[tuple[float, float]]]]:
        short = [(self.seconds, self.seconds / 2)] * self.turns
        rows = [(Row(kind), short) for kind in self.kinds]
        return rows + [(Row(kind, long=True), [(self.minutes * 60, 5.0)]) for kind in self.long]


async def run(asked: Asked) -> list[Row]:
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="doorward-flood-") as name:
        folder = Path(name)
        port = free_port()
        backend = Process(
            [sys.executable, "-P", _HERE / "backend.py", str(port)], folder=folder, name="backend", core=CORE_OF_LOAD
        )
        try:
            backend.wait_listening(port, seconds=15)
            # who measures is never kept waiting by the load on the same core: what is seen is the gateway's doing
            put_first(backend.pid, _WATCH)
            site = Site(folder, port, base64url(secrets.token_bytes(32)).encode(), certificate.make(folder))
            for row, lengths in asked.plan():
                await measure(row, site, lengths, pause=0 if asked.busy else PAUSE, firm=asked.firm)
                rows.append(row)
                print(_line(row), file=sys.stderr)
                if row.long:
                    print([(round(at), round(octets / _MIB, 1)) for at, octets in row.turns[0].memory], file=sys.stderr)
        finally:
            backend.stop()
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.flood", description=__doc__.splitlines()[0])
    kinds = ", ".join(ATTACKS)
    parser.add_argument("--kinds", default="; ".join(ATTACKS), help=f"separated by semicolons: {kinds}")
    parser.add_argument("--long", default="bad tokens; TLS hellos", help="those that are flooded for long as well")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each flood")
    parser.add_argument("--minutes", type=float, default=2.0, help="of each long flood")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--publish", action="store_true", help="also write bench/flood.md, to be committed")
    parser.add_argument("--busy", action="store_true", help="the watched one talks without a pause")
    parser.add_argument("--firm", action="store_true", help="gateway and attackers before all else: on a busy machine")
    said = vars(parser.parse_args())
    lists = {name: [kind for kind in map(str.strip, said.pop(name).split(";")) if kind] for name in ("kinds", "long")}
    asked = Asked(**lists, **said)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, _FILES)), hard))
    os.sched_setaffinity(0, {CORE_OF_LOAD})
    put_first(os.getpid(), _WATCH)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        rows = runner.run(run(asked))
    text = report(rows, firm=asked.firm)
    print(text)
    if asked.publish:
        (_HERE / "flood.md").write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
