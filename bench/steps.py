"""`python -m bench.steps`: where the CPU of a handshake goes, step by step, as a table.

The stopwatch itself costs some of it (bench/stepped.py), and its own share is taken off; so the sum is what a handshake
costs, within some per cent, and the shares are what to look at. The whole figures are `python -m bench`'s.
"""

import argparse
import asyncio
import os
import secrets
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import uvloop

from bench import certificate
from bench.load import Opening, leave_all, open_all, opening, refuse_all
from bench.peers.base import Site
from bench.peers.doorward import ROOT, Doorward, buy_ticket
from bench.phases import Load
from bench.processes import CORE_OF_LOAD, Process, free_port
from bench.tokens import base64url

KINDS: Final = ("token", "ticket", "refused")
WARM_UP: Final = 200
TOTAL: Final = "total"


class Stepped(Doorward):
    """Doorward behind the stopwatch."""

    def command(self) -> list[str | Path]:
        doorward, *arguments = super().command()
        return [Path(doorward).with_name("python"), ROOT / "bench/stepped.py", self.times, *arguments]

    @property
    def times(self) -> Path:
        return self.folder / "times"

    def threads(self) -> dict[str, int]:
        """Nanoseconds so far of the threads that are not the loop's."""
        (pid,) = self.pids()
        tasks = Path(f"/proc/{pid}/task")
        return {
            task.name: int((task / "schedstat").read_text().split()[0])
            for task in tasks.iterdir()
            if task.name != str(pid)
        }

    async def signalled(self, number: signal.Signals) -> None:
        (pid,) = self.pids()
        os.kill(pid, number)
        await asyncio.sleep(0.2)


async def measured(peer: Stepped, load: Load, kind: str, count: int) -> dict[str, float]:
    """Microseconds of CPU a handshake by name: the stopwatch's, and the other threads together."""
    url = peer.url
    await leave_all(await open_all(url, load.openings(url, WARM_UP)))
    wanted: list[Opening] = load.openings(url, count, genuine=kind != "refused")
    if kind == "ticket":
        wanted = [opening(url, ticket=await buy_ticket(url, token=load.token())) for _ in range(count)]
    await asyncio.sleep(0.5)
    before = peer.threads()
    await peer.signalled(signal.SIGUSR1)
    if kind == "refused":
        await refuse_all(url, wanted)
        sockets = []
    else:
        sockets = await open_all(url, wanted)
    await asyncio.sleep(0.3)
    await peer.signalled(signal.SIGUSR2)
    after = peer.threads()
    await leave_all(sockets)
    found: dict[str, float] = {}
    for line in peer.times.read_text().splitlines():
        spent, _, name = line.split(" ", 2)
        found[name] = int(spent) / count / 1e3
    del found[TOTAL]  # it holds what the stopwatch cost
    found["audit and store: their threads"] = sum(after[task] - before.get(task, 0) for task in after) / count / 1e3
    return found


def table(columns: dict[str, dict[str, float]]) -> str:
    """Markdown: µs and share of each name, one pair of columns a kind."""
    names = sorted({name for column in columns.values() for name in column}, key=_place)
    sums = {kind: sum(column.values()) for kind, column in columns.items()}
    lines = [
        "| step or layer | " + " | ".join(f"{kind}, µs | share" for kind in columns) + " |",
        "| --- |" + " ---: | ---: |" * len(columns),
    ]
    for name in [*names, "all"]:
        cells = []
        for kind, column in columns.items():
            spent = sums[kind] if name == "all" else column.get(name)
            cells += ["–", "–"] if spent is None else [f"{spent:.1f}", f"{spent / sums[kind]:.1%}"]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _place(name: str) -> tuple[int, str]:
    number = name.partition(" ")[0].partition("-")[0]
    return (int(number) if number.isdecimal() else 99, name)


async def run(folder: Path, *, count: int, rounds: int, kinds: tuple[str, ...]) -> dict[str, dict[str, float]]:
    port = free_port()
    backend = Process(
        [sys.executable, "-P", Path(__file__).parent / "backend.py", str(port)],
        folder=folder,
        name="backend",
        core=CORE_OF_LOAD,
    )
    site = Site(folder, port, base64url(secrets.token_bytes(32)).encode(), certificate.make(folder))
    load = Load(site.secret, factor=1.0, now=int(time.time()))
    peer = Stepped(site, tls=False)
    try:
        backend.wait_listening(port, seconds=10)
        peer.start()
        taken: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
        for _ in range(rounds):
            for kind in kinds:
                taken[kind].append(await measured(peer, load, kind, count))
        # a busy machine only adds: the cheapest round is the truest
        return {kind: min(samples, key=lambda each: sum(each.values())) for kind, samples in taken.items()}
    finally:
        peer.stop()
        backend.stop()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.steps", description=__doc__)
    parser.add_argument("--count", type=int, default=600, help="handshakes a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--kinds", default=",".join(KINDS), help=", ".join(KINDS))
    parser.add_argument("--publish", type=Path, default=None, metavar="FILE", help="write the table here, too")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="doorward-steps-") as folder:
        work = run(Path(folder), count=asked.count, rounds=asked.rounds, kinds=tuple(asked.kinds.split(",")))
        shown = table(uvloop.run(work))
    print(shown)
    if asked.publish is not None:
        asked.publish.write_text(shown + "\n")


if __name__ == "__main__":
    main()
