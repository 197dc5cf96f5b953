"""The same door for a proxy that only asks: judged, charged and audited as any handshake, and nothing is held after."""

import asyncio
from ipaddress import ip_address, ip_network

import pytest

from doorward.core.handshakes import parse_head
from doorward.ports import StoreError, VerifierError
from doorward.service.live import Live
from doorward.values.admission import Admission
from doorward.values.audit import AuditEvent, EventKind, Outcome
from doorward.values.credential import Kind
from doorward.values.decision import Answer, Deny, Reason
from doorward.values.handshake import Handshake
from doorward.values.peer import Wire
from doorward.values.question import AskBan, AskRevocations, TakeRate, VerifySignature
from doorward.values.rules import ClusterLimits, Rate, Rules
from tests.unit.service.world import World, credential, handshake, rules, subject, token

PROXY = Wire(ip_address("10.0.0.7"), port=40000)
CLIENT = "203.0.113.9"


def judged_by(**limits: object) -> Rules:
    return rules(
        trusted_proxies=(ip_network("10.0.0.0/8"),),
        limits=ClusterLimits(**limits),  # type: ignore[arg-type]
    )


def asked(uri: str = "/chat/a", *, bearer: str | None = None, client: str = CLIENT, **headers: str) -> Handshake:
    """As nginx asks."""
    lines = {
        "Host": "gw.example.com",
        "Connection": "close",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
        "Origin": "https://app.example.com",
        "X-Original-URI": uri,
        "X-Forwarded-For": client,
        "X-Forwarded-Proto": "https",
        **({} if bearer is None else {"Authorization": f"Bearer {bearer}"}),
    } | {name.replace("_", "-"): value for name, value in headers.items()}
    text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    read = parse_head(f"GET /auth/verify HTTP/1.0\r\n{text}\r\n".encode())
    assert isinstance(read, Handshake)
    return read


async def verify(world: World, shown: Handshake | None = None, *, wire: Wire = PROXY) -> Admission | Deny:
    return await world.door.verify(asked(bearer=token()) if shown is None else shown, wire)


async def event_of(world: World) -> AuditEvent:
    await world.settle()
    return world.audited()[-1]


def reason_of(found: Admission | Deny) -> Reason:
    assert isinstance(found, Deny), found
    return found.reason


async def test_who_may_is_vouched_for_and_nothing_is_held() -> None:
    world = World(judged_by(connections_per_subject=1, pending_per_address=1))
    for _ in range(3):
        admission = await verify(world)
        assert isinstance(admission, Admission)
        assert admission.principal.identity.subject == "alice"
    assert len(world.connections) == 0
    assert world.connector.asked == []
    events = world.audited()
    assert [(event.kind, event.outcome, event.status) for event in events] == [
        (EventKind.VERIFY, Outcome.ALLOWED, 200)
    ] * 3
    assert (events[0].address, events[0].direct, events[0].path) == (CLIENT, "10.0.0.7", "/chat/a")
    assert (events[0].route, events[0].subject, events[0].credential) == ("/chat/{room}", "alice", "token")


@pytest.mark.parametrize(
    ("shown", "reason", "status"),
    [
        (asked(), Reason.CREDENTIAL_MISSING, 401),
        (asked(bearer=token(b"bad")), Reason.TOKEN_SIGNATURE, 403),
        (asked("/nowhere", bearer=token()), Reason.ROUTE_UNKNOWN, 403),
        (asked(bearer=token(), Origin="https://evil.example"), Reason.ORIGIN_UNLISTED, 403),
        (asked(bearer=token(), Host="evil.example"), Reason.HOST_FOREIGN, 403),
        (asked("/chat/a?token=x", bearer=token()), Reason.CREDENTIAL_REPEATED, 403),
        (asked("/chat/../a", bearer=token()), Reason.TARGET_MALFORMED, 403),
    ],
)
async def test_a_refusal_is_one_of_a_handshake_and_charged_to_the_client(shown, reason, status) -> None:
    world = World(judged_by(refusals_per_address=Rate(1, 60.0, 1)))
    assert reason_of(await verify(world, shown)) is reason
    event = await event_of(world)
    assert (event.kind, event.outcome, event.reason) == (EventKind.HANDSHAKE, Outcome.REFUSED, reason.value)
    assert (event.status, event.address) == (status, CLIENT)
    assert reason_of(await verify(world)) is Reason.ADDRESS_REFUSALS
    assert isinstance(await verify(world, asked(bearer=token(), client="203.0.113.10")), Admission)


async def test_a_stranger_who_asks_is_refused_and_charged_himself() -> None:
    world = World(judged_by(refusals_per_address=Rate(1, 60.0, 1)))
    stranger = Wire(ip_address("192.0.2.1"), tls=True)
    assert reason_of(await verify(world, wire=stranger)) is Reason.FORWARDER_UNTRUSTED
    event = await event_of(world)
    assert (event.address, event.path, event.status) == ("192.0.2.1", "/auth/verify", 403)
    assert isinstance(await verify(world), Admission), "and nobody whom he named"


async def test_a_ticket_opens_one_door_once() -> None:
    world = World(judged_by())
    attended = await world.desk.attend(handshake(Origin="https://app.example.com"), Wire(None), writes=True)
    assert not isinstance(attended, Deny)
    bought = await world.desk.ticket(attended, credential(token()), path="/chat/a")
    assert not isinstance(bought, Deny)
    code = bought.code.expose()
    let_in = await verify(world, asked(f"/chat/a?ticket={code}"))
    assert isinstance(let_in, Admission)
    assert (let_in.kind, let_in.connection) == (Kind.TICKET, bought.connection)
    assert reason_of(await verify(world, asked(f"/chat/a?ticket={code}"))) is Reason.TICKET_SPENT
    denied = await world.enter(handshake(f"/chat/a?ticket={code}"))
    assert isinstance(denied, Deny)
    assert code not in str(world.audited())


async def test_the_revocation_log_is_read_last() -> None:
    world = World(judged_by())
    await world.revoke(subject())
    assert reason_of(await verify(world)) is Reason.REVOKED_BEFORE


async def test_what_can_not_be_found_out_is_refused() -> None:
    world = World(judged_by())
    world.verifier.error = VerifierError("away")
    assert reason_of(await verify(world)) is Reason.VERIFIER_UNAVAILABLE
    world.verifier.error = StoreError("away")
    assert reason_of(await verify(world)) in (Reason.STORE_UNAVAILABLE, Reason.VERIFIER_UNAVAILABLE)
    world.verifier.error = RuntimeError("a bug")
    assert reason_of(await verify(world)) is Reason.INTERNAL


async def test_while_the_door_is_shut_nobody_is_vouched_for() -> None:
    world = World(judged_by())
    world.door.draining = True
    assert reason_of(await verify(world)) is Reason.DRAINING
    assert (await event_of(world)).status == 403


async def test_a_full_table_is_no_matter_to_sockets_that_are_not_in_it() -> None:
    world = World(judged_by(), most=1)
    assert isinstance(await world.enter(), Live)
    assert isinstance(await verify(world), Admission)


async def test_it_takes_no_longer_than_another() -> None:
    world = World(judged_by())
    world.timeout = 0.01
    gone = asyncio.Event()

    async def never(token: object) -> None:
        await gone.wait()

    world.verifier.verify = never  # type: ignore[method-assign,assignment]
    assert reason_of(await verify(world)) is Reason.ADMISSION_TIMEOUT


async def test_handshakes_under_way_count_and_come_free() -> None:
    world = World(judged_by(pending_per_address=1))
    first = asyncio.Event()
    go = asyncio.Event()
    judge = world.verifier.verify

    async def slow(token):
        first.set()
        await go.wait()
        return await judge(token)

    world.verifier.verify = slow  # type: ignore[method-assign]
    under_way = asyncio.create_task(verify(world))
    await first.wait()
    assert reason_of(await verify(world)) is Reason.ADDRESS_PENDING
    go.set()
    assert isinstance(await under_way, Admission)
    assert isinstance(await verify(world), Admission)


# ---- FX-01, FX-02: whatever breaks at whichever question, nobody is let in

FAULTS = [ValueError, KeyError, OSError, TimeoutError, UnicodeError, RecursionError, MemoryError, StoreError]
ASKED = [AskBan, TakeRate, VerifySignature, AskRevocations]


def breaking(world: World, kind: type, fault: type[BaseException]) -> None:
    async def fail(question: object, now: float) -> Answer[object]:
        raise fault("a secret text")

    world.answers.by_type[kind] = fail


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("kind", ASKED, ids=lambda kind: kind.__name__)
async def test_fx_01_a_question_that_breaks_is_a_refusal(kind, fault) -> None:
    world = World(judged_by(pending_per_address=1))
    breaking(world, kind, fault)
    for _ in range(2):  # the second shows that the place of the first came free
        assert reason_of(await verify(world)) in (
            Reason.INTERNAL,
            Reason.ADMISSION_TIMEOUT,
            Reason.STORE_UNAVAILABLE,
            Reason.VERIFIER_UNAVAILABLE,
        )
    event = await event_of(world)
    assert (event.outcome, event.status) == (Outcome.REFUSED, 403)
    assert "secret" not in str(world.audited())


@pytest.mark.parametrize("kind", ASKED, ids=lambda kind: kind.__name__)
async def test_fx_02_who_hangs_up_is_nobody_and_holds_nothing(kind) -> None:
    world = World(judged_by(pending_per_address=1))
    answer = world.answers.by_type[kind]
    breaking(world, kind, asyncio.CancelledError)
    with pytest.raises(asyncio.CancelledError):
        await verify(world)
    assert (await event_of(world)).reason == Reason.PEER_LEFT.value
    world.answers.by_type[kind] = answer
    assert isinstance(await verify(world), Admission)
