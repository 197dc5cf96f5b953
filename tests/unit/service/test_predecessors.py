"""What a gateway of before left behind is over once one of its name is launched; a sibling that hangs never is."""

import asyncio

from doorward.adapters.stores.memory import MemoryStore
from doorward.ports import PresentNode, StoreError
from doorward.service.predecessors import LOOK_EVERY, Predecessors
from doorward.testing import START, FakeClock
from tests.unit.leaping import leaping


def worker(number: int, *, beat_at: float, node: str = "gw-1", started_at: float = START) -> PresentNode:
    return PresentNode(
        node=node, worker=number, pid=number, started_at=started_at, beat_at=beat_at, cursor=0, connections=0
    )


class Place:
    """Worker 1 of gw-1, launched 100 s after START."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.clock.advance(100)
        self.age = 0.0
        self.store = MemoryStore()
        self.predecessors = Predecessors(
            self.store.presence, self.clock, node="gw-1", worker=lambda: 1, age=lambda: self.age
        )

    def pass_by(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.age += seconds

    async def named(self) -> list[tuple[str, int]]:
        """Those of whom whoever revokes is told, once we have looked."""
        running = asyncio.create_task(self.predecessors.run())
        await asyncio.sleep(LOOK_EVERY / 2)
        running.cancel()
        return [(one.node, one.worker) for one in await self.store.presence.unheard(now=self.clock.now())]


@leaping
async def test_whoever_was_last_heard_of_before_we_were_launched_is_struck_off() -> None:
    """A stranger's: after a hand-over the number was another, and kill -9 left a name behind for an hour."""
    place = Place()
    place.pass_by(20)
    await place.store.presence.beat(worker(2, beat_at=START + 99))
    await place.store.presence.beat(worker(1, beat_at=START + 99, node="gw-2"))
    assert await place.named() == [("gw-2", 1)]


@leaping
async def test_who_may_still_be_heard_of_is_left_alone() -> None:
    """Who drains beats on; and who was just killed is waited for."""
    place = Place()
    place.pass_by(5)
    await place.store.presence.beat(worker(2, beat_at=START + 99))
    assert await place.named() == []
    assert len(await place.store.presence.nodes(now=place.clock.now())) == 1


@leaping
async def test_a_sibling_that_hangs_is_named_also_by_one_that_was_started_again() -> None:
    place = Place()
    await place.store.presence.beat(worker(2, beat_at=START + 101, started_at=START + 100))
    place.pass_by(300)
    assert await place.named() == [("gw-1", 2)]
    again = Predecessors(place.store.presence, place.clock, node="gw-1", worker=lambda: 1, age=lambda: place.age)
    place.predecessors = again
    assert await place.named() == [("gw-1", 2)]


@leaping
async def test_we_do_not_strike_off_ourselves() -> None:
    """A snapshot may know an earlier life of our own number, until our next heartbeat."""
    place = Place()
    place.pass_by(20)
    await place.store.presence.beat(worker(1, beat_at=START + 50))
    assert await place.named() == [("gw-1", 1)]


@leaping
async def test_a_clock_that_jumps_makes_nobody_a_worker_of_before() -> None:
    place = Place()
    assert await place.named() == []
    await place.store.presence.beat(worker(2, beat_at=START + 101))
    place.pass_by(20)
    place.clock.advance(1800)
    assert await place.named() == [("gw-1", 2)]
    place.clock._now -= 1800 + 60  # it was set back
    assert await place.named() == []
    await place.store.presence.beat(worker(2, beat_at=START + 41))
    place.pass_by(20)
    assert await place.named() == [("gw-1", 2)]


@leaping
async def test_a_store_that_is_away_is_asked_again() -> None:
    place = Place()
    place.pass_by(20)
    presence = place.store.presence
    await presence.beat(worker(2, beat_at=START + 99))
    unheard, failures = presence.unheard, 2

    async def failing(*, now: float):
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise StoreError("gone")
        return await unheard(now=now)

    presence.unheard = failing  # type: ignore[method-assign]
    running = asyncio.create_task(place.predecessors.run())
    await asyncio.sleep(3 * LOOK_EVERY)
    running.cancel()
    assert await unheard(now=place.clock.now()) == []
