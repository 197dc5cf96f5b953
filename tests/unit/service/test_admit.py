"""The door: what it lets in holds exactly what it took, what it refuses holds nothing, and each leaves one event."""

import asyncio

import pytest

from doorward.ports import StoreError, VerifierError
from doorward.service.admit import UNREAD
from doorward.service.live import Live
from doorward.values.audit import EventKind, Outcome
from doorward.values.decision import Deny, Reason
from doorward.values.question import BackendFailed
from doorward.values.rules import ClusterLimits, WhenFull
from tests.unit.service.world import (
    WIRE,
    Connector,
    Recorder,
    World,
    credential,
    handshake,
    route,
    rules,
    subject,
    token,
)


async def test_a_good_handshake_is_registered_and_audited_once() -> None:
    world = World()
    live = await world.enter()
    assert isinstance(live, Live)
    assert world.connections.get(live.connection) is live
    (event,) = world.audited()
    assert (event.kind, event.outcome, event.subject) == (EventKind.HANDSHAKE, Outcome.ALLOWED, "alice")
    assert (event.connection, event.status, event.sequence) == (live.connection, 101, 1)


@pytest.mark.parametrize(
    ("shown", "reason"),
    [
        (handshake(), Reason.CREDENTIAL_MISSING),
        (handshake(bearer=token(b"bad")), Reason.TOKEN_SIGNATURE),
        (handshake(bearer=token(exp=1)), Reason.TOKEN_EXPIRED),
        (handshake("/other", bearer=token()), Reason.ROUTE_UNKNOWN),
        (handshake(bearer=token(), Origin="https://evil.example"), Reason.ORIGIN_UNLISTED),
    ],
)
async def test_a_refused_handshake_leaves_one_event_and_nothing_else(shown, reason) -> None:
    world = World()
    denied = await world.enter(shown)
    assert isinstance(denied, Deny)
    assert denied.reason is reason
    assert not world.connector.asked
    await world.settle()
    (event,) = world.audited()
    assert (event.outcome, event.reason) == (Outcome.REFUSED, reason.value)
    assert len(world.connections) == 0


async def test_what_a_refusal_had_taken_comes_free() -> None:
    limits = ClusterLimits(connections_per_subject=1)
    world = World(rules(limits=limits))
    world.connector = Connector(BackendFailed(Reason.BACKEND_REFUSED))
    for _ in range(3):
        denied = await world.enter()
        assert isinstance(denied, Deny)
        assert denied.reason is Reason.BACKEND_REFUSED
        await world.settle()
    world.connector = Connector()
    assert isinstance(await world.enter(), Live)


async def test_refusals_are_charged_to_the_address_and_admissions_are_not() -> None:
    limits = ClusterLimits(refusals_per_address=rules().limits.refusals_per_address.__class__(2, 60.0, 2))
    world = World(rules(limits=limits))
    for _ in range(2):
        await world.enter(handshake())
        await world.settle()
    denied = await world.enter()
    assert isinstance(denied, Deny)
    assert denied.reason is Reason.ADDRESS_REFUSALS
    assert denied.retry_after is not None
    assert 0 < denied.retry_after <= 30
    world.clock.advance(denied.retry_after)
    assert isinstance(await world.enter(), Live)


async def test_the_oldest_is_replaced_where_the_rules_say_so() -> None:
    limits = ClusterLimits(connections_per_subject=1, when_full=WhenFull.REPLACE_OLDEST)
    world = World(rules(limits=limits))
    first, hands = await world.inside()
    world.clock.advance(1)
    second = await world.enter()
    assert isinstance(second, Live)
    assert first.ended is Reason.REPLACED
    assert hands.done == [("close", 4409, "doorward:replaced", False)]


async def test_it_is_replaced_even_if_a_later_step_refuses() -> None:
    """Its place is given away. Left open it would count no more, and who can make a backend refuse had no limit."""
    limits = ClusterLimits(connections_per_subject=1, when_full=WhenFull.REPLACE_OLDEST)
    world = World(rules(limits=limits))
    first, hands = await world.inside()
    world.connector.answer = BackendFailed(Reason.BACKEND_REFUSED)
    assert isinstance(await world.enter(), Deny)
    assert first.ended is Reason.REPLACED
    assert hands.done == [("close", 4409, "doorward:replaced", False)]


async def test_a_full_table_and_a_draining_door_refuse_before_anything_is_asked() -> None:
    world = World(most=1)
    await world.inside()
    full = await world.enter()
    assert isinstance(full, Deny)
    assert full.reason is Reason.OVERLOADED
    world = World()
    world.door.draining = True
    drained = await world.enter()
    assert isinstance(drained, Deny)
    assert drained.reason is Reason.DRAINING
    assert not world.connector.asked


async def test_a_drain_that_begins_during_a_handshake_is_told_as_one() -> None:
    """And not as an overload: its client comes back, and does not back off."""
    world = World()

    async def sigterm() -> None:
        world.door.draining = True

    world.connector.meanwhile = sigterm
    denied = await world.enter()
    assert isinstance(denied, Deny)
    assert denied.reason is Reason.DRAINING
    assert denied.retry_after is not None
    assert len(world.connections) == 0


async def test_nothing_passes_unrecorded() -> None:
    world = World()
    world.sink.error = OSError("disk full")
    assert isinstance(await world.enter(), Live)
    world.events.flush()
    denied = await world.enter()
    assert isinstance(denied, Deny)
    assert denied.reason is Reason.STORE_UNAVAILABLE
    assert denied.note == "the audit log can't be written: disk full"
    world.watch.log_is_away = True  # the cause is said, and not what comes of it
    denied = await world.enter()
    assert isinstance(denied, Deny)
    assert denied.note == UNREAD
    world.watch.log_is_away = False
    world.sink.error = None
    world.events.flush()
    assert not world.events.losing


async def test_the_admission_has_one_deadline() -> None:
    world = World()
    world.timeout = 0.01
    never = asyncio.Event()
    world.connector.meanwhile = never.wait
    denied = await world.enter()
    assert isinstance(denied, Deny)
    assert denied.reason is Reason.BACKEND_TIMEOUT
    assert "admission_timeout" in denied.note
    assert len(world.connections) == 0


async def test_a_peer_that_leaves_takes_nothing_with_it() -> None:
    world = World(rules(limits=ClusterLimits(connections_per_subject=1, pending_per_address=1)))
    started = asyncio.Event()
    never = asyncio.Event()

    def wait():
        started.set()
        return never.wait()

    world.connector.meanwhile = wait
    entering = asyncio.create_task(world.enter())
    await started.wait()
    entering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await entering
    await world.settle()
    (event,) = world.audited()
    assert event.reason == Reason.PEER_LEFT
    world.connector.meanwhile = None
    assert isinstance(await world.enter(), Live)


FAULTS = [
    ValueError,
    KeyError,
    OSError,
    TimeoutError,
    UnicodeError,
    RecursionError,
    MemoryError,
    StoreError,
    VerifierError,
]


@pytest.mark.parametrize("error", FAULTS)
async def test_fx_01_any_exception_of_the_verifier_refuses(error) -> None:
    world = World()
    world.verifier.error = error("secret text")
    denied = await world.enter()
    assert isinstance(denied, Deny)
    assert denied.reason in {Reason.INTERNAL, Reason.VERIFIER_UNAVAILABLE, Reason.ADMISSION_TIMEOUT}
    assert "secret text" not in str(world.audited())
    world.verifier.error = None
    assert isinstance(await world.enter(), Live)


@pytest.mark.parametrize("error", FAULTS)
@pytest.mark.parametrize(
    ("part", "method"),
    [("rates", "take"), ("slots", "take"), ("revocations", "read"), ("bans", "version"), ("tickets", "spend")],
)
async def test_fx_01_any_exception_of_a_store_refuses(error, part, method) -> None:
    world = World()
    code = await ticket_of(world)
    faulty = getattr(world.store, part)

    class Faulty:
        def __getattr__(self, name):
            if name != method:
                return getattr(faulty, name)

            async def fail(*args, **kwargs):
                raise error("secret text")

            return fail

    broken = Faulty()
    setattr(world.store, part, broken)
    world.withdrawals._log = world.store.revocations
    world.withdrawals._bans = world.store.bans
    denied = await world.enter(handshake(f"/chat/a?ticket={code}"))
    assert isinstance(denied, Deny)
    assert "secret text" not in str(world.audited())
    assert len(world.connections) == 0


async def ticket_of(world: World) -> str:
    attended = await world.desk.attend(handshake("/auth/ticket", bearer=token()), WIRE, writes=True)
    assert not isinstance(attended, Deny)
    sold = await world.desk.ticket(attended, credential(token()), path=None)
    assert not isinstance(sold, Deny)
    return sold.code.expose()


@pytest.mark.parametrize("moment", range(1, 12))
async def test_rv_24_a_revocation_at_any_moment_of_a_handshake_leaves_no_survivor(moment) -> None:
    """Stalls injected before every question: the revocation lands there, and then the follower runs."""
    world = World()
    await world.follower.start()
    asked = 0

    def stalled(plain):
        async def ask(question, now):
            nonlocal asked
            asked += 1
            if asked == moment:
                await world.revoke(subject())
            return await plain(question, now)

        return ask

    world.answers.by_type = {kind: stalled(plain) for kind, plain in world.answers.by_type.items()}
    if moment == 11:
        world.connector.meanwhile = lambda: world.revoke(subject())
    entered = await world.enter()
    if isinstance(entered, Live):
        hands = Recorder()
        entered.attach(hands)
        await world.withdrawals.catch_up()
        await world.follower.act_now()
        assert asked < moment or entered.ended is Reason.REVOKED
    else:
        assert entered.reason is Reason.REVOKED_BEFORE


async def test_a_ticket_opens_one_connection_with_the_id_it_named() -> None:
    world = World()
    code = await ticket_of(world)
    live = await world.enter(handshake(f"/chat/a?ticket={code}"))
    assert isinstance(live, Live)
    again = await world.enter(handshake(f"/chat/a?ticket={code}"))
    assert isinstance(again, Deny)
    assert again.reason is Reason.TICKET_SPENT
    assert live.admission.renewable
    assert live.admission.route == route()
