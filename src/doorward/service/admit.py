"""The door of one worker: runs the core's admission for every handshake, and gives back what a refusal had taken.

Every handshake that comes here, or that the front refused before, leaves exactly one AuditEvent.
"""

from collections.abc import Callable
from typing import Final

from doorward.core.admission import admit
from doorward.core.auditing import handshake_event
from doorward.core.peering import presumed_peer
from doorward.core.verifying import original_of
from doorward.ports import Connector, Entropy, Store
from doorward.service.asking import Answers, Passage, Pending, Visit, drive
from doorward.service.chance import seconds_within
from doorward.service.live import Live
from doorward.service.patience import patient
from doorward.service.watch import Watch
from doorward.service.within import Within
from doorward.values.admission import Admission
from doorward.values.audit import Trail
from doorward.values.decision import MISSING, Allow, Answer, Decision, Deny, Found, Reason, Step
from doorward.values.handshake import Handshake
from doorward.values.ids import new_id
from doorward.values.peer import Wire
from doorward.values.question import Register

UNRECORDED: Final = "the audit log can't be written"
UNREAD: Final = "the revocation log can't be read, or too slowly"


class Door:
    """Admission over one worker's stores. `draining` refuses everything new."""

    def __init__(
        self,
        *,
        watch: Watch,
        store: Store,
        answers: Answers,
        entropy: Entropy,
        admission_timeout: Callable[[], float],
    ) -> None:
        self._watch = watch
        self._store = store
        self._answers = answers
        self._entropy = entropy
        self._admission_timeout = admission_timeout
        self._pending = Pending()
        self._back_within = 0.0
        self.draining = False

    def drain(self, *, back_within: float) -> None:
        """Refuse everybody from now on. Those who were inside come back within so many seconds, and whoever is refused
        meanwhile is one of them: sent away for a random part of it, so that no herd gathers before a closed door."""
        self.draining = True
        self._back_within = back_within

    def _drained(self, step: Step) -> Deny:
        return Deny(Reason.DRAINING, step, retry_after=seconds_within(self._back_within, self._entropy))

    @property
    def is_shut(self) -> bool:
        """Is everybody refused just now? While draining, while nothing can be recorded, and while the log is away."""
        return self.draining or self._watch.events.losing or self._watch.log_is_away

    async def admit(self, handshake: Handshake, wire: Wire, connector: Connector) -> Live | Deny:
        """Decide on a handshake: a Live, registered and with its slot, or a Deny that is audited already.

        Never raises but CancelledError (the peer is gone), and then nothing stays taken.
        """
        clock = self._watch.clock
        started = clock.now()
        trail = Trail()
        registered: list[Live] = []
        passage = Passage(
            self._answers,
            self._store.slots,
            self._pending,
            connector,
            lambda question: self._register(question, registered),
        )
        decision: Decision = Deny(Reason.PEER_LEFT, Step.HEAD)
        try:
            decision = await self._decide(handshake, wire, passage, trail, now=started)
        finally:
            passage.arrived()
            for live in registered:
                self._watch.entering.discard(live.connection)
                if isinstance(decision, Deny):
                    live.withdraw()
            if isinstance(decision, Deny) and passage.slot is not None:
                self._watch.release(passage.slot)
            self._watch.replace(passage.replaced)
            self._audit(trail, decision, wire, handshake, duration=clock.now() - started)
        if isinstance(decision, Deny):
            return patient(decision, self._entropy)
        live = registered[0]
        self._watch.opened(live)
        return live

    async def verify(self, asked: Handshake, wire: Wire) -> Admission | Deny:
        """Decide on the handshake that a trusted proxy asks about, as on any other; the Deny is audited already.

        What it costs is spent: a ticket, the rates. Nothing stays taken, and no revocation finds the socket that the
        proxy then opens. Never raises but CancelledError.
        """
        clock = self._watch.clock
        started = clock.now()
        trail = Trail(path=asked.path)
        visit = Visit(self._answers, self._pending)
        decision: Decision = Deny(Reason.PEER_LEFT, Step.HEAD)
        try:
            handshake = original_of(asked, wire, self._watch.rules)
            if isinstance(handshake, Deny):
                decision = handshake
            else:
                decision = await self._decide(handshake, wire, visit, trail, now=started)
        finally:
            visit.arrived()
            self._audit(trail, decision, wire, asked, duration=clock.now() - started, verified=True)
        return patient(decision, self._entropy) if isinstance(decision, Deny) else decision.admission

    async def _decide(self, handshake: Handshake, wire: Wire, passage: Visit, trail: Trail, *, now: float) -> Decision:
        watch = self._watch
        if self.draining:
            return self._drained(Step.HEAD)
        if watch.connections.full and isinstance(passage, Passage):
            return Deny(Reason.OVERLOADED, Step.HEAD, retry_after=1.0)
        if watch.log_is_away:
            return Deny(Reason.STORE_UNAVAILABLE, Step.HEAD, note=UNREAD)
        if watch.events.losing:
            return Deny(Reason.STORE_UNAVAILABLE, Step.HEAD, note=f"{UNRECORDED}: {watch.events.why_losing}")
        steps = admit(handshake, wire, watch.rules, connection=new_id(self._entropy.bytes(16)), trail=trail, now=now)
        try:
            with Within(self._admission_timeout()):
                decision = await drive(steps, passage.by_type, watch.clock)
            return self._told(decision)
        except TimeoutError:
            if not passage.at_backend:
                return Deny(Reason.ADMISSION_TIMEOUT, Step.PROVE)
            backend = trail.route.backend if trail.route is not None else None
            return Deny(Reason.BACKEND_TIMEOUT, Step.BACKEND, note=f"{backend}: no answer before admission_timeout")
        except Exception as error:  # noqa: BLE001 - a bug of ours: audited, and a refusal
            watch.events.fault("admission", error)
            return Deny(Reason.INTERNAL, Step.HEAD)

    def _register(self, question: Register, registered: list[Live]) -> Answer[object]:
        watch = self._watch
        if self.draining:
            return MISSING
        live = Live(question.admission, watch, now=watch.clock.now())
        if not watch.connections.add(live):
            return MISSING
        watch.entering.add(live.connection)
        registered.append(live)
        return Found(None)

    def refuse(self, wire: Wire, deny: Deny, handshake: Handshake | None = None, *, verified: bool = False) -> None:
        """Audit what was refused before the door, and charge it to the address. `verified`: as one asked about."""
        trail = Trail()
        if handshake is not None:
            trail.path = handshake.path
            trail.origin = handshake.one("origin") or ""
            trail.user_agent = handshake.one("user-agent") or ""
        self._audit(trail, deny, wire, handshake, duration=None, verified=verified)

    def _audit(
        self,
        trail: Trail,
        decision: Decision,
        wire: Wire,
        handshake: Handshake | None,
        *,
        duration: float | None,
        verified: bool = False,
    ) -> None:
        refused = decision if isinstance(decision, Deny) else None
        if trail.peer is None:
            trail.peer = presumed_peer(wire, handshake, self._watch.rules)
        if isinstance(decision, Allow):
            trail.connection = decision.admission.connection
        self._watch.events.emit(handshake_event(trail, refused, duration=duration, verified=verified))
        if refused is not None:
            self._watch.charge(trail.peer, refused)

    def _told(self, decision: Decision) -> Decision:
        """A drain that began meanwhile is one: `_register` said no."""
        if self.draining and isinstance(decision, Deny) and decision.reason is Reason.OVERLOADED:
            return self._drained(Step.REGISTER)
        return decision
