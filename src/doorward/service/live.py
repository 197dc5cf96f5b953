"""One live connection: the lifecycle table's hands. It outlives nothing, and everything that ends it is audited once.

Everything here runs on the event loop's thread and never waits; what must wait (a renewal's verification) is the
Watch's, which reports back. Deadlines are absolute instants; `due` is the earliest of them.
"""

from typing import TYPE_CHECKING, Any, Final

from doorward.core import control as say
from doorward.core import leases
from doorward.core.admission import entitled
from doorward.core.auditing import NOTHING_PASSED, Counts, connection_event
from doorward.core.deadlines import (
    CLOSE_WITHIN,
    NEVER,
    PING_EVERY,
    PONG_WITHIN,
    REPORT_EVERY,
    Marks,
    next_due,
    over,
    renewal_is_due,
)
from doorward.core.endings import ENDINGS, close_text
from doorward.core.lifecycle import Action, Event, State, reason_of, step
from doorward.core.proving import with_roles
from doorward.core.renewing import Renewal, is_older
from doorward.ports import Hands
from doorward.values.admission import Admission
from doorward.values.audit import AuditEvent, EventKind, Outcome
from doorward.values.decision import Deny, Ended, Reason
from doorward.values.lease import InGrace
from doorward.values.message import Gate
from doorward.values.principal import Principal

if TYPE_CHECKING:
    from doorward.service.watch import Watch

REFUSED_RENEWALS: Final = 3


class Live:
    """A connection from its registration to its end. `admission.principal` is the handshake's; `principal` is now's."""

    __slots__ = (
        "_close_by",
        "_hands",
        "_ping_at",
        "_pong_by",
        "_refusals",
        "_refused_renewals",
        "_renewing",
        "_report_at",
        "_reported",
        "_watch",
        "admission",
        "bucket",
        "due",
        "ended",
        "lease",
        "opened_at",
        "principal",
        "route",
        "state",
    )

    def __init__(self, admission: Admission, watch: "Watch", *, now: float) -> None:
        self.admission = admission
        self.principal: Principal = admission.principal
        self.route = admission.route
        self.lease = admission.lease
        self.state = State.OPEN
        self.ended: Reason | Ended | None = None
        self.due = NEVER
        self.bucket = -1
        self._watch = watch
        self._hands: Hands | None = None
        self.opened_at = now
        self._ping_at = now + PING_EVERY
        self._pong_by = NEVER
        self._close_by = NEVER
        self._report_at = now + REPORT_EVERY
        self._reported = NOTHING_PASSED
        self._refusals = 0
        self._refused_renewals = 0
        self._renewing = False

    @property
    def connection(self) -> str:
        return self.admission.connection

    def attach(self, hands: Hands) -> None:
        """The 101 is written. What happened since the registration is done now: a revocation closes at once."""
        self._hands = hands
        if self.state is State.CLOSED:  # out of the table, so nothing would ever end it
            self._hands = None
            hands.cut()
        elif self.state is State.CLOSING:
            self._close(self.ended if isinstance(self.ended, Reason) else Reason.INTERNAL, at_once=False)
        else:
            self._announce()
            if self.state is State.RENEWING:
                self._ask()
        self._schedule()

    def abandon(self) -> None:
        """The 101 could not be written: the peer vanished before it was in."""
        self._happen(Event.PEER_GONE, ended=Ended.PEER_GONE)

    def withdraw(self) -> None:
        """The handshake was refused after its registration: it was never open, so there is no close to audit."""
        self.state = State.CLOSED
        self._watch.connections.remove(self)

    # what the relay reports

    def control(self, payload: bytes) -> None:
        """A control message came."""
        message = say.parse_control(payload)
        match message:
            case say.Ping():
                self._tell(say.PONG)
            case say.Malformed():
                self._happen(Event.PEER_FAULT, Reason.CONTROL_MALFORMED)
            case say.Auth():
                self._renew(message)

    def _renew(self, message: say.Auth) -> None:
        if self.state not in (State.OPEN, State.RENEWING):
            return
        if self._renewing:
            self._tell(say.refused(reason="rate_limited", retry_after=1.0, id=message.id))
            return
        self._renewing = True
        self._watch.renew(self, message.credential, message.id)

    def json_ping(self) -> None:
        self._tell(say.JSON_PONG)

    def refused(self, reason: Reason, retry_after: float) -> None:
        """The walker dropped one message whole. The peer is told where it can be; too many of them close."""
        self._refusals += 1
        ending = ENDINGS[reason]
        event = self._event(EventKind.REFUSED_MESSAGE, Outcome.REFUSED, reason=reason.value, ending=ending.name)
        self._watch.events.emit(event)
        if self._refusals > self.route.limits.refusals_before_close:
            self._happen(Event.PEER_FAULT, reason)
        else:
            self._tell(say.refused(reason=ending.name, retry_after=retry_after or None))

    def dropped(self, detail: str = "from the backend") -> None:
        """The backend sent what may not come from there, as a control message of ours: dropped, and audited."""
        self._watch.events.emit(self._event(EventKind.DROPPED_MESSAGE, Outcome.REFUSED, detail=detail))

    def pong(self) -> None:
        self._pong_by = NEVER

    def peer_fault(self, reason: Reason) -> None:
        self._happen(Event.PEER_FAULT, reason)

    def backend_fault(self, note: str, reason: Reason | None = None) -> None:
        self._happen(Event.BACKEND_FAULT, reason, note=note)

    def peer_closed(self, code: int | None, reason: str) -> None:
        self._happen(Event.PEER_CLOSED, ended=Ended.PEER_CLOSED, code=code)

    def backend_closed(self, code: int | None, reason: str) -> None:
        self._happen(Event.BACKEND_CLOSED, ended=Ended.BACKEND_CLOSED, code=code)

    def peer_gone(self) -> None:
        self._happen(Event.PEER_GONE, ended=Ended.PEER_GONE)

    def backend_gone(self) -> None:
        self._happen(Event.BACKEND_GONE)

    def wrong(self, error: BaseException) -> None:
        """Our own bug on this connection: audited, and closed with 1011 and no text about it."""
        self._watch.events.fault("relay", error)
        self._happen(Event.OUR_FAULT)

    def broken(self, error: BaseException) -> None:
        """Our own bug in what should keep it or end it: it ends here, the shortest way, and none of the others does."""
        self._watch.events.fault("live", error)
        hands, self._hands = self._hands, None
        if self.state is not State.CLOSED:
            self.state = State.CLOSED
            self._end(Reason.INTERNAL, code=None)
            self._finish()
        if hands is not None:
            hands.cut()

    # what the watch and the operator decide

    def revoke(self) -> None:
        self._happen(Event.REVOKED)

    def close_by_operator(self) -> None:
        self._happen(Event.OPERATOR_CLOSED)

    def replace(self) -> None:
        self._happen(Event.REPLACED)

    def drain(self, *, reconnect_after: float) -> None:
        self._happen(Event.DRAINED, retry_after=reconnect_after)

    def store_away(self, *, reconnect_after: float) -> None:
        self._happen(Event.STORE_AWAY, retry_after=reconnect_after)

    def demand_renewal(self, *, now: float, reconnect_after: int = 0) -> None:
        """Revocation with effect `renew`. Who can't renew ends, and comes back with a fresh credential."""
        if not self.admission.renewable:
            self._happen(Event.LEASE_OVER, retry_after=reconnect_after or None)
            return
        self.lease = leases.renew_now(self.lease, self.route.lease, expires_at=self.principal.expires_at, now=now)
        self._happen(Event.RENEWAL_DEMANDED)

    def put_roles(self, roles: tuple[str, ...]) -> None:
        """Revocation with effect `roles`: counts from the next message; without the route's permission it closes."""
        self.principal = principal = with_roles(self.principal, roles, self._watch.rules)
        denied = entitled(principal, self.route, self.admission.parameters)
        self._happen(Event.ROLES_CHANGED if denied is None else Event.UNENTITLED)

    def renewed(self, renewal: Renewal, *, over_socket: bool) -> bool:
        """False, and nothing has changed, where it comes too late: the end is near, or a newer proof was quicker."""
        self._renewing = self._renewing and not over_socket
        if self.state not in (State.OPEN, State.RENEWING) or is_older(renewal.principal, self.principal):
            return False
        if renewal.route is not self.route and self._hands is not None:
            self._hands.hold_to(renewal.route)
        self.principal, self.lease, self.route = renewal.principal, renewal.lease, renewal.route
        self._refused_renewals = 0
        self._happen(Event.RENEWED)
        return True

    def renewal_refused(self, deny: Deny, id: str | None, *, over_socket: bool) -> None:
        """A renewal was refused. What is not the peer's fault doesn't count towards the third."""
        self._renewing = self._renewing and not over_socket
        if deny.reason is Reason.IDENTITY_CHANGED:
            self._happen(Event.IDENTITY_CHANGED)
            return
        ending = ENDINGS[deny.reason]
        if ending.name not in {"unavailable", "internal"}:
            self._refused_renewals += 1
        if self._refused_renewals >= REFUSED_RENEWALS:
            self._happen(Event.RENEWAL_SPENT)
            return
        self._happen(Event.RENEWAL_REFUSED)
        if over_socket:
            self._tell(say.refused(reason=ending.name, retry_after=deny.retry_after, id=id))

    # time

    def tick(self, now: float) -> None:
        """Do whatever is due, and set the next `due`."""
        if self.state is State.CLOSING:
            if now >= self._close_by:
                self._happen(Event.CLOSE_LATE)
        elif self._hands is not None:
            marks = self._marks(self._hands)
            if (event := over(marks, now)) is not None:
                self._happen(event, Reason.MESSAGE_STALLED if event is Event.PEER_FAULT else None)
            else:
                self._keep(marks, self._hands, now)
        self._schedule()

    def _marks(self, hands: Hands) -> Marks:
        idle = self.route.lease.idle
        return Marks(
            lease=self.lease,
            renewing=self.state is State.RENEWING,
            ping_at=self._ping_at,
            pong_by=self._pong_by,
            report_at=self._report_at,
            idle_at=None if idle is None else max(hands.traffic().last_message, self.opened_at) + idle,
            stalled_since=hands.stalled_since(),
            message_since=hands.message_since(),
        )

    def _keep(self, marks: Marks, hands: Hands, now: float) -> None:
        """Nothing is over: ask for renewal, ping, report."""
        if renewal_is_due(marks, now):
            self._happen(Event.RENEW_DUE)
        if now >= self._ping_at:
            self._ping_at = now + PING_EVERY
            self._pong_by = min(self._pong_by, now + PONG_WITHIN)
            if not hands.ping():
                self._pong_by = NEVER
        if now >= self._report_at:
            self._report_at = now + REPORT_EVERY
            self._watch.events.emit(self._event(EventKind.INTERVAL, Outcome.DONE, counted=True))

    def watched(self) -> None:
        """The relay saw output stall or a message begin in fragments: look at its deadline when it comes, not later."""
        self._schedule()

    def _schedule(self) -> None:
        self.due = self._next_due()
        self._watch.connections.schedule(self)

    def _next_due(self) -> float:
        if self.state is State.CLOSING:
            return self._close_by
        return NEVER if self._hands is None else next_due(self._marks(self._hands), self._watch.clock.now())

    # the table's actions

    def _happen(
        self,
        event: Event,
        reason: Reason | None = None,
        *,
        ended: Ended | None = None,
        code: int | None = None,
        note: str = "",
        retry_after: float | None = None,
    ) -> None:
        before = self.state
        self.state, action = step(before, event)
        match action:
            case Action.CLOSE | Action.CLOSE_NOW:
                why = reason_of(before, event, reason)
                self._end(why, code=ENDINGS[why].close, note=note)
                self._close(why, at_once=action is Action.CLOSE_NOW, retry_after=retry_after)
            case Action.NOTHING | Action.ANSWER | Action.DELIVER | Action.DELIVER_IN_GRACE | Action.DROP:
                pass
            case Action.CUT | Action.FREE:
                self._end(ended or reason, code=code)
                if self._hands is not None:
                    (self._hands.cut if action is Action.CUT else self._hands.free)()
                self._finish()
            case Action.PASS_CLOSE:
                self._end(ended, code=code)
                self._close_by = self._watch.clock.now() + CLOSE_WITHIN
            case Action.ANNOUNCE:
                if self.state is State.OPEN:  # other roles while renewing are no renewal
                    self._gate(Gate.DELIVER)
                self._announce()
            case Action.ASK:
                self._ask()
        if self.state is not State.CLOSED and self._hands is not None:
            self._schedule()

    def _close(self, reason: Reason, *, at_once: bool, retry_after: float | None = None) -> None:
        self._close_by = self._watch.clock.now() + CLOSE_WITHIN
        if self._hands is None:
            return
        ending = ENDINGS[reason]
        code = ending.close if ending.close is not None else 1011
        if not self._hands.close(code, close_text(ending, retry_after=retry_after), at_once=at_once):
            self.state = State.CLOSED
            self._finish()

    def _end(self, ended: Reason | Ended | None, *, code: int | None, note: str = "") -> None:
        """The one CLOSE event, at the moment the decision falls; the counts are final, for nothing passes any more."""
        if self.ended is not None or ended is None:
            return
        self.ended = ended
        ending = ENDINGS[ended].name if isinstance(ended, Reason) else ""
        words = {"reason": ended.value, "ending": ending, "detail": note}
        self._watch.events.emit(self._event(EventKind.CLOSE, Outcome.DONE, counted=True, close=code, **words))

    def _finish(self) -> None:
        self._watch.connections.remove(self)
        self._watch.finished(self)
        self._hands = None

    def _gate(self, gate: Gate) -> None:
        if self._hands is not None:
            self._hands.gate(gate)

    def _announce(self) -> None:
        if self.admission.controls:
            subject, expires_at, due = self.principal.identity.subject, self.principal.expires_at, self.lease.renew_at
            self._tell(say.ready(connection=self.connection, subject=subject, expires_at=expires_at, renew_by=due))

    def _ask(self) -> None:
        self._gate(Gate.REFUSE if self.route.lease.in_grace is InGrace.REFUSE else Gate.DELIVER)
        now, deadline = self._watch.clock.now(), self.lease.deadline
        self._tell(say.renew(within=0.0 if deadline is None else deadline - now))

    def _tell(self, text: str) -> None:
        """Control messages go out where they are on, and none after a Close; JSON pings have a pong of their own."""
        is_on = self.admission.controls or text is say.JSON_PONG
        if is_on and self._hands is not None and self.state in (State.OPEN, State.RENEWING):
            self._hands.tell(text)

    def _event(self, kind: EventKind, outcome: Outcome, *, counted: bool = False, **more: Any) -> AuditEvent:
        """An event of this connection. `counted`: with what passed since the last counted one."""
        counts = self._since_last() if counted else NOTHING_PASSED
        lasted = self._watch.clock.now() - self.opened_at if counted else None
        return connection_event(kind, outcome, self.admission, self.principal, counts=counts, duration=lasted, **more)

    def _since_last(self) -> Counts:
        if self._hands is None:
            return NOTHING_PASSED
        traffic = self._hands.traffic()
        total = Counts(traffic.messages_in, traffic.messages_out, traffic.bytes_in, traffic.bytes_out)
        last, self._reported = self._reported, total
        return total if last is NOTHING_PASSED else total.since(last)
