"""The door: thirteen numbered steps from a handshake to a decision, in one order, without a line of I/O.

`admit` yields Questions and is sent (Answer, now) pairs; whoever drives it asks the stores and never decides.
The same `prove` serves the handshake, the renewal and the buying of a ticket: there is no second door.
PRODUCT section 6 numbers the steps; `doorward explain` prints them.
"""

import hashlib
from collections.abc import Generator
from typing import Final, TypeVar, assert_never

from doorward.core import forwarding, leases, revocation
from doorward.core.handshakes import offered_protocols, upgrade_fault
from doorward.core.judging.sessions import judge_session
from doorward.core.judging.tickets import judge_ticket
from doorward.core.judging.tokens import choose_issuer, judge_token
from doorward.core.origins import judge_origin
from doorward.core.peering import peer_of
from doorward.core.permissions import effective, permits
from doorward.core.reading import CONTROL, PLAIN, csrf_of, read
from doorward.core.routing import Parameters, fill, find_route
from doorward.core.tokens import parse_token
from doorward.values.admission import Admission, BackendAnswer
from doorward.values.audit import Trail
from doorward.values.credential import AMBIENT, Credential, Kind, Place
from doorward.values.decision import MISSING, Allow, Answer, Decision, Deny, Found, Reason, Step
from doorward.values.handshake import Handshake
from doorward.values.peer import Peer, Wire, network_of
from doorward.values.principal import Principal
from doorward.values.question import (
    AskBan,
    AskRevocations,
    BackendFailed,
    FetchSession,
    OpenBackend,
    Question,
    Register,
    SlotsFull,
    SpendTicket,
    TakePending,
    TakeRate,
    TakeSlot,
    VerifySignature,
)
from doorward.values.revocation import Effect
from doorward.values.rules import Compression, ControlMessages, Rate, Route, Rules
from doorward.values.session import Session
from doorward.values.ticket import SpentTicket, Ticket
from doorward.values.token import Signature

T = TypeVar("T")
Reply = tuple[Answer[object], float]
Steps = Generator[Question, Reply, T]

_SIGNATURES: Final = {
    Signature.BAD: Reason.TOKEN_SIGNATURE,
    Signature.KEY_UNKNOWN: Reason.TOKEN_KEY,
    Signature.KEY_UNFIT: Reason.TOKEN_KEY,
}


def admit(
    handshake: Handshake, wire: Wire, rules: Rules, *, connection: str, trail: Trail, now: float
) -> Steps[Decision]:
    """Decide on one handshake. `connection` is a fresh random id, `now` epoch seconds; `trail` is filled in on the way.

    Step 1, the head itself, is `parse_head`'s. Whatever was taken (a pending place, a slot, the backend, the place in
    the table) is given back by the driver unless the decision is Allow.
    """
    trail.path, trail.user_agent = handshake.path, handshake.one("user-agent") or ""
    trail.origin = handshake.one("origin") or ""

    # 2: a strict upgrade, for one of our hosts
    routed = find_route(rules.routes, handshake.path)
    if (fault := upgrade_fault(handshake, rules, routed=routed is not None)) is not None:
        return fault

    # 3: the transport, and behind trusted proxies the real peer
    peer = peer_of(wire, handshake, rules)
    if isinstance(peer, Deny):
        return peer
    trail.peer = peer

    # 4: the peer's address
    if (fault := (yield from _address(peer, rules))) is not None:
        return fault

    # 5: the route
    if routed is None:
        return Deny(Reason.ROUTE_UNKNOWN, Step.ROUTE)
    route, parameters = routed
    trail.route = route

    # 6: the Origin, before any credential is looked at (ORG-05)
    origin = handshake.one("origin")
    if (fault := judge_origin(origin, rules.origins, route.without_origin)) is not None:
        return fault

    # 7: exactly one credential, in its place
    credential = read(handshake, route)
    if isinstance(credential, Deny):
        return credential
    trail.kind, trail.place = credential.kind, credential.place
    if credential.kind in AMBIENT and origin is None:
        return Deny(Reason.ORIGIN_MISSING, Step.ORIGIN)

    # 8: the credential is good, and not withdrawn
    proof = yield from prove(
        credential, rules, connection=connection, path=handshake.path, origin=origin, trail=trail, now=now
    )
    if isinstance(proof, Deny):
        return proof
    principal, connection, session, now = proof

    # 9: what came by cookie needs its second proof
    if credential.place is Place.COOKIE and not _csrf_holds(handshake, session):
        return Deny(Reason.CSRF, Step.CSRF)

    # 10: this identity may, here, now
    permitted = yield from permit(principal, route, parameters, rules)
    if permitted is not None:
        return permitted

    # 11: there is room
    slot = yield from _slot(principal, peer, route, rules, connection)
    if slot is not None:
        return slot

    # 12: the backend says yes as well
    controls = _controls_on(handshake, route)
    offers = offered_protocols(handshake) or ()
    deflate = route.compression is Compression.PASS and not controls and forwarding.has_deflate(handshake)
    backend, now = yield from _ask(
        OpenBackend(
            handshake=handshake,
            route=route,
            parameters=parameters,
            peer=peer,
            principal=principal,
            connection=connection,
            protocols=forwarding.public_offers(offers),
            deflate=deflate,
        )
    )
    match backend:
        case Found(BackendAnswer(protocol, extension)):
            pass
        case Found(BackendFailed(reason, note)):
            return Deny(reason, Step.BACKEND, note=note)
        case _:
            return Deny(Reason.BACKEND_UNREACHABLE, Step.BACKEND)

    # 13: registered first, then the log once more: no gap in which a revocation misses it (REV-02)
    renewable = controls or credential.kind is Kind.TICKET
    admission = Admission(
        connection=connection,
        principal=principal,
        lease=leases.grant(route.lease, expires_at=principal.expires_at, renewable=renewable, opened_at=now, now=now),
        route=route,
        parameters=parameters,
        peer=peer,
        origin=origin,
        kind=credential.kind,
        place=credential.place,
        controls=controls,
        renewable=renewable,
        protocol=protocol or _our_protocol(offers),
        deflate=extension if deflate else None,
    )
    registered, _ = yield from _ask(Register(admission))
    if not isinstance(registered, Found):
        return Deny(Reason.OVERLOADED if registered is MISSING else Reason.STORE_UNAVAILABLE, Step.REGISTER)
    current = yield from unrevoked(principal, rules, connection=connection, step=Step.REGISTER)
    if isinstance(current, Deny):
        return current
    if current[0] != principal:
        return Deny(Reason.REVOKED_BEFORE, Step.REGISTER, note="roles changed during the handshake")
    return Allow(admission)


def prove(
    credential: Credential,
    rules: Rules,
    *,
    connection: str,
    path: str,
    origin: str | None,
    trail: Trail,
    now: float,
) -> Steps[tuple[Principal, str, Session | None, float] | Deny]:
    """Step 8, for every use of a credential: verified, in time, not revoked, its roles as the log says.

    Returns the principal, the connection id (a ticket brings its own), the session for step 9, and the time by then.
    """
    session: Session | None = None
    match credential.kind:
        case Kind.TOKEN:
            judged: Principal | Deny
            judged, now = yield from _prove_token(credential, rules, now)
        case Kind.TICKET:
            answer, now = yield from _ask(SpendTicket(digest(credential.secret.expose())))
            match answer:
                case Found(Ticket() | SpentTicket() as held):
                    ticket = judge_ticket(held, path=path, origin=origin, now=now)
                case _:
                    unknown = answer is MISSING
                    return Deny(Reason.TICKET_UNKNOWN if unknown else Reason.STORE_UNAVAILABLE, Step.PROVE)
            if isinstance(ticket, Deny):
                return ticket
            judged, connection = ticket
        case Kind.SESSION:
            answer, now = yield from _ask(FetchSession(digest(credential.secret.expose())))
            found = judge_session(answer, now=now)
            if isinstance(found, Deny):
                return found
            session, judged = found, found.principal
        case Kind.PASSWORD | Kind.CERTIFICATE:
            return Deny(Reason.CREDENTIAL_MISPLACED, Step.READ)
        case _:
            assert_never(credential.kind)
    if isinstance(judged, Deny):
        return judged
    trail.identity, trail.principal, trail.connection = judged.identity, judged, connection
    current = yield from unrevoked(judged, rules, connection=connection, step=Step.PROVE)
    if isinstance(current, Deny):
        return current
    principal, now = current
    trail.principal = principal
    return principal, connection, session, now


def _prove_token(credential: Credential, rules: Rules, now: float) -> Steps[tuple[Principal | Deny, float]]:
    token = parse_token(credential.secret.expose())
    if isinstance(token, Deny):
        return token, now
    issuer = choose_issuer(token, rules)
    if isinstance(issuer, Deny):
        return issuer, now
    answer, now = yield from _ask(VerifySignature(token))
    match answer:
        case Found(Signature.GOOD):
            return judge_token(token, issuer, rules, now=now), now
        case Found(Signature() as verdict):
            return Deny(_SIGNATURES[verdict], Step.PROVE), now
        case _:
            return Deny(Reason.VERIFIER_UNAVAILABLE, Step.PROVE), now


def unrevoked(
    principal: Principal, rules: Rules, *, connection: str, step: Step
) -> Steps[tuple[Principal, float] | Deny]:
    """The revocation log's word on a proof: Deny, or the principal with the roles that the log puts in place."""
    answer, now = yield from _ask(AskRevocations(principal, connection))
    if not isinstance(answer, Found):
        return Deny(Reason.STORE_UNAVAILABLE, step)
    revocations = answer.value
    if not isinstance(revocations, tuple):
        return Deny(Reason.INTERNAL, step)
    barred = revocation.refusal(revocations, principal, connection, rules.issuers)
    if barred is not None:
        note = "" if barred.effect is Effect.CLOSE else "a fresh credential is wanted"
        return Deny(Reason.REVOKED_BEFORE, step, note=note)
    roles = revocation.roles_of(revocations, principal, connection, rules.issuers)
    return (principal if roles is None else with_roles(principal, roles, rules)), now


def with_roles(principal: Principal, roles: tuple[str, ...], rules: Rules) -> Principal:
    """The principal with other roles, and the permissions that follow from them."""
    return Principal(
        identity=principal.identity,
        kind=principal.kind,
        issued_at=principal.issued_at,
        expires_at=principal.expires_at,
        session=principal.session,
        token_id=principal.token_id,
        roles=roles,
        granted=principal.granted,
        permissions=effective(principal.granted, roles, rules.roles),
        claims=principal.claims,
    )


def permit(principal: Principal, route: Route, parameters: Parameters, rules: Rules) -> Steps[Deny | None]:
    """Step 10: not banned, within the identity's rate, with the route's permission and required claims."""
    identity = principal.identity
    answer, _ = yield from _ask(AskBan(identity=identity))
    if answer is not MISSING:
        return Deny(Reason.IDENTITY_BANNED if isinstance(answer, Found) else Reason.STORE_UNAVAILABLE, Step.PERMIT)
    limited = yield from _rate(
        "handshakes_per_subject",
        "\n".join(identity),
        rules.limits.handshakes_per_subject,
        Deny(Reason.IDENTITY_RATE, Step.PERMIT),
    )
    return limited or entitled(principal, route, parameters)


def entitled(principal: Principal, route: Route, parameters: Parameters) -> Deny | None:
    """Does the principal have the route's permission and required claims? Pure: also asked at every renewal."""
    if route.permission is not None:
        wanted = fill(route.permission, parameters)
        if not permits(principal.permissions, wanted):
            return Deny(Reason.PERMISSION, Step.PERMIT, note=f"wants {wanted}")
    for name, template in route.require:
        value = principal.identity.tenant if name == "tenant" else principal.claims.get(name)
        if not isinstance(value, str) or not value or value != fill(template, parameters):
            return Deny(Reason.CLAIM_REQUIRED, Step.PERMIT, note=f"claim {name}")
    return None


def _address(peer: Peer, rules: Rules) -> Steps[Deny | None]:
    """Step 4: not banned, not too many at once, strict for those that were refused, wide for all."""
    key, limits = network_of(peer.address), rules.limits
    if peer.address is not None:
        answer, _ = yield from _ask(AskBan(address=peer.address))
        if answer is not MISSING:
            reason = Reason.ADDRESS_BANNED if isinstance(answer, Found) else Reason.STORE_UNAVAILABLE
            return Deny(reason, Step.ADDRESS)
    answer, _ = yield from _ask(TakePending(key, limits.pending_per_address))
    if not isinstance(answer, Found):
        return Deny(Reason.ADDRESS_PENDING, Step.ADDRESS, retry_after=1.0)
    refused = Deny(Reason.ADDRESS_REFUSALS, Step.ADDRESS)
    limited = yield from _rate("refusals_per_address", key, limits.refusals_per_address, refused, cost=0)
    return limited or (
        yield from _rate(
            "handshakes_per_address", key, limits.handshakes_per_address, Deny(Reason.ADDRESS_RATE, Step.ADDRESS)
        )
    )


def _rate(name: str, key: str, rate: Rate, refused: Deny, *, cost: int = 1) -> Steps[Deny | None]:
    answer, _ = yield from _ask(TakeRate(name=name, key=key, rate=rate, cost=cost))
    match answer:
        case Found(0.0):
            return None
        case Found(float() as wait):
            return Deny(refused.reason, refused.step, retry_after=wait)
        case _:
            return Deny(Reason.STORE_UNAVAILABLE, refused.step)


def _slot(principal: Principal, peer: Peer, route: Route, rules: Rules, connection: str) -> Steps[Deny | None]:
    """Step 11: a place for this connection, under the identity's limit and the address's."""
    limits = rules.limits
    answer, _ = yield from _ask(
        TakeSlot(
            connection=connection,
            identity=principal.identity,
            address=network_of(peer.address),
            per_identity=min(limits.connections_per_subject, route.limits.connections_per_subject),
            per_address=limits.connections_per_address,
            when_full=limits.when_full,
        )
    )
    match answer:
        case Found(SlotsFull(reason)):
            return Deny(reason, Step.SLOT, retry_after=None)
        case Found(_):
            return None
        case _:
            return Deny(Reason.STORE_UNAVAILABLE, Step.SLOT)


def _csrf_holds(handshake: Handshake, session: Session | None) -> bool:
    shown = csrf_of(handshake)
    return session is not None and shown is not None and digest(shown.expose()) == session.csrf_digest


def _controls_on(handshake: Handshake, route: Route) -> bool:
    match route.control_messages:
        case ControlMessages.ALWAYS:
            return True
        case ControlMessages.NEVER:
            return False
        case ControlMessages.OFFERED:
            return CONTROL in (offered_protocols(handshake) or ())
        case _:
            assert_never(route.control_messages)


def _our_protocol(offers: tuple[str, ...]) -> str | None:
    """The backend selected nothing: a browser that offered one of ours must see it answered, or it drops the socket."""
    return next((offer for offer in (CONTROL, PLAIN) if offer in offers), None)


def digest(code: str) -> bytes:
    """What the stores know of a ticket or session: SHA-256 of the code, which has 256 bits of its own (TKT-02)."""
    return hashlib.sha256(code.encode("utf-8", "surrogateescape")).digest()


def _ask(question: Question) -> Steps[Reply]:
    reply = yield question
    return reply
