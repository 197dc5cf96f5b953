"""One table says what every event does in every state of a connection; a pair that is not in it closes.

    PENDING -> OPEN -> RENEWING -> CLOSING -> CLOSED        (PRODUCT section 7)

The table is pure: whoever holds a connection carries out the action and moves to the new state.
docs/explain/lifecycle.md is drawn from it.
"""

from collections.abc import Mapping
from enum import Enum, unique
from typing import Final

from doorward.values.decision import Reason


@unique
class State(Enum):
    PENDING = "pending"  # 101 is written, no credential yet; nothing is delivered either way
    OPEN = "open"
    RENEWING = "renewing"  # asked to renew, still delivering
    CLOSING = "closing"  # a Close is on its way, nothing is delivered any more
    CLOSED = "closed"

    __hash__ = object.__hash__  # Enum's own is Python code, and this table is asked at every event


@unique
class Event(Enum):
    PROVEN = "proven"
    PROOF_REFUSED = "proof_refused"
    PROOF_LATE = "proof_late"
    RENEW_DUE = "renew_due"
    RENEWED = "renewed"
    RENEWAL_REFUSED = "renewal_refused"
    RENEWAL_SPENT = "renewal_spent"
    IDENTITY_CHANGED = "identity_changed"
    LEASE_OVER = "lease_over"
    LIFETIME_OVER = "lifetime_over"
    IDLE_OVER = "idle_over"
    PONG_LATE = "pong_late"
    REVOKED = "revoked"
    RENEWAL_DEMANDED = "renewal_demanded"
    ROLES_CHANGED = "roles_changed"
    UNENTITLED = "unentitled"
    DRAINED = "drained"
    OPERATOR_CLOSED = "operator_closed"
    REPLACED = "replaced"
    PEER_FAULT = "peer_fault"
    BACKEND_FAULT = "backend_fault"
    STALLED = "stalled"
    VERIFIER_AWAY = "verifier_away"
    STORE_AWAY = "store_away"
    OUR_FAULT = "our_fault"
    MESSAGE = "message"
    PEER_CLOSED = "peer_closed"
    BACKEND_CLOSED = "backend_closed"
    PEER_GONE = "peer_gone"
    BACKEND_GONE = "backend_gone"
    CLOSE_LATE = "close_late"

    __hash__ = object.__hash__


@unique
class Action(Enum):
    NOTHING = "nothing"
    DELIVER = "deliver"  # messages pass
    DELIVER_IN_GRACE = "deliver_in_grace"  # they pass, or are refused, as the route's in_grace says
    DROP = "drop"
    ANNOUNCE = "announce"  # doorward.ready
    ASK = "ask"  # doorward.renew
    ANSWER = "answer"  # doorward.refused, the connection stays
    CLOSE = "close"  # our Close to the peer, and one to the backend
    CLOSE_NOW = "close_now"  # queued output is dropped first, or the connection cut (REV-06)
    PASS_CLOSE = "pass_close"  # noqa: S105 - a Close passes from one end to the other; then 5 s
    CUT = "cut"
    FREE = "free"  # nobody is there any more: give everything back


_LIVE: Final = (State.OPEN, State.RENEWING)

TABLE: Final[Mapping[tuple[State, Event], tuple[State, Action]]] = {
    (State.PENDING, Event.PROVEN): (State.OPEN, Action.ANNOUNCE),
    (State.PENDING, Event.PROOF_REFUSED): (State.CLOSING, Action.CLOSE),
    (State.PENDING, Event.PROOF_LATE): (State.CLOSING, Action.CLOSE),
    (State.PENDING, Event.PEER_CLOSED): (State.CLOSED, Action.FREE),
    (State.PENDING, Event.PEER_GONE): (State.CLOSED, Action.FREE),
    (State.PENDING, Event.DRAINED): (State.CLOSING, Action.CLOSE),
    (State.OPEN, Event.RENEW_DUE): (State.RENEWING, Action.ASK),
    (State.OPEN, Event.MESSAGE): (State.OPEN, Action.DELIVER),
    (State.RENEWING, Event.MESSAGE): (State.RENEWING, Action.DELIVER_IN_GRACE),
    **{(state, Event.RENEWED): (State.OPEN, Action.ANNOUNCE) for state in _LIVE},
    **{(state, Event.RENEWAL_REFUSED): (state, Action.ANSWER) for state in _LIVE},
    **{(state, Event.RENEWAL_DEMANDED): (State.RENEWING, Action.ASK) for state in _LIVE},
    **{(state, Event.ROLES_CHANGED): (state, Action.ANNOUNCE) for state in _LIVE},
    **{
        (state, event): (State.CLOSING, Action.CLOSE)
        for state in _LIVE
        for event in (
            Event.RENEWAL_SPENT,
            Event.IDENTITY_CHANGED,
            Event.LEASE_OVER,
            Event.LIFETIME_OVER,
            Event.IDLE_OVER,
            Event.PONG_LATE,
            Event.DRAINED,
            Event.OPERATOR_CLOSED,
            Event.REPLACED,
            Event.VERIFIER_AWAY,
            Event.STORE_AWAY,
            Event.BACKEND_FAULT,
            Event.BACKEND_GONE,
        )
    },
    **{
        (state, event): (State.CLOSING, Action.CLOSE_NOW)
        for state in (State.PENDING, *_LIVE)
        for event in (Event.REVOKED, Event.UNENTITLED, Event.PEER_FAULT, Event.STALLED, Event.OUR_FAULT)
    },
    **{(state, Event.PEER_CLOSED): (State.CLOSING, Action.PASS_CLOSE) for state in _LIVE},
    **{(state, Event.BACKEND_CLOSED): (State.CLOSING, Action.PASS_CLOSE) for state in _LIVE},
    **{(state, Event.PEER_GONE): (State.CLOSED, Action.FREE) for state in _LIVE},
    # closing: the other end's Close ends it in order, everything else only waits for that or for its 5 seconds
    (State.CLOSING, Event.MESSAGE): (State.CLOSING, Action.DROP),
    (State.CLOSING, Event.PEER_CLOSED): (State.CLOSED, Action.FREE),
    (State.CLOSING, Event.PEER_GONE): (State.CLOSED, Action.FREE),
    (State.CLOSING, Event.CLOSE_LATE): (State.CLOSED, Action.CUT),
    # a peer that breaks the rules after our Close, or does not take what is queued, is owed nothing more
    (State.CLOSING, Event.PEER_FAULT): (State.CLOSED, Action.CUT),
    (State.CLOSING, Event.STALLED): (State.CLOSED, Action.CUT),
    (State.CLOSING, Event.OUR_FAULT): (State.CLOSED, Action.CUT),
    # a revocation while a Close waits behind queued output must still drop that output
    (State.CLOSING, Event.REVOKED): (State.CLOSED, Action.CUT),
    **{
        (State.CLOSING, event): (State.CLOSING, Action.NOTHING)
        for event in (
            Event.PROVEN,
            Event.PROOF_REFUSED,
            Event.PROOF_LATE,
            Event.RENEW_DUE,
            Event.RENEWED,
            Event.RENEWAL_REFUSED,
            Event.RENEWAL_SPENT,
            Event.RENEWAL_DEMANDED,
            Event.ROLES_CHANGED,
            Event.UNENTITLED,
            Event.IDENTITY_CHANGED,
            Event.LEASE_OVER,
            Event.LIFETIME_OVER,
            Event.IDLE_OVER,
            Event.PONG_LATE,
            Event.DRAINED,
            Event.OPERATOR_CLOSED,
            Event.REPLACED,
            Event.VERIFIER_AWAY,
            Event.STORE_AWAY,
            Event.BACKEND_FAULT,
            Event.BACKEND_CLOSED,
            Event.BACKEND_GONE,
        )
    },
    **{(State.CLOSED, event): (State.CLOSED, Action.NOTHING) for event in Event},
}

REASONS: Final[Mapping[Event, Reason]] = {
    Event.PROOF_LATE: Reason.AUTHENTICATION_TIMEOUT,
    Event.RENEWAL_SPENT: Reason.RENEWAL_REFUSED,
    Event.IDENTITY_CHANGED: Reason.IDENTITY_CHANGED,
    Event.LEASE_OVER: Reason.EXPIRED,
    Event.LIFETIME_OVER: Reason.LIFETIME,
    Event.IDLE_OVER: Reason.IDLE,
    Event.PONG_LATE: Reason.NO_PONG,
    Event.REVOKED: Reason.REVOKED,
    Event.UNENTITLED: Reason.PERMISSION,
    Event.DRAINED: Reason.DRAINING,
    Event.OPERATOR_CLOSED: Reason.OPERATOR,
    Event.REPLACED: Reason.REPLACED,
    Event.STALLED: Reason.SLOW_CONSUMER,
    Event.VERIFIER_AWAY: Reason.VERIFIER_AWAY,
    Event.STORE_AWAY: Reason.STORE_AWAY,
    Event.BACKEND_FAULT: Reason.BACKEND_PROTOCOL,
    Event.BACKEND_GONE: Reason.BACKEND_GONE,
    Event.OUR_FAULT: Reason.INTERNAL,
}
"""Why a closing event closes. PEER_FAULT and PROOF_REFUSED bring their own."""


def step(state: State, event: Event) -> tuple[State, Action]:
    """The next state and what to do. A pair that nobody thought of closes, with `internal`: it is our bug."""
    return TABLE.get((state, event), (State.CLOSING, Action.CLOSE_NOW))


def reason_of(state: State, event: Event, given: Reason | None = None) -> Reason:
    """The reason of a close: the event's own, the given one, or INTERNAL for a pair outside the table."""
    if (state, event) not in TABLE:
        return Reason.INTERNAL
    return given or REASONS.get(event, Reason.INTERNAL)
