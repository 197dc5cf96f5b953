"""A worker that takes another number takes along in presence whatever it has open, and whatever opens then."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from doorward.ports import PresentNode
from doorward.values.decision import Deny
from doorward.values.revocation import Revocation
from tests.unit.service.test_tending import tending
from tests.unit.service.world import World, handshake, subject, token


def twin(world: World) -> PresentNode:
    """Another that beats under our name and number, and was started a moment ago."""
    world.clock.advance(1)
    now = world.clock.now()
    return PresentNode(node="gw", worker=1, pid=0, started_at=now, beat_at=now, cursor=0, connections=0)


async def listed(world: World) -> dict[str, int]:
    """Each connection, and under which number."""
    await world.watch.report_presence()
    return {row.connection: row.worker for row in await world.store.presence.connections(now=world.clock.now())}


async def test_what_is_open_is_listed_under_the_number_that_its_worker_takes() -> None:
    """A stranger's: a second gateway of its name for 6 s, and the first one's connections were never listed again."""
    world = World()
    keeper = tending(world)
    await keeper.beat()
    reported, _ = await world.inside()
    assert await listed(world) == {reported.connection: 1}
    waiting, _ = await world.inside()
    other = twin(world)
    await world.store.presence.beat(other)
    assert await listed(world) == {waiting.connection: 1}, "the store takes it for a later life of ours"
    unreported, _ = await world.inside()
    await keeper.beat()
    later, _ = await world.inside()
    number = world.follower.worker
    assert number != 1
    ours = {live.connection: number for live in (reported, waiting, unreported, later)}
    assert await listed(world) == ours
    (row, *_) = await world.store.presence.connections(now=world.clock.now())
    await world.store.presence.note(opened=[replace(row, connection="theirs", worker=1)], closed=())
    await keeper.beat()
    assert await listed(world) == {**ours, "theirs": 1}
    await world.store.presence.leave(node="gw", worker=1)
    assert await listed(world) == ours


async def test_who_ends_before_the_new_row_is_written_is_not_left_in_the_old_one() -> None:
    world = World()
    keeper = tending(world)
    await keeper.beat()
    live, _ = await world.inside()
    assert await listed(world) == {live.connection: 1}
    world.watch.renumber(7)
    live.peer_gone()
    assert await listed(world) == {}


async def test_who_is_refused_after_all_is_never_listed() -> None:
    """He is in the table already, where revocations find him."""
    world = World()
    keeper = tending(world)
    await keeper.beat()
    await world.store.presence.beat(twin(world))

    class Late:
        """A log in which the revocation stands at the last look."""

        def __init__(self, log: Any) -> None:
            self._log = log

        async def read(self, *, after: int) -> Sequence[Revocation]:
            if len(world.connections):
                await world.revoke(subject("bob"))
                await keeper.beat()
            found: Sequence[Revocation] = await self._log.read(after=after)
            return found

    world.withdrawals._log = Late(world.store.revocations)  # type: ignore[assignment]
    assert isinstance(await world.enter(handshake(bearer=token(sub="bob"))), Deny)
    assert world.follower.worker != 1, "it happened while he was being let in"
    assert await listed(world) == {}
