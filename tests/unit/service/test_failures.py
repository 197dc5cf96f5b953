"""Every store call of a handshake, a renewal and a ticket's purchase fails, or never answers (FX-01 to FX-03).

Never a 101, never a traceback, exactly one event, and nothing stays taken; whoever is inside stays, and no longer than
what he has proven.
"""

import asyncio
from ipaddress import ip_address

import pytest

from doorward.core.lifecycle import State
from doorward.core.proving import digest
from doorward.service.live import Live
from doorward.service.patience import LONGEST
from doorward.testing import START
from doorward.values.audit import EventKind, Outcome
from doorward.values.credential import Place
from doorward.values.decision import Deny, Reason, Step
from doorward.values.handshake import Handshake
from doorward.values.ids import new_id
from doorward.values.lease import LeaseTerms
from doorward.values.peer import Wire
from doorward.values.revocation import Effect
from doorward.values.ticket import Ticket
from tests.unit.service.failing import METHODS, FailingStore, Fault
from tests.unit.service.test_tending import tending, until
from tests.unit.service.world import World, credential, handshake, route, rules, subject, token

UNAVAILABLE = {Reason.STORE_UNAVAILABLE, Reason.ADMISSION_TIMEOUT, Reason.VERIFIER_UNAVAILABLE}
HANDSHAKE = {
    ("bans", "version"),
    ("bans", "all"),
    ("rates", "take"),
    ("tickets", "spend"),
    ("slots", "take"),
    ("revocations", "read"),
}
"""What a handshake by ticket asks. What is not among them is not on its way, and may fail as it likes."""
RENEWAL = {("bans", "version"), ("bans", "all"), ("revocations", "read")}
PURCHASE = {*RENEWAL, ("rates", "take"), ("tickets", "put")}
FROM = Wire(address=ip_address("198.51.100.7"), tls=True)
CODE = new_id(bytes(32))


def world() -> tuple[World, FailingStore]:
    store = FailingStore()
    one = World(store=store)
    one.timeout = 0.05
    return one, store


async def enter(one: World, shown: Handshake) -> Live | Deny:
    return await one.door.admit(shown, FROM, one.connector)


async def with_ticket(one: World) -> None:
    live = await enter(one, handshake(bearer=token()))
    assert isinstance(live, Live)
    principal = live.principal
    live.abandon()
    await one.settle()
    now = one.clock.now()
    await one.store.tickets.put(Ticket(digest(CODE), principal, "c-1", now, now + 30), most=10)
    one.withdrawals._read_at = one.withdrawals._ban_version = -1  # so that everything is asked again
    one.sink.events.clear()


def nothing_is_taken(one: World, store: FailingStore) -> None:
    assert store.plain["slots"]._held == {}
    assert len(one.connections) == 0
    assert one.door._pending._count == {}


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("place", METHODS, ids=".".join)
async def test_a_handshake(place: tuple[str, str], fault: Fault) -> None:
    one, store = world()
    await with_ticket(one)
    for skip in range(8):  # each call of this method in turn
        store.fail(place, fault, skip=skip)
        answer = await enter(one, handshake(path=f"/chat/a?ticket={CODE}"))
        asked = store.count(place) > skip
        store.fail(None, None)
        await one.settle()
        events = one.audited()
        assert [event.kind for event in events if event.kind in (EventKind.HANDSHAKE, EventKind.FAULT)] == [
            EventKind.HANDSHAKE
        ]
        if not asked:
            assert skip > 0 or place not in HANDSHAKE, "it is not asked any more"
            assert isinstance(answer, Live)
            return
        assert isinstance(answer, Deny)
        assert answer.reason in UNAVAILABLE
        assert answer.retry_after is not None
        assert 1 <= answer.retry_after <= LONGEST
        assert events[0].outcome is Outcome.REFUSED
        assert events[0].status == 503
        nothing_is_taken(one, store)
        await with_ticket_again(one, store)
    raise AssertionError("it is asked more often than that")


async def with_ticket_again(one: World, store: FailingStore) -> None:
    """The ticket may be spent: whoever was refused by us for no fault of his gets another in these tests."""
    store.plain["tickets"]._spent.clear()
    store.plain["tickets"]._unspent.clear()
    store.plain["tickets"]._of.clear()
    await with_ticket(one)


async def test_all_that_a_handshake_asks_is_among_them() -> None:
    one, store = world()
    await with_ticket(one)
    store.fail(None)
    await enter(one, handshake(path=f"/chat/a?ticket={CODE}"))
    assert set(store.calls) == HANDSHAKE
    assert set(METHODS) >= HANDSHAKE | PURCHASE


@pytest.mark.parametrize("place", METHODS, ids=".".join)
async def test_what_a_handshake_leaves_behind_may_fail_too(place: tuple[str, str]) -> None:
    """Presence, slots and counts are written after it: a fault there undoes no admission, and is no traceback."""
    one, store = world()
    live, _ = await one.inside()
    store.fail(place)
    await one.watch.report_presence()
    await tending(one)._beat_or_note()
    one.watch.charge(live.admission.peer, Deny(Reason.TOKEN_SIGNATURE, Step.PROVE))
    live.close_by_operator()
    live.peer_gone()
    await one.settle()
    assert EventKind.FAULT not in {event.kind for event in one.audited()}
    store.fail(None)
    await one.watch.report_presence()
    assert await one.store.presence.connections(now=one.clock.now()) == []


async def test_presence_that_could_not_be_written_is_sent_again() -> None:
    one, store = world()
    await tending(one).beat()
    stays, _ = await one.inside()
    leaves, _ = await one.inside()
    store.fail(("presence", "note"))
    await one.watch.report_presence()
    leaves.peer_gone()
    await one.watch.report_presence()
    store.fail(None)
    await one.watch.report_presence()
    rows = store.plain["presence"]._connections
    assert list(rows) == [stays.connection]


# ---- renewals


@pytest.mark.parametrize("fault", [Fault.RAISES, Fault.RAISES_AFTER])
@pytest.mark.parametrize("place", METHODS, ids=".".join)
async def test_a_renewal(place: tuple[str, str], fault: Fault) -> None:
    """Refused as unavailable, never counted against it; the connection stays until what it has proven ends."""
    one, store = world()
    live, hands = await one.inside(handshake(bearer=token(), protocols="doorward.v1"))
    await one.settle()
    one.clock.advance(580.0)
    live.tick(one.clock.now())
    assert live.state is State.RENEWING
    for turn in range(5):
        one.withdrawals._read_at = one.withdrawals._ban_version = -1
        one.sink.events.clear()
        store.fail(place, fault)
        one.watch.renew(live, credential(token(iat=int(START) + 1, exp=int(START) + 1200)), None)
        await one.settle()
        failed = store.count(place) > 0
        (event,) = [event for event in one.audited() if event.kind in (EventKind.RENEWAL, EventKind.FAULT)]
        assert event.kind is EventKind.RENEWAL
        if not failed:
            assert place not in RENEWAL
            assert event.outcome is Outcome.ALLOWED
            return
        assert event.outcome is Outcome.REFUSED
        assert live.state is State.RENEWING, f"refused {turn + 1} times for no fault of its own"
        assert '"reason":"unavailable","retry_after":' in hands.said[-1]
        assert live.lease.deadline is not None
        assert live.lease.deadline <= START + 600
    one.clock.advance(20.0)
    live.tick(one.clock.now())
    assert live.ended is Reason.EXPIRED, "and nothing outlives its credential"


async def test_a_renewal_of_a_store_that_never_answers_ends_all_the_same() -> None:
    one, store = world()
    live, hands = await one.inside(handshake(bearer=token(), protocols="doorward.v1"))
    one.watch.renewal_within = 0.05
    store.fail(("revocations", "read"), Fault.HANGS)
    one.withdrawals._read_at = -1
    one.watch.renew(live, credential(token(iat=int(START) + 1)), None)
    await one.watch.errands.finish(5.0)
    assert '"reason":"unavailable"' in hands.said[-1]
    store.fail(None)
    one.watch.renew(live, credential(token(iat=int(START) + 1)), None)
    await one.settle()
    assert "doorward.ready" in hands.said[-1], "the way is free for the next"


async def test_who_must_prove_now_and_then_stays_while_it_cannot_be_judged() -> None:
    """`renew_every` is due long before the token's end: that we can't judge is no reason to end it."""
    store = FailingStore()
    one = World(rules(routes=(route(lease=LeaseTerms(renew_every=100.0, grace=10.0)),)), store=store)
    live, _ = await one.inside(handshake(bearer=token(), protocols="doorward.v1"))
    store.fail(("bans", "version"))
    one.clock.advance(100.0)
    live.tick(one.clock.now())
    for _ in range(40):
        one.clock.advance(9.0)
        one.watch.renew(live, credential(token(iat=int(START) + 1)), None)
        await one.settle()
        live.tick(one.clock.now())
        assert live.state is State.RENEWING
    one.clock.advance(10.0)
    live.tick(one.clock.now())
    assert live.ended is Reason.EXPIRED, "who does not even try ends as ever"


async def test_the_same_holds_for_a_renewal_from_outside() -> None:
    store = FailingStore()
    one = World(rules(routes=(route(lease=LeaseTerms(renew_every=100.0, grace=10.0)),)), store=store)
    live, _ = await one.inside(handshake(bearer=token(), protocols="doorward.v1"))
    store.fail(("bans", "version"))
    one.clock.advance(105.0)
    live.tick(one.clock.now())
    refused = await one.watch.renew_outside(live.connection, credential(token(iat=int(START) + 1), place=Place.BODY))
    assert isinstance(refused, Deny)
    assert refused.reason is Reason.STORE_UNAVAILABLE
    one.clock.advance(9.0)
    live.tick(one.clock.now())
    assert live.state is State.RENEWING
    one.clock.advance(1.0)
    live.tick(one.clock.now())
    assert live.ended is Reason.EXPIRED


# ---- tickets


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("place", METHODS, ids=".".join)
async def test_buying_a_ticket(place: tuple[str, str], fault: Fault) -> None:
    one, store = world()
    one.desk.within = 0.05
    for skip in range(6):
        one.withdrawals._read_at = one.withdrawals._ban_version = -1
        one.sink.events.clear()
        store.fail(place, fault, skip=skip)
        sold = await buy(one)
        asked = store.count(place) > skip
        store.fail(None)
        await one.settle()
        events = [event for event in one.audited() if event.kind in (EventKind.HTTP, EventKind.TICKET, EventKind.FAULT)]
        assert len(events) == 1
        if not asked:
            assert skip > 0 or place not in PURCHASE
            assert not isinstance(sold, Deny)
            return
        assert isinstance(sold, Deny)
        assert sold.reason in UNAVAILABLE
        assert sold.retry_after is not None
        assert events[0].status == 503
    raise AssertionError("it is asked more often than that")


async def buy(one: World):
    attended = await one.desk.attend(handshake(path="/auth/ticket"), FROM, writes=True)
    if isinstance(attended, Deny):
        return attended
    return await one.desk.ticket(attended, credential(token(), place=Place.HEADER), path=None)


# ---- the log


async def test_the_door_is_shut_while_the_log_is_away_and_open_again_after_it() -> None:
    one, store = world()
    store.fail(("revocations", "read"))
    polling = asyncio.create_task(one.follower.poll())
    try:
        await until(lambda: one.watch.log_is_away)
        assert one.door.is_shut
        store.calls.clear()
        refused = await one.enter()
        assert isinstance(refused, Deny)
        assert refused.reason is Reason.STORE_UNAVAILABLE
        assert [call for call in store.calls if call[0] != "revocations"] == [], "nobody else is asked in vain"
        store.fail(None)
        await until(lambda: not one.watch.log_is_away)
        assert isinstance(await one.enter(), Live)
    finally:
        polling.cancel()


async def test_a_log_that_is_slow_shuts_the_door_and_is_obeyed_all_the_same() -> None:
    one, store = world()
    one.follower._quick = 0.02
    live, _ = await one.inside()
    await one.follower.start()
    inner = store.plain["revocations"]
    slow = asyncio.Event()
    read = inner.read

    async def slowly(*, after: int):
        await slow.wait()
        return await read(after=after)

    inner.read = slowly
    one.withdrawals._read_at = -1
    polling = asyncio.create_task(one.follower.poll())
    acting = asyncio.create_task(one.follower.act())
    try:
        await until(lambda: one.watch.log_is_away)
        assert one.follower.away_since is None, "slow, and not away: nobody inside is closed for it"
        await one.revoke(subject())
        slow.set()
        await until(lambda: live.ended is Reason.REVOKED)
        await until(lambda: not one.watch.log_is_away)
    finally:
        polling.cancel()
        acting.cancel()


async def test_a_node_that_was_cut_off_catches_up_before_it_admits_again() -> None:
    one, store = world()
    bearer = token()
    live, _ = await one.inside(handshake(bearer=bearer))
    store.fail(("revocations", "read"))
    polling = asyncio.create_task(one.follower.poll())
    try:
        await until(lambda: one.watch.log_is_away)
        await one.revoke(subject())  # elsewhere
        refused = await one.enter(handshake(bearer=bearer))
        assert isinstance(refused, Deny)
        assert refused.reason is Reason.STORE_UNAVAILABLE
        assert live.state is State.OPEN, "those inside keep their lease"
        store.fail(None)
        await until(lambda: not one.watch.log_is_away)
        refused = await one.enter(handshake(bearer=bearer))
        assert isinstance(refused, Deny)
        assert refused.reason is Reason.REVOKED_BEFORE
    finally:
        polling.cancel()


async def test_refusals_and_pending_places_still_count_while_a_store_hangs() -> None:
    """RAT-05: no limit vanishes. The pending ones are this process's own, and come before any store is asked."""
    one, store = world()
    most = one.watch.rules.limits.pending_per_address
    one.timeout = 30.0
    store.fail(("bans", "version"), Fault.HANGS)
    entering = [asyncio.create_task(one.enter()) for _ in range(most)]
    await until(lambda: sum(one.door._pending._count.values()) == most)
    crowded = await one.enter()
    assert isinstance(crowded, Deny)
    assert crowded.reason is Reason.ADDRESS_PENDING
    for task in entering:
        task.cancel()
    await asyncio.gather(*entering, return_exceptions=True)
    nothing_is_taken(one, store)


async def test_an_acknowledgement_that_fails_is_tried_again_and_keeps_no_other_waiting() -> None:
    one, store = world()
    await one.follower.start()
    store.fail(("revocations", "acknowledge"), Fault.HANGS)
    first, _ = await one.inside(handshake(bearer=token()))
    second, _ = await one.inside(handshake(bearer=token(sub="bob")))
    await one.revoke(subject(), id="1")
    await one.revoke(subject("bob"), id="2")
    await one.withdrawals.catch_up()
    await one.follower.act_now()
    assert first.ended is second.ended is Reason.REVOKED
    await one.watch.errands.finish(0.0)


async def test_closing_many_who_cannot_renew_tells_them_apart() -> None:
    """Effect `renew`: who comes back for it comes at the handshake rate."""
    one, _ = world()
    one.follower._handshake_rate = lambda: 2.0
    await one.follower.start()
    inside = [await one.inside() for _ in range(6)]
    await one.revoke(subject(), Effect.RENEW, id="1")
    await one.withdrawals.catch_up()
    await one.follower.act_now()
    told = sorted(str(hands.done[0][2]) for _, hands in inside)
    assert told == ["doorward:expired"] * 2 + [f"doorward:expired; retry_after={n}" for n in (1, 1, 2, 2)]
