"""A bug of ours on one connection ends that one: authority over all the others goes on being followed (FX-01)."""

import asyncio

import pytest

from doorward.core.deadlines import PING_EVERY
from doorward.core.lifecycle import State
from doorward.service.live import Live
from doorward.values.audit import EventKind
from doorward.values.decision import Reason
from doorward.values.revocation import Target, TargetKind
from doorward.values.rules import IssuerRules
from tests.unit.service.world import ISSUER, Recorder, World, handshake, rules, token


class BrokenHands(Recorder):
    """Against its contract, it raises."""

    def close(self, code: int, text: str, *, at_once: bool) -> bool:
        raise RuntimeError("secret text of a bug")

    def ping(self) -> bool:
        raise RuntimeError("secret text of a bug")


async def three(world: World) -> tuple[list[Live], list[Recorder]]:
    """Three connections of one tenant; the hands of the second are broken."""
    lives, hands = [], []
    for number in range(3):
        live = await world.enter(handshake(bearer=token(sub=f"user{number}", org="acme")))
        assert isinstance(live, Live), live
        own = BrokenHands() if number == 1 else Recorder(peer=live)
        live.attach(own)
        lives.append(live)
        hands.append(own)
    return lives, hands


def world() -> World:
    issuer = IssuerRules(ISSUER, ("chat",), frozenset({"HS256"}), skew=0.0)
    return World(rules(issuers={ISSUER: issuer}))


async def test_a_revocation_reaches_everybody_behind_the_broken_one() -> None:
    here = world()
    await here.follower.start()
    lives, hands = await three(here)
    id = await here.revoke(Target(TargetKind.ISSUER, ISSUER))
    await here.withdrawals.catch_up()
    await here.follower.act_now()
    assert [own.done for own in (hands[0], hands[2])] == [[("close", 4002, "doorward:revoked", True)]] * 2
    assert hands[1].done == [("cut",)]
    assert lives[1].state is State.CLOSED
    assert lives[1].ended is Reason.REVOKED
    assert here.connections.get(lives[1].connection) is None
    (acknowledged,) = await here.store.revocations.acknowledgements(id)
    assert acknowledged.closed == 3
    await here.settle()
    faults = [event for event in here.sink.events if event.kind is EventKind.FAULT]
    assert len(faults) == 1


async def test_time_goes_on_for_everybody_behind_the_broken_one() -> None:
    here = world()
    lives, hands = await three(here)
    here.clock.advance(PING_EVERY + 1)
    await here.connections.tick()
    assert [own.pings for own in hands] == [1, 0, 1]
    assert hands[1].done == [("cut",)]
    assert lives[1].ended is Reason.INTERNAL
    assert [live.state for live in lives] == [State.OPEN, State.CLOSED, State.OPEN]
    here.clock.advance(600)
    await here.connections.tick()
    assert [live.ended for live in (lives[0], lives[2])] == [Reason.EXPIRED] * 2
    await here.settle()
    closes = [event.connection for event in here.sink.events if event.kind is EventKind.CLOSE]
    assert sorted(closes) == sorted(live.connection for live in lives)


async def test_what_is_broken_already_is_only_cut() -> None:
    here = world()
    (live, *_), (hands, *_) = await three(here)
    live.peer_gone()
    live.broken(RuntimeError("x"))
    assert hands.done == [("free",)]
    assert live.ended is not Reason.INTERNAL


async def test_a_revocation_that_fails_is_not_the_last() -> None:
    here = world()
    await here.follower.start()
    lives, hands = await three(here)
    await here.revoke(Target(TargetKind.ISSUER, "https://nobody.example/"))
    await here.revoke(Target(TargetKind.CONNECTION, lives[0].connection))
    await here.withdrawals.catch_up()
    emit = here.events.emit

    def fail_once(event) -> None:
        here.events.emit = emit  # type: ignore[method-assign]
        raise RuntimeError("a bug")

    here.events.emit = fail_once  # type: ignore[method-assign]
    with pytest.raises(RuntimeError):
        await here.follower.act_now()
    acting = asyncio.create_task(here.follower.act())
    async with asyncio.timeout(5):
        while lives[0].ended is None:  # noqa: ASYNC110 - it is the loop under test that ends this
            await asyncio.sleep(0)
    acting.cancel()
    assert hands[0].done == [("close", 4403, "doorward:closed_by_operator", False)]
