"""Processes that a study starts beside its peer: silent crowds, more backends, the heartbeat. All end with it."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from bench.load import Url, opening
from bench.peers import Site
from bench.phases import Load
from bench.processes import CORE_OF_LOAD, BenchError, Process, free_port

_HERE: Final = Path(__file__).parents[1]
_ROOT: Final = _HERE.parent
_LOOK_EVERY: Final = 0.05


class Companions:
    """What was started, to be ended: `async with` is not needed, `stop` in a finally is."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._processes: list[Process] = []
        self._files: list[Path] = []

    def backends(self, count: int, *, urgent: bool = False) -> tuple[int, ...]:
        """Ports of `count` more echo backends."""
        ports = tuple(free_port() for _ in range(count))
        for number, port in enumerate(ports):
            process = self._start(
                [sys.executable, "-P", _HERE / "backend.py", str(port)], name=f"backend-{number}", urgent=urgent
            )
            process.wait_listening(port, seconds=10)
        return ports

    async def crowd(self, load: Load, url: Url, parts: Sequence[tuple[str, int]], *, seconds: float) -> float:
        """Open every (path, count), each from a process of its own, all at once. Returns seconds from first to last."""
        orders = []
        for number, (path, count) in enumerate(parts):
            order = self._file(f"crowd-{number}.json")
            wanted = {
                "port": url.port,
                "path": path,
                "count": count,
                "first": load.serials(count),
                "now": int(time.time()),
                "secret": self._site.secret.decode(),
            }
            order.write_text(json.dumps(wanted))
            self._start([sys.executable, "-m", "bench.crowd", order], name=f"crowd-{number}")
            orders.append(order)
        said = [await self._file_of(order.with_suffix(".opened"), seconds=seconds) for order in orders]
        return max(each["ended"] for each in said) - min(each["began"] for each in said)

    def alive(self) -> int:
        """End the crowds. How many connections were still open."""
        orders = [path for path in self._files if path.name.startswith("crowd-")]
        for process in self._processes:
            if process.name.startswith("crowd-"):
                process.terminate()
        for process in self._processes:
            if process.name.startswith("crowd-"):
                process.stop(seconds=30)
        return sum(json.loads(order.with_suffix(".left").read_text())["alive"] for order in orders)

    async def heartbeat(self, url: Url, *, token: str) -> "Heartbeat":
        """Start it, and wait until it beats."""
        order, out = self._file("heartbeat.request"), self._file("heartbeat.json")
        order.write_bytes(opening(url, token=token).request)
        process = self._start(
            [sys.executable, "-m", "bench.heartbeat", str(url.port), order, out], name="heartbeat", urgent=True
        )
        await self._until(out.with_suffix(".ready").exists, seconds=10, what="the heartbeat")
        return Heartbeat(process, out)

    def stop(self) -> None:
        """End all that still runs."""
        for process in self._processes:
            process.stop()
        for path in self._files:
            for each in path.parent.glob(f"{path.stem}.*"):
                each.unlink(missing_ok=True)

    def _start(self, command: Sequence[str | Path], *, name: str, urgent: bool = False) -> Process:
        process = Process(
            command,
            folder=self._site.folder,
            name=name,
            core=CORE_OF_LOAD,
            environment={**os.environ, "PYTHONPATH": str(_ROOT)},
            urgent=urgent,
        )
        self._processes.append(process)
        return process

    def _file(self, name: str) -> Path:
        path = self._site.folder / name
        path.touch(mode=0o600)
        self._files.append(path)
        return path

    async def _file_of(self, path: Path, *, seconds: float) -> dict[str, float]:
        await self._until(path.exists, seconds=seconds, what="a crowd")
        said: dict[str, float] = json.loads(path.read_text())
        return said

    async def _until(self, there: Callable[[], bool], *, seconds: float, what: str) -> None:
        deadline = time.monotonic() + seconds
        while not there():
            ended = next((process for process in self._processes if not process.running()), None)
            if ended is not None:
                raise BenchError(f"{ended.name} ended: {ended.stderr_tail()}")
            if time.monotonic() > deadline:
                raise BenchError(f"{what} was not there after {seconds:.0f} s")
            await asyncio.sleep(_LOOK_EVERY)


class Heartbeat:
    """A running heartbeat."""

    def __init__(self, process: Process, out: Path) -> None:
        self._process = process
        self._out = out

    def read(self) -> list[tuple[float, float]]:
        """End it: (when it asked in CLOCK_MONOTONIC, seconds until the pong). Raises BenchError where it had ended."""
        if not self._process.running():
            raise BenchError(f"the heartbeat ended: {self._process.stderr_tail()}")
        self._process.stop()
        return [(float(when), float(took)) for when, took in json.loads(self._out.read_text())]
