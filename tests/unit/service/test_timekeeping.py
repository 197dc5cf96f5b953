"""The node asks the store what time it is: how often, what it does with a slow answer, and when it raises an alarm."""

import pytest

from doorward.adapters.stores.memory import MemoryStore
from doorward.adapters.system import SystemClock
from doorward.ports import StoreError
from doorward.service.timekeeping import FIRST, Timekeeper, set_by
from doorward.values.audit import AuditEvent, EventKind, Outcome

EPOCH = 1_790_000_000.0


class Shared(MemoryStore):
    """A store with a time of its own; each answer takes the next of `trips`, then the last of them."""

    def __init__(self, *trips: float) -> None:
        super().__init__()
        self.true = EPOCH
        self.trips = list(trips) or [0.002]
        self.asked = 0
        self.is_away = False

    async def time(self) -> float:  # type: ignore[override]
        self.asked += 1
        if self.is_away:
            raise StoreError("away")
        trip = self.trips.pop(0) if len(self.trips) > 1 else self.trips[0]
        self.true += trip
        return self.true - trip / 2


class Node:
    def __init__(self, store: MemoryStore, true, *, wrong: float = 0.0) -> None:
        self.wrong = wrong
        self.clock = SystemClock(wall=lambda: true() + self.wrong, ticks=lambda: true() - EPOCH)
        self.events: list[AuditEvent] = []
        self.notes: list[str] = []
        self.keeper = Timekeeper(store=store, clock=self.clock, emit=self.events.append, note=self.notes.append)


def node(store: Shared, *, wrong: float = 0.0) -> Node:
    return Node(store, lambda: store.true, wrong=wrong)


@pytest.mark.parametrize(("trips", "asked"), [((0.001,), 1), ((0.04, 0.03, 0.001), 3), ((0.04,), FIRST)])
async def test_a_quick_answer_is_enough_and_the_best_of_a_few_otherwise(trips: tuple[float, ...], asked: int) -> None:
    store = Shared(*trips)
    one = node(store, wrong=2.0)
    sample = await set_by(store, one.clock)
    assert store.asked == asked
    assert sample is not None
    assert sample.after - sample.before == pytest.approx(min(trips), abs=1e-6)
    assert one.clock.now() == pytest.approx(store.true)


async def test_a_store_without_a_time_leaves_the_wall_clock() -> None:
    true = EPOCH
    one = Node(MemoryStore(), lambda: true, wrong=2.0)
    await one.keeper.start()
    assert one.clock.now() == EPOCH + 2
    assert await one.keeper.beat() is None
    one.wrong = 3602.0
    assert one.keeper.tick() is None
    true += 61
    assert one.keeper.tick() == pytest.approx(3600.0)
    assert one.notes == ["the wall clock jumped by 3600.0 s, and we followed"]


async def test_a_store_that_answers_slowly_is_better_than_no_clock_and_is_told() -> None:
    store = Shared(0.4)
    one = node(store, wrong=60.0)
    await one.keeper.start()
    assert one.clock.now() == pytest.approx(store.true)
    assert one.notes == ["the store's time is known to 0.20 s only: it answers slowly"]


async def test_no_start_without_the_time() -> None:
    store = Shared()
    store.is_away = True
    with pytest.raises(StoreError):
        await node(store).keeper.start()


async def test_a_store_that_is_away_is_asked_with_the_next_beat() -> None:
    store = Shared()
    one = node(store)
    await one.keeper.start()
    store.is_away = True
    store.true += 2
    assert await one.keeper.beat() is None
    assert one.clock.now() == store.true
    store.is_away = False
    assert await one.keeper.beat() is None
    assert store.asked == 3
    assert one.notes == []


@pytest.mark.parametrize(("wrong", "said"), [(1.5, "1.5 s ahead of"), (-2.0, "2.0 s behind")])
async def test_a_wall_clock_that_is_off_is_told_once_and_once_more_when_it_is_right(wrong: float, said: str) -> None:
    store = Shared()
    one = node(store, wrong=wrong)
    await one.keeper.start()
    for _ in range(3):
        await one.keeper.beat()
    assert [(event.kind, event.outcome) for event in one.events] == [(EventKind.CLOCK, Outcome.FAILED)]
    assert said in one.events[0].detail
    one.wrong = 0.95
    await one.keeper.beat()
    assert len(one.events) == 1, "nearly right is not told back and forth"
    one.wrong = 0.1
    await one.keeper.beat()
    assert [event.outcome for event in one.events] == [Outcome.FAILED, Outcome.DONE]
    assert len(one.notes) == 2


async def test_a_jump_of_the_stores_clock_is_told() -> None:
    store = Shared()
    one = node(store)
    await one.keeper.start()
    even = store.true
    one.clock.ticks = lambda: store.true - EPOCH if store.true < EPOCH + 50 else store.true - 100 - EPOCH
    store.true = even + 100
    jumps = []
    for _ in range(4):
        jumps.append(await one.keeper.beat())
        store.true += 2
    assert jumps[:3] == [None] * 3
    assert jumps[3] == pytest.approx(100.0)
    assert any("the store's clock jumped by 100.0 s" in event.detail for event in one.events)
