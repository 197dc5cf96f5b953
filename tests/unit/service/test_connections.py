"""One `due` each: nobody is looked at early, late by more than a bucket, or twice."""

import gc

from doorward.core.deadlines import NEVER
from doorward.service.connections import TICKS_PER_SECOND
from doorward.service.live import Live
from doorward.values.decision import Reason
from doorward.values.lease import LeaseTerms
from tests.unit.service.world import World, handshake, route, rules, token


async def passed(world: World, seconds: float) -> None:
    """Time passes in the steps of the timer."""
    for _ in range(int(seconds * TICKS_PER_SECOND)):
        world.clock.advance(1 / TICKS_PER_SECOND)
        await world.connections.tick()


async def test_the_credential_s_end_is_exact_to_a_bucket() -> None:
    world = World()
    live, hands = await world.inside()
    await passed(world, 599.75)
    assert live.ended is None
    await passed(world, 0.5)
    assert live.ended is Reason.EXPIRED
    assert hands.done == [("close", 4001, "doorward:expired", False)]
    await passed(world, 5.25)
    assert hands.done[-1] == ("cut",)
    assert live.due == NEVER
    assert len(world.connections) == 0


async def test_renewal_is_asked_for_in_time_and_its_want_closes() -> None:
    world = World(rules(routes=(route(lease=LeaseTerms(grace=60.0)),)))
    live, hands = await world.inside(handshake(bearer=token(), protocols="doorward.v1"))
    await passed(world, 540.25)
    assert hands.said[-1] == '{"type":"doorward.renew","within":59}'
    await passed(world, 60)
    assert live.ended is Reason.EXPIRED


async def test_pings_go_out_and_a_missing_pong_closes() -> None:
    world = World()
    live, hands = await world.inside()
    await passed(world, 21)
    assert hands.pings == 1
    hands.peer = None
    await passed(world, 20)
    assert hands.pings == 2
    await passed(world, 21)
    assert live.ended is Reason.NO_PONG


async def test_idle_counts_messages_and_not_pings() -> None:
    world = World(rules(routes=(route(lease=LeaseTerms(idle=30.0)),)))
    live, hands = await world.inside()
    await passed(world, 20)
    hands.counts.last_message = world.clock.now()
    await passed(world, 20)
    assert live.ended is None
    await passed(world, 11)
    assert live.ended is Reason.IDLE


async def test_lifetime_ends_what_renews_for_ever() -> None:
    world = World(rules(routes=(route(lease=LeaseTerms(max=100.0)),)))
    live, _ = await world.inside()
    await passed(world, 110)
    assert live.ended is Reason.LIFETIME


async def test_a_stalled_peer_and_a_message_that_never_ends() -> None:
    world = World()
    stalled, hands = await world.inside()
    hands.stalled = world.clock.now()
    stalled.watched()
    slow, other = await world.inside()
    other.message = world.clock.now()
    slow.watched()
    await passed(world, 10.5)
    assert stalled.ended is Reason.SLOW_CONSUMER
    assert slow.ended is None
    await passed(world, 20)
    assert slow.ended is Reason.MESSAGE_STALLED


async def test_a_late_tick_catches_up_with_every_bucket() -> None:
    world = World()
    lives = [
        (await world.inside(handshake(bearer=token(sub=f"u{n}", exp=int(world.clock.now()) + 10 + n))))[0]
        for n in range(9)
    ]
    world.clock.advance(3600)
    await world.connections.tick()
    assert {live.ended for live in lives} == {Reason.EXPIRED}


async def test_long_connections_report_what_passed_since() -> None:
    world = World()
    live, hands = await world.inside()
    hands.counts.messages_in, hands.counts.bytes_in = 3, 300
    await passed(world, 301)
    hands.counts.messages_in, hands.counts.bytes_in = 5, 420
    live.peer_closed(1000, "")
    counted = [(event.kind.value, event.messages_in, event.bytes_in) for event in world.audited()[1:]]
    assert counted == [("interval", 3, 300), ("close", 2, 120)]


async def test_all_are_passed_over_from_the_newest_so_that_no_two_passes_keep_pace() -> None:
    world = World()
    lives = [(await world.inside(handshake(bearer=token(sub=f"u{n}"))))[0] for n in range(9)]
    assert [live async for live in world.connections.each()] == lives[::-1]
    (one,) = [live async for live in world.connections.each(having=("principal.identity.subject", "u3"))]
    assert one is lives[3]


async def test_nothing_of_a_connection_that_is_over_waits_for_the_collector() -> None:
    """The gateway's collector looks at what is old only when hardly anybody is connected (gateway/garbage.py)."""
    world = World()
    await world.follower.start()
    gc.collect()
    gc.disable()
    try:
        for n in range(60):
            live, hands = await world.inside(handshake(bearer=token(sub=f"u{n % 3}"), protocols="doorward.v1"))
            live.control(f'{{"type":"doorward.auth","token":"{token(sub="nobody" if n % 2 else "u")}"}}'.encode())
            await world.settle()
            if n % 3:
                live.revoke()
            live.peer_gone()
            del live, hands
        await passed(world, 30)
        await world.watch.report_presence()
        world.sink.events.clear()
        assert len(world.connections) == 0
        assert not [found for found in gc.get_objects() if type(found) is Live]
    finally:
        gc.enable()
