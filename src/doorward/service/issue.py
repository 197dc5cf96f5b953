"""The desk: what our own HTTP endpoints hand out, tickets and renewals, after the same first steps as the door."""

from dataclasses import dataclass, replace
from typing import Final, TypeVar

from doorward.core.attending import attend
from doorward.core.auditing import handshake_event
from doorward.core.peering import presumed_peer
from doorward.core.proving import Steps, digest, prove
from doorward.ports import Entropy, Neighbours, Store, StoreError
from doorward.service.asking import Answers, drive
from doorward.service.outside import Outside, Renewed
from doorward.service.patience import patient
from doorward.service.watch import Watch
from doorward.service.within import Within, answered
from doorward.values.audit import AuditEvent, EventKind, Trail
from doorward.values.credential import Credential, Kind
from doorward.values.decision import Deny, Reason, Step
from doorward.values.handshake import Handshake
from doorward.values.ids import new_id
from doorward.values.peer import Peer, Wire
from doorward.values.secret import Secret
from doorward.values.ticket import Ticket

T = TypeVar("T")

LIVE_TICKETS: Final = 10
MAX_PATH: Final = 1024
DESK_WITHIN: Final = 3.0
"""Seconds for one errand at the desk, which has three at the most: all before an exchange's own end."""


@dataclass(frozen=True, slots=True)
class Attended:
    """A request that was let in to an endpoint of ours."""

    peer: Peer
    origin: str | None
    trail: Trail


@dataclass(frozen=True, slots=True)
class IssuedTicket:
    """`expires_in` in seconds; `connection` is the id that the handshake will get."""

    code: Secret
    expires_in: float
    connection: str


class Desk:
    """`ticket_ttl` in seconds. `neighbours`: the other workers of this node, where there are any."""

    def __init__(
        self,
        *,
        watch: Watch,
        store: Store,
        answers: Answers,
        entropy: Entropy,
        ticket_ttl: float,
        neighbours: Neighbours | None = None,
    ) -> None:
        self.outside = Outside(watch, neighbours)
        self._watch = watch
        self._store = store
        self._answers = answers
        self._entropy = entropy
        self.ticket_ttl = ticket_ttl
        self.within = DESK_WITHIN

    async def attend(self, handshake: Handshake, wire: Wire, *, writes: bool) -> Attended | Deny:
        """Host, transport, address and, for what changes state, where a browser came from. A refusal is audited."""
        trail = Trail(path=handshake.path)
        judged = await self._judge(attend(handshake, wire, self._watch.rules, writes=writes, trail=trail))
        if isinstance(judged, Deny):
            if trail.peer is None:
                trail.peer = presumed_peer(wire, handshake, self._watch.rules)
            self._refused(EventKind.HTTP, trail, judged)
            return judged
        return Attended(judged, handshake.one("origin"), trail)

    async def ticket(self, attended: Attended, credential: Credential, *, path: str | None) -> IssuedTicket | Deny:
        """Sell a ticket for a good token: it lends the token's identity, permissions and expiry, and dies with it."""
        trail = attended.trail
        trail.kind, trail.place = credential.kind, credential.place
        sold = await self._sell(attended, credential, path)
        if isinstance(sold, Deny):
            self._refused(EventKind.TICKET, trail, sold)
        else:
            self._watch.events.emit(self._event(EventKind.TICKET, trail, connection=sold.connection))
        return sold

    async def _sell(self, attended: Attended, credential: Credential, path: str | None) -> IssuedTicket | Deny:
        if credential.kind is not Kind.TOKEN:
            return Deny(Reason.CREDENTIAL_MISPLACED, Step.READ)
        if path is not None and (not path.startswith("/") or len(path) > MAX_PATH):
            return Deny(Reason.TARGET_MALFORMED, Step.UPGRADE)
        connection = new_id(self._entropy.bytes(16))
        now = self._watch.clock.now()
        proof = await self._judge(
            prove(
                credential,
                self._watch.rules,
                connection=connection,
                path=path or "",
                origin=attended.origin,
                trail=attended.trail,
                now=now,
            )
        )
        if isinstance(proof, Deny):
            return proof
        principal, _, _, now = proof
        limited = await self._limited(principal.identity)
        if limited is not None:
            return limited
        code = new_id(self._entropy.bytes(32))
        expires_at = now + self.ticket_ttl
        if principal.expires_at is not None:
            expires_at = min(expires_at, principal.expires_at)
        ticket = Ticket(
            digest=digest(code),
            principal=principal,
            connection=connection,
            issued_at=now,
            expires_at=expires_at,
            path=path,
            origin=attended.origin,
        )
        try:
            await answered(self._store.tickets.put(ticket, most=LIVE_TICKETS), within=self.within)
        except StoreError:
            return patient(Deny(Reason.STORE_UNAVAILABLE, Step.PROVE), self._entropy)
        return IssuedTicket(Secret(code), expires_at - now, connection)

    async def _limited(self, identity: tuple[str, str, str]) -> Deny | None:
        limits = self._watch.rules.limits
        try:
            wait = await answered(
                self._store.rates.take(
                    name="tickets_per_subject",
                    key="\n".join(identity),
                    rate=limits.handshakes_per_subject,
                    cost=1,
                    now=self._watch.clock.now(),
                ),
                within=self.within,
            )
        except StoreError:
            return patient(Deny(Reason.STORE_UNAVAILABLE, Step.PERMIT), self._entropy)
        return Deny(Reason.IDENTITY_RATE, Step.PERMIT, retry_after=wait) if wait > 0 else None

    async def renew(self, attended: Attended, *, connection: str, credential: Credential) -> Renewed | Deny:
        """Renew a live connection of this node from outside. Audited by the watch as every renewal is; a refusal also
        here, for who asked need not be whose connection it is."""
        renewed = await self.outside.renew(connection, credential)
        if isinstance(renewed, Deny):
            self._refused(EventKind.HTTP, attended.trail, renewed, connection=connection)
        return renewed

    def refuse(
        self, deny: Deny, *, wire: Wire, handshake: Handshake | None = None, attended: Attended | None = None
    ) -> None:
        """Audit what an endpoint refused by itself (a head, a path, a method, a body), and charge it to the address."""
        if attended is not None:
            trail = attended.trail
        else:
            trail = Trail(peer=presumed_peer(wire, handshake, self._watch.rules))
            if handshake is not None:
                trail.path = handshake.path
                trail.origin = handshake.one("origin") or ""
                trail.user_agent = handshake.one("user-agent") or ""
        self._refused(EventKind.HTTP, trail, deny)

    async def _judge(self, steps: Steps[T]) -> T | Deny:
        if self._watch.log_is_away:
            return patient(Deny(Reason.STORE_UNAVAILABLE, Step.HEAD), self._entropy)
        try:
            with Within(self.within):
                judged = await drive(steps, self._answers.by_type, self._watch.clock)
            return patient(judged, self._entropy) if isinstance(judged, Deny) else judged
        except TimeoutError:
            return patient(Deny(Reason.ADMISSION_TIMEOUT, Step.PROVE), self._entropy)
        except Exception as error:  # noqa: BLE001 - a bug of ours: audited, and a refusal
            self._watch.events.fault("desk", error)
            return Deny(Reason.INTERNAL, Step.HEAD)

    def _refused(self, kind: EventKind, trail: Trail, deny: Deny, *, connection: str = "") -> None:
        self._watch.events.emit(self._event(kind, trail, deny=deny, connection=connection))
        if trail.peer is not None:
            self._watch.charge(trail.peer, deny)

    def _event(self, kind: EventKind, trail: Trail, *, deny: Deny | None = None, connection: str = "") -> AuditEvent:
        event = handshake_event(trail, deny, duration=None)
        return replace(event, kind=kind, connection=connection, status=201 if deny is None else event.status)
