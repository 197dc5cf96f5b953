"""Who may use the admin API is asked anew at each request; failures count against their address, and all is audited.

Only failures count: no neighbour of an operator on the same address can lock him out by failing (ANO-05). A token can't
be guessed, so the rate is there for the noise.
"""

from dataclasses import replace
from typing import Final

from doorward.core.administering import prove_administrator, read_admin_token
from doorward.core.auditing import MAX_DETAIL, clean, handshake_event
from doorward.core.peering import presumed_peer
from doorward.ports import Entropy, Store, StoreError, TokenSigner
from doorward.service.asking import Answers, drive
from doorward.service.watch import Watch
from doorward.values.administrator import ADMIN_AUDIENCE, ADMIN_TYPE, Administrator, AdminRole
from doorward.values.audit import EventKind, Outcome, Trail
from doorward.values.credential import Kind, Place
from doorward.values.decision import Deny, Reason, Step
from doorward.values.handshake import Handshake
from doorward.values.ids import new_id
from doorward.values.peer import Peer, Wire, network_of
from doorward.values.principal import Identity

RATE: Final = "admin_refusals_per_address"
_OURS: Final = frozenset({Reason.STORE_UNAVAILABLE, Reason.VERIFIER_UNAVAILABLE, Reason.INTERNAL})


class Administrators:
    """`answers` are the door's: the same keys, and the same copy of the revocation log."""

    def __init__(self, *, watch: Watch, store: Store, answers: Answers) -> None:
        self._watch = watch
        self._store = store
        self._answers = answers

    def peer(self, wire: Wire, handshake: Handshake | None) -> Peer:
        """To whom a failure is put down. The admin listener lets no address in or keeps it out."""
        return presumed_peer(wire, handshake, self._watch.rules)

    async def admit(self, handshake: Handshake, peer: Peer) -> Administrator | Deny:
        """The administrator, or why not. A refusal costs the address one; one too many is told to wait."""
        judged = await self._judge(handshake)
        if not isinstance(judged, Deny) or judged.reason in _OURS:
            return judged
        try:
            wait = await self._store.rates.take(
                name=RATE,
                key=network_of(peer.address or peer.direct),
                rate=self._watch.rules.limits.refusals_per_address,
                cost=1,
                now=self._watch.clock.now(),
            )
        except StoreError:
            return Deny(Reason.STORE_UNAVAILABLE, Step.ADDRESS)
        return Deny(Reason.ADDRESS_REFUSALS, Step.ADDRESS, retry_after=wait) if wait > 0 else judged

    async def _judge(self, handshake: Handshake) -> Administrator | Deny:
        shown = read_admin_token(handshake)
        if isinstance(shown, Deny):
            return shown
        watch = self._watch
        try:
            steps = prove_administrator(shown, watch.rules, now=watch.clock.now())
            return await drive(steps, self._answers.by_type, watch.clock)
        except Exception as error:  # noqa: BLE001 - a bug of ours: audited, and a refusal
            watch.events.fault("administrators", error)
            return Deny(Reason.INTERNAL, Step.PROVE)

    def refused(
        self,
        handshake: Handshake,
        peer: Peer,
        deny: Deny,
        *,
        status: int,
        administrator: Administrator | None = None,
    ) -> None:
        """Audit an attempt that came to nothing: of an administrator's, or of nobody we know."""
        self._emit(handshake, peer, deny, administrator=administrator, status=status, detail=deny.note)

    def done(self, handshake: Handshake, peer: Peer, administrator: Administrator, *, status: int, what: str) -> None:
        """Audit an administrator's act: `what` says what was so before, and what is so now."""
        self._emit(handshake, peer, None, administrator=administrator, status=status, detail=what)

    def _emit(
        self,
        handshake: Handshake,
        peer: Peer,
        deny: Deny | None,
        *,
        administrator: Administrator | None,
        status: int,
        detail: str,
    ) -> None:
        trail = Trail(
            peer=peer,
            origin=handshake.one("origin") or "",
            user_agent=handshake.one("user-agent") or "",
            path=handshake.path,
        )
        if administrator is not None:
            trail.identity = Identity(self._issuer(), administrator.name)
            trail.kind, trail.place = Kind.TOKEN, Place.HEADER
            who = f"{administrator.role.value} jti={administrator.token_id}"
            detail = f"{who} {handshake.method}" + (f": {detail}" if detail else "")
        event = handshake_event(trail, deny, duration=None)
        self._watch.events.emit(
            replace(
                event,
                kind=EventKind.HTTP if administrator is None else EventKind.ADMIN,
                outcome=_outcome(deny),
                status=status,
                detail=clean(detail, MAX_DETAIL),
            )
        )

    def _issuer(self) -> str:
        return next((name for name, issuer in self._watch.rules.issuers.items() if issuer.own), "")


def issue_admin_token(
    signer: TokenSigner, *, name: str, role: AdminRole, life: float, issuer: str, now: float, entropy: Entropy
) -> tuple[str, Administrator]:
    """A token for the admin API, and what it proves; `life` in seconds. With a fractional iat, as all of ours."""
    made = Administrator(
        name=name,
        role=role,
        token_id=new_id(entropy.bytes(16)),
        issued_at=round(now, 6),
        expires_at=round(now + life, 6),
    )
    claims: dict[str, object] = {
        "iss": issuer,
        "aud": ADMIN_AUDIENCE,
        "sub": made.name,
        "role": made.role.value,
        "iat": made.issued_at,
        "exp": made.expires_at,
        "jti": made.token_id,
    }
    return signer.sign(typ=ADMIN_TYPE, claims=claims), made


def _outcome(deny: Deny | None) -> Outcome:
    if deny is None:
        return Outcome.DONE
    return Outcome.FAILED if deny.reason in _OURS else Outcome.REFUSED
