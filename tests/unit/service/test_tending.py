"""What a worker does unasked: it follows the log, or knows since when it can't, and then connections may end."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from doorward.core.lifecycle import State
from doorward.core.timekeeping import Sample
from doorward.ports import PresentNode, StoreError
from doorward.service.events import Events
from doorward.service.noting import unfailing
from doorward.service.tending import BEAT_EVERY, STORE_AWAY_AFTER, Tending
from doorward.service.timekeeping import Timekeeper
from doorward.values.audit import EventKind
from doorward.values.decision import Deny, Reason
from tests.unit.leaping import leaping
from tests.unit.service.world import World, subject


class Chores:
    def __init__(self) -> None:
        self.error: StoreError | None = None
        self.refreshed = 0

    async def refresh_keys(self) -> None:
        self.refreshed += 1
        if self.error is not None:
            raise self.error


class Away:
    """A log that does not answer, while it is told so."""

    def __init__(self, log) -> None:
        self._log = log
        self.is_away = True

    async def read(self, *, after: int):
        if self.is_away:
            raise StoreError("gone")
        return await self._log.read(after=after)


class Glanced:
    """A log that counts how often it is asked. `blind`: no glance tells anything."""

    def __init__(self, log) -> None:
        self._log = log
        self.blind = False
        self.reads = self.glances = 0

    async def read(self, *, after: int):
        self.reads += 1
        return await self._log.read(after=after)

    def touched(self) -> bool | None:
        self.glances += 1
        return None if self.blind else self._log.touched()


class Timepiece:
    """A clock whose wall clock, or whose store's, jumps when it is told so; it is the world's, which it moves."""

    def __init__(self, world: World) -> None:
        self._clock = world.clock
        self.wall_jump: float | None = None
        self.store_jump: float | None = None

    def ticks(self) -> float:
        return self._clock.now()

    def set_by(self, sample: Sample) -> None:
        """The world's clock is set already."""

    def heard(self, sample: Sample) -> float | None:
        if self.store_jump is not None:
            self._clock._now += self.store_jump
        return self.store_jump

    def discipline(self) -> float | None:
        return self.wall_jump

    def ahead(self) -> float:
        return 0.0


def tending(
    world: World,
    *,
    close: bool = False,
    chores: Chores | None = None,
    timepiece: Timepiece | None = None,
    rate: float = 200.0,
    more: Mapping[str, Callable[[], Awaitable[None]]] | None = None,
) -> Tending:
    timepiece = timepiece or Timepiece(world)
    return Tending(
        watch=world.watch,
        door=world.door,
        follower=world.follower,
        withdrawals=world.withdrawals,
        store=world.store,
        entropy=world.entropy,
        chores=chores or Chores(),
        timekeeper=Timekeeper(store=world.store, clock=timepiece, emit=world.events.emit, note=world.notes.append),
        node="gw",
        worker=1,
        version="1.2.3",
        more=more or {},
        close_without_store=lambda: close,
        handshake_rate=lambda: rate,
    )


@pytest.mark.parametrize("close", [True, False])
@leaping
async def test_without_the_log_connections_end_where_the_configuration_says_so(close: bool) -> None:
    world = World()
    live, hands = await world.inside()
    keeper = tending(world, close=close)
    world.follower.away_since = world.clock.now()
    world.clock.advance(STORE_AWAY_AFTER - 0.1)
    await keeper.keep_house(1)
    assert live.state is State.OPEN
    world.clock.advance(0.1)
    await keeper.keep_house(2)
    if close:
        await until(lambda: bool(hands.done))
        assert hands.done == [("close", 1013, "doorward:unavailable; retry_after=1", False)]
        assert live.ended is Reason.STORE_AWAY
    else:
        assert keeper._closing is None
        assert live.state is State.OPEN
    world.follower.away_since = None
    other, _ = await world.inside()
    await keeper.keep_house(3)
    assert other.state is State.OPEN


@leaping
async def test_the_follower_knows_since_when_the_log_is_away_and_that_it_is_back() -> None:
    world = World()
    away = Away(world.store.revocations)
    world.withdrawals._log = away  # type: ignore[assignment]
    polling = asyncio.create_task(world.follower.poll())
    try:
        await until(lambda: world.follower.away_since is not None)
        world.clock.advance(10)
        assert world.follower.away_since == world.clock.now() - 10
        away.is_away = False
        await until(lambda: world.follower.away_since is None)
    finally:
        polling.cancel()
    assert world.notes == ["the revocation log does not answer: gone", "the revocation log answers again after 10.0 s"]


@leaping
async def test_the_follower_asks_again_only_for_something_written() -> None:
    world = World()
    log = Glanced(world.store.revocations)
    world.withdrawals._log = world.follower._log = log  # type: ignore[assignment]
    polling = asyncio.create_task(world.follower.poll())
    try:
        await until(lambda: log.glances >= 3)
        assert log.reads == 1
        await world.revoke(subject())
        await until(lambda: log.reads == 2)
        assert world.withdrawals.cursor == 1
        log.blind = True
        await until(lambda: log.reads == 4)  # as often as it can afford, where no glance tells
    finally:
        polling.cancel()


@leaping
async def test_a_store_that_fails_ends_no_housekeeping() -> None:
    world, chores = World(), Chores()
    timepiece = Timepiece(world)
    chores.error, timepiece.wall_jump = StoreError("full"), 3600.0
    await tending(world, chores=chores, timepiece=timepiece).keep_house(1)
    assert world.notes == [
        "the wall clock jumped by 3600.0 s, and we followed",
        "signing keys are not refreshed: full",
    ]


@leaping
async def test_what_housekeeping_goes_without_is_said_once_and_once_when_it_is_over() -> None:
    world, chores = World(), Chores()
    keeper = tending(world, chores=chores)
    for why in ("gone", "refused", None, None):
        chores.error = None if why is None else StoreError(why)
        await keeper.keep_house(1)
        world.clock.advance(2.0)
    assert world.notes == [
        "signing keys are not refreshed: gone",
        "signing keys are refreshed again after 4.0 s",
    ]


@leaping
async def test_it_says_that_it_lives_and_when_it_leaves() -> None:
    world = World()
    keeper = tending(world)
    await keeper.start()
    (node,) = await world.store.presence.nodes(now=world.clock.now())
    assert (node.node, node.worker, node.connections) == ("gw", 1, 0)
    await keeper.stop()
    assert await world.store.presence.nodes(now=world.clock.now()) == []


@leaping
async def test_a_heartbeat_that_failed_is_said_as_soon_as_it_can_be() -> None:
    """Not only when the next one is due: whoever revokes meanwhile would not wait for this node."""
    world = World()
    keeper = tending(world)
    presence, said = world.store.presence, asyncio.Event()
    beat, failures = presence.beat, 3

    async def failing(node: PresentNode) -> None:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise StoreError("gone")
        await beat(node)
        said.set()

    await keeper.start()
    presence.beat = failing  # type: ignore[method-assign]
    await asyncio.sleep(0)  # the loops have begun
    world.clock.advance(BEAT_EVERY)  # and no further: the next is never due
    try:
        await asyncio.wait_for(said.wait(), 20)
    finally:
        await keeper.stop()
    told = [note for note in world.notes if "heartbeat" in note]
    assert told == ["no heartbeat: gone", "heartbeats are sent again after 0.0 s"], "told once each"


@leaping
async def test_a_heartbeat_says_whether_handshakes_are_taken() -> None:
    world = World()
    keeper = tending(world)
    await keeper.beat()
    world.door.draining = True
    said = await world.store.presence.nodes(now=world.clock.now())
    await keeper.beat()
    said = [*said, *await world.store.presence.nodes(now=world.clock.now())]
    assert [(one.version, one.ready, one.ahead) for one in said] == [("1.2.3", True, 0.0), ("1.2.3", False, 0.0)]


@leaping
async def test_a_clock_that_is_set_back_gives_nobody_more_time_without_the_log() -> None:
    world = World()
    live, _ = await world.inside()
    timepiece = Timepiece(world)
    keeper = tending(world, close=True, timepiece=timepiece)
    world.follower.away_since = world.clock.now()
    world.clock.advance(STORE_AWAY_AFTER - 1.0)
    timepiece.wall_jump = -3600.0
    world.clock._now -= 3600.0
    await keeper.keep_house(1)
    assert live.state is State.OPEN
    timepiece.wall_jump = None
    world.clock.advance(1.0)
    await keeper.keep_house(2)
    await until(lambda: live.ended is Reason.STORE_AWAY)


@leaping
async def test_once_the_store_is_back_whoever_has_not_been_closed_stays() -> None:
    world = World()
    inside = [await world.inside() for _ in range(9)]
    keeper = tending(world, close=True, rate=1.0)
    world.follower.away_since = world.clock.now() - STORE_AWAY_AFTER
    await keeper.keep_house(1)
    await until(lambda: any(hands.done for _, hands in inside))
    await world.revoke(subject())
    world.follower.away_since = None
    await until(lambda: keeper._closing is None)
    left = [live for live, hands in inside if not hands.done]
    assert 0 < len(left) < len(inside)
    assert all(live.state is State.OPEN for live in left)


@leaping
async def test_a_revocation_is_obeyed_while_the_others_wait_for_their_close() -> None:
    world = World()
    inside = [await world.inside() for _ in range(9)]
    keeper = tending(world, close=True, rate=1.0)
    world.follower.away_since = world.clock.now() - STORE_AWAY_AFTER
    await keeper.keep_house(1)
    await until(lambda: any(hands.done for _, hands in inside))
    await world.follower.start()
    await world.revoke(subject())  # by another way, a cluster's feed
    await world.withdrawals.catch_up()
    await world.follower.act_now()
    codes = [hands.done[0][1] for _, hands in inside]
    assert set(codes) == {1013, 4002}
    await keeper.stop()


@leaping
async def test_draining_refuses_everybody_new_and_spreads_when_they_come_back() -> None:
    world = World()
    inside = [await world.inside() for _ in range(5)]
    draining = asyncio.create_task(tending(world, rate=1.0).drain(4.0))
    await until(lambda: all(hands.done for _, hands in inside))
    refused = {deny.retry_after for deny in [await world.enter() for _ in range(40)] if isinstance(deny, Deny)}
    draining.cancel()
    assert world.door.is_shut
    closes = [hands.done[0] for _, hands in inside]
    assert {code for _, code, *_ in closes} == {1012}
    told = {str(text) for _, _, text, _ in closes}
    assert told == {f"doorward:draining; retry_after={seconds}" for seconds in range(1, 6)}, "one a second"
    assert refused == {1.0, 2.0, 3.0, 4.0, 5.0}, "over the same time, by chance"


@leaping
async def test_a_drain_says_how_it_begins_and_how_it_went() -> None:
    """One of three has gone by then; of the two others no end was heard."""
    world = World()
    inside = [await world.inside() for _ in range(3)]
    draining = asyncio.create_task(tending(world).drain(30.0))
    await until(lambda: all(hands.done for _, hands in inside))
    inside[0][0].peer_closed(1012, "")
    inside[0][0].peer_gone()
    await draining
    assert world.notes == ["draining: 3 connections inside, at most 30 s", "drained: 1 connection closed, 2 are cut"]


@leaping
async def test_a_drain_that_somebody_ends_says_so_too() -> None:
    world = World()
    await world.inside()
    draining = asyncio.create_task(tending(world).drain(30.0))
    await until(lambda: bool(world.notes))
    draining.cancel()
    await asyncio.wait([draining])
    assert world.notes[-1] == "drained: 0 connections closed, 1 is cut"


@leaping
async def test_presence_that_can_not_be_written_is_said_once_and_once_when_it_can() -> None:
    world = World()
    await world.inside()
    note, failures = world.store.presence.note, 3

    async def failing(**rows: Any) -> None:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise StoreError("gone")
        await note(**rows)

    world.store.presence.note = failing  # type: ignore[method-assign]
    for _ in range(4):
        await world.watch.report_presence()
        world.clock.advance(1.0)
    assert world.notes == [
        "the list of connections is not kept up: gone",
        "the list of connections is kept up again after 3.0 s",
    ]


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while True:
            if true():
                return
            await asyncio.sleep(0.01)


@leaping
async def test_a_store_that_is_away_while_our_own_log_can_not_be_written_ends_no_loop() -> None:
    """Standard error is a pipe whose reader has gone: each loop still notes, and goes on."""
    world = World()

    def unwritten(line: str) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    world.watch.note = unfailing(unwritten)
    world.watch.events = Events(clock=world.clock, node="gw", worker=1, report=unwritten)
    away = Away(world.store.revocations)
    keeper = tending(world)
    await keeper.start()
    try:
        world.withdrawals._log = away  # type: ignore[assignment]
        await until(lambda: world.follower.away_since is not None)
        away.is_away = False
        await until(lambda: world.follower.away_since is None)
        assert not any(task.done() for task in keeper._tasks)
    finally:
        await keeper.stop()


@leaping
async def test_a_loop_with_a_bug_of_ours_is_begun_again_though_nobody_can_be_told() -> None:
    world = World()
    again = asyncio.Event()
    runs: list[int] = []

    async def wrong() -> None:
        runs.append(1)
        if len(runs) == 1:
            raise LookupError
        again.set()
        await asyncio.Event().wait()

    def unwritten(line: str) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    world.watch.events = Events(clock=world.clock, node="gw", worker=1, report=unwritten)
    keeper = tending(world, more={"mine": wrong})
    await keeper.start()
    try:
        await asyncio.wait_for(again.wait(), 30)
    finally:
        await keeper.stop()


@leaping
async def test_two_that_live_under_one_name_beat_and_answer_apart_and_say_so() -> None:
    world = World()
    keeper = tending(world)
    await keeper.beat()
    world.clock.advance(1)
    now = world.clock.now()
    other = PresentNode(node="gw", worker=1, pid=0, started_at=now, beat_at=now, cursor=0, connections=3)
    await world.store.presence.beat(other)
    await keeper.beat()
    await keeper.beat()
    said = await world.store.presence.nodes(now=now)
    assert len(said) == 2
    assert other in said
    assert {node.worker for node in said} == {1, world.follower.worker}
    complaint = "another gateway is named gw too: give each a server.node of its own"
    assert world.notes == [complaint]
    assert [event.detail for event in world.audited() if event.kind is EventKind.NODE] == [complaint]
    await keeper.stop()
