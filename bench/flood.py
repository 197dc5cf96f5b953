"""What a flood of refused handshakes costs who is in already: `make flood`, four minutes, loopback alone.

For each kind of flood the gateway runs afresh, alone on one core; attackers (bench/storm.py), backend and the watched
connection share the other, the attackers with a lower priority. One connection sends 128 bytes and waits for them, a
hundred others are idle: its median round trip before, during and after, the gateway's memory, and how many attackers
it dealt with. It fails where a figure is missing or an echo is wrong, never for a slow one.
"""

import argparse
import asyncio
import itertools
import json
import os
import resource
import secrets
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvloop

from bench import certificate
from bench.load import Exchange, Socket, exchanges, leave_all, open_all, opening
from bench.peers.base import Site
from bench.peers.doorward import Doorward
from bench.processes import CORE_OF_LOAD, BenchError, Process, cpu, free_port, memory
from bench.storm import ATTACKS
from bench.tokens import base64url, mint

IDLE: Final = 100
SIZE: Final = 128
PAUSE: Final = 0.002
"""Seconds between an echo and the next message: one who talks, and is no load himself."""

QUIET_SECONDS: Final = 2.0
_FILES: Final = 8192
_HERE: Final = Path(__file__).resolve().parent


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
            await asyncio.sleep(pause)
    return trips


@dataclass(frozen=True, slots=True)
class Row:
    """Seconds, bytes, and attackers a second. Memory is what the gateway has, in proportion (PSS)."""

    kind: str
    before: list[float]
    during: list[float]
    after: list[float]
    memory: tuple[int, ...]
    busy: float
    ended: float

    def joined(self, other: "Row") -> "Row":
        """Two rounds of one kind as one."""
        return Row(
            self.kind,
            self.before + other.before,
            self.during + other.during,
            self.after + other.after,
            tuple(max(pair) for pair in zip(self.memory, other.memory, strict=True)),
            max(self.busy, other.busy),
            (self.ended + other.ended) / 2,
        )

    @property
    def ratio(self) -> float:
        return statistics.median(self.during) / statistics.median(self.before)


def _highest(figures: list[int]) -> int:
    return max(figures)


async def measure(kind: str, site: Site, *, seconds: float, pause: float) -> Row:
    """One kind against a gateway of its own."""
    gateway = Doorward(site, tls=False)
    gateway.start()
    try:
        now = int(time.time())
        wanted = [
            opening(gateway.url, token=mint(site.secret, subject=f"user-{n}", serial=n, now=now))
            for n in range(IDLE + 1)
        ]
        sockets = await open_all(gateway.url, wanted)
        try:
            await talk(sockets[0], 0.5, pause)
            at_first = memory(gateway.pids())
            before = await talk(sockets[0], seconds, pause)
            storming = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "bench.storm", kind, str(gateway.port), str(seconds + 1.5),
                cwd=_HERE.parent, env={**os.environ, "PYTHONPATH": "."}, stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            try:
                assert storming.stdout is not None
                async with asyncio.timeout(20):
                    await storming.stdout.readline()
                await talk(sockets[0], 0.5, pause)
                talking = asyncio.ensure_future(talk(sockets[0], seconds, pause))
                figures = []
                begun, used = time.monotonic(), cpu(gateway.pids())
                while not talking.done():
                    figures.append(memory(gateway.pids()))
                    await asyncio.wait({talking}, timeout=seconds / 4)
                during = talking.result()
                busy = cpu(gateway.pids()).since(used) / (time.monotonic() - begun)
                ended = json.loads((await asyncio.wait_for(storming.communicate(), 30))[0])
            finally:
                if storming.returncode is None:
                    storming.kill()
            await talk(sockets[0], QUIET_SECONDS, pause)
            after = await talk(sockets[0], QUIET_SECONDS, pause)
            memories = (at_first, _highest(figures), memory(gateway.pids()))
        finally:
            await leave_all(sockets)
        return Row(kind, before, during, after, memories, busy, ended / (seconds + 1.5))
    finally:
        gateway.stop()


# ---- the report ------------------------------------------------------------------------------------------------------


def table(rows: list[Row]) -> str:
    lines = [
        "| flood | ended/s | core | median | during | after | ratio | p99 before | during | memory | during | after |",
        "|" + " --- |" * 12,
    ]
    for row in rows:
        median = [f"{statistics.median(trips) * 1e6:.0f} µs" for trips in (row.before, row.during, row.after)]
        late = [f"{sorted(trips)[int(len(trips) * 0.99)] * 1e6:.0f} µs" for trips in (row.before, row.during)]
        mib = [f"{octets / 2**20:.1f} MiB" for octets in row.memory]
        lines.append(
            "| "
            + " | ".join(
                [row.kind, f"{row.ended:.0f}", f"{row.busy:.0%}", *median, f"**{row.ratio:.2f}**", *late, *mib]
            )
            + " |"
        )
    return "\n".join(lines)


def _first(pid: int) -> None:
    """Who measures is never kept waiting by the load on the same core: what is seen is then the gateway's doing."""
    try:
        os.sched_setscheduler(pid, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(2))
    except PermissionError:
        print("without real-time priority the load's own core weighs on the figures", file=sys.stderr)


def report(rows: list[Row]) -> str:
    says = "\n".join(f"- **{row.kind}**: {ATTACKS[row.kind].says}" for row in rows)
    return f"""# What a flood of refused handshakes costs who is in already

Made by `make flood`, on a machine with {len(os.sched_getaffinity(os.getppid()))} cores: the gateway has one, all else
the other. *ended/s*: attackers that the gateway was done with; *core*: how much of its core it used; *median*: of the
round trips of 128 bytes on one live connection; *memory*: of the gateway, in proportion (PSS), *after* is two seconds
after the flood. The target is a ratio of at most 2.

{table(rows)}

{says}
"""


async def run(kinds: list[str], *, seconds: float, pause: float, rounds: int) -> list[Row]:
    rows: dict[str, Row] = {}
    with tempfile.TemporaryDirectory(prefix="doorward-flood-") as name:
        folder = Path(name)
        port = free_port()
        backend = Process(
            [sys.executable, "-P", _HERE / "backend.py", str(port)], folder=folder, name="backend", core=CORE_OF_LOAD
        )
        try:
            backend.wait_listening(port, seconds=15)
            _first(backend.pid)
            site = Site(folder, port, base64url(secrets.token_bytes(32)).encode(), certificate.make(folder))
            for _ in range(rounds):
                for kind in kinds:
                    row = await measure(kind, site, seconds=seconds, pause=pause)
                    print(table([row]).splitlines()[-1], file=sys.stderr)
                    rows[kind] = row if kind not in rows else rows[kind].joined(row)
        finally:
            backend.stop()
    return list(rows.values())


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.flood", description=__doc__.splitlines()[0])
    parser.add_argument("--kinds", default=",".join(ATTACKS), help=", ".join(ATTACKS))
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--publish", action="store_true", help="also write bench/flood.md, to be committed")
    parser.add_argument("--busy", action="store_true", help="the watched one talks without a pause")
    asked = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, _FILES)), hard))
    os.sched_setaffinity(0, {CORE_OF_LOAD})
    _first(0)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        rows = runner.run(
            run(asked.kinds.split(","), seconds=asked.seconds, pause=0 if asked.busy else PAUSE, rounds=asked.rounds)
        )
    text = report(rows)
    print(text)
    if asked.publish:
        (_HERE / "flood.md").write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
