"""A scrape shows the whole node: living workers' numbers and dead ones' counts, whoever is asked."""

import asyncio
import json
import stat
from pathlib import Path

import pytest

from doorward.adapters.metrics import Meters, Node
from doorward.adapters.metrics.node import ALIVE
from doorward.testing import FakeClock
from doorward.values.audit import AuditEvent, EventKind, Outcome

ROUTE = "/chat"


class Worker:
    def __init__(self, folder: Path | None, number: int, clock: FakeClock) -> None:
        self.open = 0
        self.reports: list[str] = []
        self.meters = Meters(connections=lambda: {ROUTE: self.open})
        self.node = Node(self.meters.registry, folder=folder, worker=number, clock=clock, report=self.reports.append)

    def admit(self, times: int) -> None:
        admitted = AuditEvent(kind=EventKind.HANDSHAKE, outcome=Outcome.ALLOWED, route=ROUTE, duration=0.002)
        self.meters.write([admitted] * times)
        self.open += times

    def leave(self) -> "Worker":
        self.node.publish()
        return self

    @property
    def samples(self) -> dict[str, float]:
        lines = [line for line in self.node.text().decode().splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    @property
    def handshakes(self) -> float:
        return self.samples['doorward_handshakes_total{outcome="allowed",reason="",route="/chat"}']

    @property
    def connections(self) -> float:
        return self.samples['doorward_connections{route="/chat"}']


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def test_a_node_of_one_worker_needs_no_folder(clock: FakeClock) -> None:
    worker = Worker(None, 1, clock)
    worker.admit(2)
    worker.leave()
    assert (worker.handshakes, worker.connections) == (2, 2)
    assert worker.samples["doorward_handshake_seconds_count"] == 2
    assert not [name for name in worker.samples if "_created" in name]


def test_whoever_is_asked_adds_all_up(tmp_path: Path, clock: FakeClock) -> None:
    workers = [Worker(tmp_path, number, clock) for number in (1, 2, 3)]
    for times, worker in enumerate(workers, start=1):
        worker.admit(times)
        worker.leave()
    for worker in workers:
        assert (worker.handshakes, worker.connections) == (6, 6)
        assert worker.samples["doorward_handshake_seconds_count"] == 6
        assert worker.samples['doorward_handshake_seconds_bucket{le="0.0025"}'] == 6


def test_what_is_asked_of_itself_is_newest(tmp_path: Path, clock: FakeClock) -> None:
    worker = Worker(tmp_path, 1, clock).leave()
    worker.admit(5)
    assert worker.handshakes == 5


def test_a_dead_worker_has_counted_what_it_has_counted_and_has_no_connections(tmp_path: Path, clock: FakeClock) -> None:
    living, dead = Worker(tmp_path, 1, clock), Worker(tmp_path, 2, clock)
    living.admit(1)
    dead.admit(10)
    dead.leave()
    clock.advance(ALIVE)
    assert (living.handshakes, living.connections) == (11, 1)


def test_a_worker_that_is_started_anew_goes_on_counting(tmp_path: Path, clock: FakeClock) -> None:
    """No counter of the node ever falls, or Prometheus would take it for a reset."""
    asked = Worker(tmp_path, 1, clock)
    for total in (10, 20, 30):
        worker = Worker(tmp_path, 2, clock)
        worker.admit(10)
        worker.leave()
        assert worker.handshakes == total
    assert (asked.handshakes, asked.connections) == (30, 10)
    assert len(list(tmp_path.iterdir())) == 1


def test_the_files_are_ours_alone(tmp_path: Path, clock: FakeClock) -> None:
    Worker(tmp_path, 1, clock).leave()
    assert stat.S_IMODE((tmp_path / "1.json").stat().st_mode) == 0o600
    assert json.loads((tmp_path / "1.json").read_text())["at"] == clock.now()


async def test_publishing_fails_aloud_once_and_goes_on(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("doorward.adapters.metrics.node.EVERY", 0.001)
    folder = tmp_path / "run"
    reports: asyncio.Queue[str] = asyncio.Queue()
    registry = Meters(connections=dict).registry
    node = Node(registry, folder=folder, worker=1, clock=clock, report=reports.put_nowait)
    running = asyncio.create_task(node.run())
    assert "can't be left" in await reports.get()
    folder.mkdir()
    assert "are left for the others again" in await reports.get()
    running.cancel()
    assert (folder / "1.json").exists()


async def test_alone_nothing_is_published(clock: FakeClock) -> None:
    await Worker(None, 1, clock).node.run()


def test_counters_by_name_over_all_workers(tmp_path: Path, clock: FakeClock) -> None:
    first, second = Worker(tmp_path, 1, clock), Worker(tmp_path, 2, clock)
    first.admit(2)
    second.admit(3)
    second.leave()
    refused = AuditEvent(kind=EventKind.HANDSHAKE, outcome=Outcome.REFUSED, route=ROUTE, reason="permission")
    first.meters.write([refused])
    counts = first.node.counts("doorward_handshakes_total", "doorward_closes_total")
    assert counts == {
        "doorward_handshakes_total": {(ROUTE, "allowed", ""): 5.0, (ROUTE, "refused", "permission"): 1.0},
        "doorward_closes_total": {},
    }
