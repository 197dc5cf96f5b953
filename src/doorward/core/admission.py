"""The door: thirteen numbered steps from a handshake to a decision, in one order, without a line of I/O.

`admit` yields Questions and is sent (Answer, now) pairs; whoever drives it asks the stores and never decides.
The same `prove` serves the handshake, the renewal and the buying of a ticket: there is no second door.
PRODUCT section 6 numbers the steps; `doorward explain` prints them.
"""

from typing import Final, assert_never

from doorward.core import forwarding, leases
from doorward.core.handshakes import offered_protocols, upgrade_fault
from doorward.core.origins import judge_origin
from doorward.core.peering import peer_of
from doorward.core.permissions import permits
from doorward.core.proving import Steps, digest, prove, unrevoked
from doorward.core.reading import CONTROL, PLAIN, csrf_of, read
from doorward.core.routing import Parameters, fill, find_route
from doorward.values.admission import Admission, BackendAnswer
from doorward.values.audit import Trail
from doorward.values.credential import AMBIENT, Kind, Place
from doorward.values.decision import MISSING, Allow, Decision, Deny, Found, Reason, Step
from doorward.values.handshake import Handshake
from doorward.values.peer import Peer, Wire, network_of
from doorward.values.principal import Principal
from doorward.values.question import (
    AskBan,
    BackendFailed,
    OpenBackend,
    Register,
    Slot,
    SlotsFull,
    TakePending,
    TakeRate,
    TakeSlot,
)
from doorward.values.rules import Compression, ControlMessages, Rate, Route, Rules
from doorward.values.session import Session

_EXPIRED: Final = {
    Kind.TOKEN: Reason.TOKEN_EXPIRED,
    Kind.TICKET: Reason.TICKET_EXPIRED,
    Kind.SESSION: Reason.SESSION_EXPIRED,
    Kind.PASSWORD: Reason.SESSION_EXPIRED,
    Kind.CERTIFICATE: Reason.SESSION_EXPIRED,
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
    if (fault := (yield from address_fault(peer, rules))) is not None:
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
    public = forwarding.public_offers(offers)
    deflate = route.compression is Compression.PASS and not controls and forwarding.has_deflate(handshake)
    backend, now = yield OpenBackend(
        handshake=handshake,
        route=route,
        parameters=parameters,
        peer=peer,
        principal=principal,
        connection=connection,
        protocols=public,
        deflate=deflate,
    )
    match backend:
        case Found(BackendAnswer(protocol, extension)) if protocol is None or protocol in public:
            pass
        case Found(BackendAnswer()):
            return Deny(Reason.BACKEND_NONSENSE, Step.BACKEND, note="a subprotocol that was not offered")
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
        path=handshake.path,
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
    registered, _ = yield Register(admission)
    if not isinstance(registered, Found):
        return Deny(Reason.OVERLOADED if registered is MISSING else Reason.STORE_UNAVAILABLE, Step.REGISTER)
    current = yield from unrevoked(principal, rules, connection=connection, step=Step.REGISTER)
    if isinstance(current, Deny):
        return current
    current_principal, now = current
    if current_principal != principal:
        return Deny(Reason.REVOKED_BEFORE, Step.REGISTER, note="roles changed during the handshake")
    if principal.expires_at is not None and now >= principal.expires_at:
        return Deny(_EXPIRED[credential.kind], Step.REGISTER, note="ran out during the handshake")
    return Allow(admission)


def permit(principal: Principal, route: Route, parameters: Parameters, rules: Rules) -> Steps[Deny | None]:
    """Step 10: not banned, within the identity's rate, with the route's permission and required claims."""
    fault = yield from banned(principal)
    if fault is not None:
        return fault
    limited = yield from _rate(
        "handshakes_per_subject",
        "\n".join(principal.identity),
        rules.limits.handshakes_per_subject,
        Reason.IDENTITY_RATE,
        Step.PERMIT,
    )
    return limited or entitled(principal, route, parameters)


def banned(principal: Principal) -> Steps[Deny | None]:
    """Is the identity banned? What can't be found out is not let in."""
    answer, _ = yield AskBan(identity=principal.identity)
    if answer is MISSING:
        return None
    return Deny(Reason.IDENTITY_BANNED if isinstance(answer, Found) else Reason.STORE_UNAVAILABLE, Step.PERMIT)


def entitled(principal: Principal, route: Route, parameters: Parameters) -> Deny | None:
    """Does the principal have the route's permission and required claims? Pure: also asked at every renewal."""
    if route.permission is not None:
        wanted = fill(route.permission, parameters)
        # the rest of a path may hold what parts permissions: it must not add a part that a wildcard would cover
        is_whole = wanted.count(":") == route.permission.count(":") and "*" not in wanted
        if not is_whole or not permits(principal.permissions, wanted):
            return Deny(Reason.PERMISSION, Step.PERMIT, note=f"wants {wanted}")
    for name, template in route.require:
        value = principal.identity.tenant if name == "tenant" else principal.claims.get(name)
        if not isinstance(value, str) or not value or value != fill(template, parameters):
            return Deny(Reason.CLAIM_REQUIRED, Step.PERMIT, note=f"claim {name}")
    return None


def address_fault(peer: Peer, rules: Rules, *, pending: bool = True) -> Steps[Deny | None]:
    """Step 4: not banned, not too many at once, strict for those that were refused, wide for all.

    `pending`: count it among the handshakes that this address has under way.
    """
    key, limits = network_of(peer.address), rules.limits
    if pending:  # before anything that may take its time: a store that hangs must not be what gathers them (RAT-05)
        answer, _ = yield TakePending(key, limits.pending_per_address)
        if answer is MISSING:
            return Deny(Reason.ADDRESS_PENDING, Step.ADDRESS, retry_after=1.0)
        if not isinstance(answer, Found):
            return Deny(Reason.STORE_UNAVAILABLE, Step.ADDRESS)
    if peer.address is not None:
        answer, _ = yield AskBan(address=peer.address)
        if answer is not MISSING:
            reason = Reason.ADDRESS_BANNED if isinstance(answer, Found) else Reason.STORE_UNAVAILABLE
            return Deny(reason, Step.ADDRESS)
    refusals, handshakes = limits.refusals_per_address, limits.handshakes_per_address
    limited = yield from _rate("refusals_per_address", key, refusals, Reason.ADDRESS_REFUSALS, Step.ADDRESS, cost=0)
    if limited is not None:
        return limited
    return (yield from _rate("handshakes_per_address", key, handshakes, Reason.ADDRESS_RATE, Step.ADDRESS))


def _rate(name: str, key: str, rate: Rate, spent: Reason, step: Step, *, cost: int = 1) -> Steps[Deny | None]:
    """Deny for the reason `spent` when the rate is."""
    answer, _ = yield TakeRate(name=name, key=key, rate=rate, cost=cost)
    match answer:
        case Found(0.0):
            return None
        case Found(float() as wait):
            return Deny(spent, step, retry_after=wait)
        case _:
            return Deny(Reason.STORE_UNAVAILABLE, step)


def _slot(principal: Principal, peer: Peer, route: Route, rules: Rules, connection: str) -> Steps[Deny | None]:
    """Step 11: a place for this connection, under the identity's limit and the address's."""
    limits = rules.limits
    answer, _ = yield TakeSlot(
        connection=connection,
        identity=principal.identity,
        address=network_of(peer.address),
        per_identity=min(limits.connections_per_subject, route.limits.connections_per_subject),
        per_address=limits.connections_per_address,
        when_full=limits.when_full,
    )
    match answer:
        case Found(SlotsFull(reason)):
            return Deny(reason, Step.SLOT, retry_after=None)
        case Found(Slot()):
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
