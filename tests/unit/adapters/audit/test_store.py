"""The store's sink: every event with its line, in order, kept while the store is away, and losing is said."""

import asyncio
import json
from collections.abc import Sequence

import pytest

from doorward.adapters.audit.floods import Floods
from doorward.adapters.audit.store import BATCH, StoreLines
from doorward.ports import KeptError, RefusedError, StoreError
from doorward.service.events import Events
from doorward.testing import FakeClock
from doorward.values.audit import AuditEvent, EventKind, Outcome
from tests.unit.adapters.audit.making import event


class FakeAuditStore:
    def __init__(self) -> None:
        self.stored: list[tuple[AuditEvent, str]] = []
        self.batches: list[int] = []
        self.fails: Exception | None = None
        self.tried = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def append(self, lines: Sequence[tuple[AuditEvent, str]]) -> None:
        await self.gate.wait()
        self.tried.set()
        if self.fails is not None:
            raise self.fails
        self.batches.append(len(lines))
        self.stored.extend(lines)

    async def query(self, **_: object) -> Sequence[tuple[int, str]]:
        return ()

    async def latest(self, **_: object) -> Sequence[tuple[int, str]]:
        return ()

    async def newest(self) -> int:
        return len(self.stored)


class Faults(list):
    def __call__(self, where: str, error: BaseException) -> None:
        self.append(error)


def lines(store: FakeAuditStore, **more: float) -> StoreLines:
    return StoreLines(store, fault=Faults(), **{"retry": 0.001, **more})  # type: ignore[arg-type]


async def test_every_event_with_its_line_in_order_and_in_batches() -> None:
    store = FakeAuditStore()
    sink = lines(store)
    sink.write([event(sequence) for sequence in range(100)])
    sink.write([event(sequence) for sequence in range(100, 150)])
    assert await sink.finish(within=5) == 0
    assert [kept.sequence for kept, _ in store.stored] == list(range(150))
    assert all(json.loads(line)["sequence"] == kept.sequence for kept, line in store.stored)
    assert max(store.batches) == BATCH
    sink.close()


async def away(sink: StoreLines, store: FakeAuditStore) -> None:
    store.fails = StoreError("away")
    store.tried.clear()
    sink.write([event(1)])
    await store.tried.wait()
    await asyncio.sleep(0)


async def test_a_store_that_is_away_loses_nothing_and_says_that_it_is_away() -> None:
    store = FakeAuditStore()
    sink = lines(store)
    await away(sink, store)
    for sequence in range(2, 200):
        with pytest.raises(KeptError, match="does not take the audit: away"):
            sink.write([event(sequence)])
    with pytest.raises(KeptError):
        sink.write([])
    store.fails = None
    assert await sink.finish(within=5) == 0
    sink.write([event(200)])
    assert await sink.finish(within=5) == 0
    assert [kept.sequence for kept, _ in store.stored] == list(range(1, 201))


async def test_what_is_emitted_while_the_store_is_away_is_in_it_afterwards_and_meanwhile_nobody_is_let_in() -> None:
    store, clock = FakeAuditStore(), FakeClock()
    sink = lines(store)
    events = Events(clock=clock, node="gw", worker=1, report=lambda _: None)
    events.subscribe(Floods(sink, clock=clock))
    await away(sink, store)
    for _ in range(3):
        events.emit(AuditEvent(kind=EventKind.REVOCATION, outcome=Outcome.DONE))
        events.flush()
        events.tick()
        assert events.losing
    store.fails = None
    assert await sink.finish(within=5) == 0
    events.tick()
    assert not events.losing
    kinds = [kept.kind for kept, _ in store.stored]
    assert kinds == [EventKind.HANDSHAKE, *[EventKind.REVOCATION] * 3]


async def test_beyond_its_bound_the_newest_are_lost_and_told_as_a_gap_of_the_store() -> None:
    store, clock = FakeAuditStore(), FakeClock()
    sink = lines(store, most=3)
    events = Events(clock=clock, node="gw", worker=1, report=lambda _: None)
    events.subscribe(Floods(sink, clock=clock), gap="events lost by the store")
    await away(sink, store)
    for _ in range(5):
        events.emit(AuditEvent(kind=EventKind.REVOCATION, outcome=Outcome.DONE))
        events.flush()
    store.fails = None
    assert await sink.finish(within=5) == 0
    events.tick()
    assert await sink.finish(within=5) == 0
    assert not events.losing
    *kept, gap = [kept for kept, _ in store.stored]
    assert [one.kind for one in kept] == [EventKind.HANDSHAKE, *[EventKind.REVOCATION] * 2]
    assert (gap.kind, gap.count, gap.detail) == (EventKind.GAP, 3, "events lost by the store")


async def test_what_waits_is_bounded_by_size_too() -> None:
    store = FakeAuditStore()
    store.gate.clear()
    sink = lines(store, most_bytes=10_000)
    sink.write([event(1)] * 5)
    with pytest.raises(BlockingIOError, match="5 audit events behind"):
        sink.write([event(2, detail="x" * 512)] * 5)
    store.gate.set()
    assert await sink.finish(within=5) == 0
    sink.write([event(2, detail="x" * 512)] * 5)
    assert await sink.finish(within=5) == 0


async def test_what_waits_is_bounded() -> None:
    store = FakeAuditStore()
    store.gate.clear()
    sink = lines(store, most=10)
    sink.write([event()] * 10)
    with pytest.raises(BlockingIOError, match="10 audit events behind"):
        sink.write([event()])
    store.gate.set()
    assert await sink.finish(within=5) == 0
    sink.write([event()])
    assert await sink.finish(within=5) == 0


async def test_a_bug_is_told_once_and_is_a_failing_sink() -> None:
    store, faults = FakeAuditStore(), Faults()
    store.fails = KeyError("bug")
    sink = StoreLines(store, fault=faults, retry=0.001)
    sink.write([event(1)])
    for _ in range(3):
        store.tried.clear()
        await store.tried.wait()
    assert len(faults) == 1
    with pytest.raises(KeptError):
        sink.write([event(2)])
    store.fails = None
    assert await sink.finish(within=5) == 0
    assert [kept.sequence for kept, _ in store.stored] == [1, 2]


class PickyAuditStore(FakeAuditStore):
    """Fails by `error` for whatever holds the event of sequence 70."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    async def append(self, lines: Sequence[tuple[AuditEvent, str]]) -> None:
        if any(event.sequence == 70 for event, _ in lines):
            raise self.error
        await super().append(lines)


@pytest.mark.parametrize(
    ("error", "told"),
    [(RefusedError("it can't hold this"), 1), (KeyError("bug"), 2)],  # a bug in its batch, and once more alone
    ids=["refused", "a bug"],
)
async def test_one_that_is_never_taken_is_given_up_alone_and_told(error: Exception, told: int) -> None:
    store, faults = PickyAuditStore(error), Faults()
    sink = StoreLines(store, fault=faults, retry=0.0)
    sink.write([event(sequence) for sequence in range(200)])
    assert await sink.finish(within=5) == 0
    assert [kept.sequence for kept, _ in store.stored] == [number for number in range(200) if number != 70]
    assert faults == [error] * told
    sink.write([event(200)])
    assert await sink.finish(within=5) == 0


async def test_finishing_does_not_wait_for_ever() -> None:
    store = FakeAuditStore()
    store.gate.clear()
    sink = lines(store)
    assert await sink.finish(within=0.01) == 0
    sink.write([event()] * 3)
    assert await sink.finish(within=0.01) == 3
    sink.close()


async def test_nothing_is_nothing() -> None:
    store = FakeAuditStore()
    sink = lines(store)
    sink.write([])
    assert await sink.finish(within=1) == 0
    assert store.batches == []
