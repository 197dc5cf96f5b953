"""One run: the peers side by side, round by round, so that a noisy minute falls on all of them."""

import asyncio
import gc
import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench import certificate
from bench.load import exchanges, opened, opening, play_all, refuse_all
from bench.peers import PEERS, Peer, Site
from bench.peers.direct import Direct
from bench.phases import Load, Sample
from bench.processes import CORE_OF_LOAD, BenchError, Process, free_port
from bench.rows import SUBJECT, Row
from bench.studies import Finding, Ground, Study
from bench.tokens import base64url

_ROOT: Final = Path(__file__).parents[1]
_FAULTS: Final = (BenchError, OSError, TimeoutError)


@dataclass(slots=True)
class Cell:
    """The samples of one row and one peer; or why there are none."""

    samples: list[Sample] = field(default_factory=list)
    absent: str | None = None
    """The peer has nothing of the kind."""

    fault: str | None = None
    """It should have, and the figure could not be taken."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure: rows of which peers, studies, at which size, and until when (seconds from the start)."""

    rows: tuple[Row, ...]
    studies: tuple[Study, ...]
    peers: tuple[str, ...]
    factor: float
    rounds: int | None
    budget: float


@dataclass(slots=True)
class Outcome:
    """What a study found, or why it found nothing."""

    finding: Finding | None = None
    fault: str | None = None


@dataclass(slots=True)
class Results:
    """All that was found so far: rows by name and peer, studies by name."""

    cells: dict[str, dict[str, Cell]] = field(default_factory=dict)
    outcomes: dict[str, Outcome] = field(default_factory=dict)


class Run:
    """The running backend and peers of one run."""

    def __init__(self, plan: Plan, folder: Path, *, kept: Callable[[Results], object]) -> None:
        """`kept` is told all results so far whenever there are more: what happens later loses none of them."""
        self._plan = plan
        self._kept = kept
        self.results = Results()
        self._folder = folder
        self._deadline = time.monotonic() + plan.budget
        self._peers: dict[str, Peer] = {}
        self._faults: dict[str, str] = {}

    async def measure(self) -> None:
        """Take every sample of the plan. What can't be taken leaves its fault in its place."""
        port = free_port()
        backend = Process(
            [sys.executable, "-P", Path(__file__).parent / "backend.py", str(port)],
            folder=self._folder,
            name="backend",
            core=CORE_OF_LOAD,
        )
        try:
            backend.wait_listening(port, seconds=10)
            # Text, for a secret file may be read as a line.
            secret = base64url(secrets.token_bytes(32)).encode()
            self._site = Site(self._folder, port, secret, certificate.make(self._folder))
            self._load = Load(secret, factor=self._plan.factor, now=int(time.time()))
            for row in self._plan.rows:
                await self._row(row)
            self._stop_peers()
            for study in self._plan.studies:
                await self._study(study)
        finally:
            self._stop_peers()
            backend.stop()

    def _stop_peers(self) -> None:
        for peer in self._peers.values():
            peer.stop()
        self._peers.clear()

    async def _study(self, study: Study) -> None:
        left = self._deadline - time.monotonic()
        outcome = self.results.outcomes[study.name] = Outcome(fault="stopped before its end")
        if left <= 0:
            outcome.fault = f"no time left of {self._plan.budget:.0f} s"
        else:
            gc.collect()
            try:
                async with asyncio.timeout(left):
                    outcome.finding = await study(Ground(self._site, self._load))
                outcome.fault = None
            except _FAULTS as error:
                outcome.fault = _told(error, None)
            except Exception as error:  # noqa: BLE001 - as above
                outcome.fault = f"the bench failed: {error!r}"
        found = outcome.finding.figures if outcome.finding else {}
        said = outcome.fault or ", ".join(f"{key} {value:.2f}" for key, value in found.items())
        print(f"{study.name}: {said}", file=sys.stderr, flush=True)
        self._kept(self.results)

    async def _row(self, row: Row) -> None:
        names = takers(row, self._plan.peers)
        cells = {name: Cell(absent=row.lacks(PEERS[name])) for name in names}
        self.results.cells[row.name] = cells
        rounds = row.rounds if self._plan.rounds is None else min(row.rounds, self._plan.rounds)
        for turn in range(rounds):
            # Another peer begins each round: none always follows the same neighbour.
            order = [*names[turn % len(names) :], *names[: turn % len(names)]] if names else []
            for name in order:
                cell = cells[name]
                if cell.absent is None and cell.fault is None:
                    await self._sample(row, name, cell)
        _say(row, cells)
        self._kept(self.results)

    async def _sample(self, row: Row, name: str, cell: Cell) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            cell.fault = f"no time left of {self._plan.budget:.0f} s"
            return
        peer: Peer | None = None
        gc.collect()
        try:
            async with asyncio.timeout(left):
                peer = await (self._started(name, tls=row.tls) if row.fresh else self._standing(name))
                cell.samples.append(await row.phase(peer, self._load))
        except _FAULTS as error:
            cell.fault = _told(error, peer)
        except Exception as error:  # noqa: BLE001 - a fault of the bench's own: it costs one figure, not the run
            cell.fault = f"the bench failed: {error!r}"
        finally:
            if row.fresh and peer is not None:
                peer.stop()

    async def _standing(self, name: str) -> Peer:
        """The peer that serves all rows that need no fresh one; started again if it has ended, once it did start."""
        if name in self._faults:
            raise BenchError(self._faults[name])
        peer = self._peers.get(name)
        if peer is not None and peer.obituary() is None:
            return peer
        try:
            self._peers[name] = peer = await self._started(name, tls=False)
        except _FAULTS as error:
            self._faults[name] = _told(error, None)
            raise
        return peer

    async def _started(self, name: str, *, tls: bool) -> Peer:
        peer = PEERS[name](self._site, tls=tls)
        try:
            peer.start()
            await self._try_out(peer)
        except _FAULTS as error:
            text = _told(error, peer)
            peer.stop()
            raise BenchError(text if "could not start" in text else f"could not be used: {text}") from error
        except BaseException:
            peer.stop()
            raise
        return peer

    async def _try_out(self, peer: Peer) -> None:
        """One echo with a token; and where the peer authenticates, no way in without one or with a forged one."""
        url = peer.url
        async with opened(url, self._load.openings(url, 1)) as sockets:
            await play_all(sockets, [iter(exchanges(128, seed=1))])
        if peer.authenticates:
            await refuse_all(url, [opening(url), *self._load.openings(url, 1, genuine=False)])


def takers(row: Row, peers: Sequence[str]) -> list[str]:
    """Which of the wanted peers take part in a row; the bare backend may stand beside any gateway."""
    return [name for name in peers if name in row.peers or (name == Direct.name and row.subject == SUBJECT)]


def _told(error: BaseException, peer: Peer | None) -> str:
    """A fault in one line, with the last words of a peer that has ended."""
    match error:
        case BenchError():
            text = str(error)
        case TimeoutError():
            text = "a time limit passed"
        case _:
            text = f"{type(error).__name__}: {error}"
    last = None if peer is None else peer.obituary()
    told = text if last is None or last in text else f"{text}; it ended, saying: {last}"
    # A report may be published: where it was made is nobody's business.
    return told.replace(str(_ROOT), ".").replace(tempfile.gettempdir(), "…")


def _say(row: Row, cells: dict[str, Cell]) -> None:
    """Progress, one line a row, on standard error."""
    parts: Sequence[str] = [
        f"{name} {cell.absent or (cell.fault or '')[:160] or '/'.join(f'{each.value:.1f}' for each in cell.samples)}"
        for name, cell in cells.items()
    ]
    print(f"{row.name} ({row.unit}): {'; '.join(parts)}", file=sys.stderr, flush=True)
