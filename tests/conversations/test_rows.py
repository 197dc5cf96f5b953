"""A conversation for every row of the lifecycle table, none missing: what goes in, and what the connection does."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from doorward.core.deadlines import CLOSE_WITHIN, PING_EVERY, PONG_WITHIN, STALL_WITHIN
from doorward.core.lifecycle import TABLE, Event, State
from doorward.service.live import Live
from doorward.testing.conversation import ROUTE, Conversation
from doorward.testing.happenings import (
    Close,
    CloseNow,
    Cut,
    Deliver,
    Does,
    Free,
    Happens,
    Input,
    Message,
    Output,
    Passed,
    Ping,
    RenewalRefused,
    Renewed,
    Tell,
    Unsent,
    backend_closed,
    peer_closed,
    peer_gone,
    revoked,
)
from doorward.values.decision import Ended, Reason
from doorward.values.lease import InGrace, LeaseTerms

PLAYS: dict[tuple[State, Event], Callable[[], None]] = {}
BOTH = (State.OPEN, State.RENEWING)
QUIET = LeaseTerms(renew_every=None, grace=60.0, max=None)


def plays(state: State, event: Event) -> Callable[[Callable[[], None]], Callable[[], None]]:
    def register(conversation: Callable[[], None]) -> Callable[[], None]:
        assert (state, event) not in PLAYS, f"{state} {event} is played twice"
        PLAYS[state, event] = conversation
        return conversation

    return register


def opened(**lease: object) -> Conversation:
    terms = replace(QUIET, **lease)  # type: ignore[arg-type]
    return Conversation(route=replace(ROUTE, lease=terms)) << Tell.of("ready", connection="c-1", subject="alice")


def renewing(**lease: object) -> Conversation:
    """Asked by a revocation, so that it is there at once; the lease's own asking is a row of its own."""
    return (
        opened(**lease)
        >> Does(lambda live: live.demand_renewal(now=live.lease.proven_at))
        << Tell.of("renew", within=60)
    )


def in_state(state: State, **lease: object) -> Conversation:
    return opened(**lease) if state is State.OPEN else renewing(**lease)


def closing() -> Conversation:
    return opened() >> Does(Live.close_by_operator) << Close(4403, "doorward:closed_by_operator")


def ended(play: Conversation, why: Reason | Ended, close: int | None, state: State) -> None:
    """One CLOSE in the audit, with the reason and the code; and once it is over, nobody holds it any more."""
    play.over()
    assert [(event.reason, event.close) for event in play.closes] == [(why.value, close)]
    assert play.state is state
    assert play.is_held is (state is not State.CLOSED)
    assert play.watch.finishes == (state is State.CLOSED)


# ---- pending: the table is there, and nothing brings a connection into it yet

PENDING: dict[Event, tuple[Input, Output, Reason | Ended | None]] = {
    Event.PROVEN: (Happens(Event.PROVEN), Tell.of("ready"), None),
    Event.PROOF_REFUSED: (
        Happens(Event.PROOF_REFUSED, Reason.TOKEN_EXPIRED),
        Close(4401, "doorward:refused"),
        Reason.TOKEN_EXPIRED,
    ),
    Event.PROOF_LATE: (
        Happens(Event.PROOF_LATE),
        Close(4408, "doorward:authentication_timeout"),
        Reason.AUTHENTICATION_TIMEOUT,
    ),
    Event.DRAINED: (Happens(Event.DRAINED), Close(1012, "doorward:draining"), Reason.DRAINING),
    Event.REVOKED: (revoked(), CloseNow(4002, "doorward:revoked"), Reason.REVOKED),
    Event.UNENTITLED: (Happens(Event.UNENTITLED), CloseNow(4403), Reason.PERMISSION),
    Event.PEER_FAULT: (Happens(Event.PEER_FAULT, Reason.PROTOCOL_ERROR), CloseNow(1002), Reason.PROTOCOL_ERROR),
    Event.STALLED: (Happens(Event.STALLED), CloseNow(1013), Reason.SLOW_CONSUMER),
    Event.OUR_FAULT: (
        Does(lambda live: live.wrong(RuntimeError("x"))),
        CloseNow(1011, "doorward:internal"),
        Reason.INTERNAL,
    ),
    Event.PEER_CLOSED: (peer_closed(1001), Free(), Ended.PEER_CLOSED),
    Event.PEER_GONE: (peer_gone(), Free(), Ended.PEER_GONE),
}


def pending() -> Conversation:
    return Conversation(state=State.PENDING).over()


for event, parts in PENDING.items():

    @plays(State.PENDING, event)
    def from_pending(parts: tuple[Input, Output, Reason | Ended | None] = parts) -> None:
        happening, output, why = parts
        play = pending() >> happening << output
        if why is None:
            assert play.over().state is State.OPEN
            return
        after = State.CLOSED if isinstance(why, Ended) else State.CLOSING
        ended(play, why, 1001 if why is Ended.PEER_CLOSED else getattr(output, "code", None), after)


# ---- open and renewing: what keeps it


@plays(State.OPEN, Event.MESSAGE)
def a_message_is_delivered() -> None:
    assert (opened() >> Message(b"x") << Deliver(b"x") >> Message(b"y") << Deliver(b"y")).over().state is State.OPEN


@plays(State.RENEWING, Event.MESSAGE)
def in_grace_it_is_delivered_or_refused() -> None:
    (renewing() >> Message(b"x") << Deliver(b"x")).over()
    strict = renewing(in_grace=InGrace.REFUSE)
    (strict >> Message(b"x") << Tell.of("refused", reason="expired")).over()
    assert strict.state is State.RENEWING
    (strict >> Renewed() << Tell.of("ready") >> Message(b"y") << Deliver(b"y")).over()


@plays(State.OPEN, Event.RENEW_DUE)
def the_lease_falls_due_and_is_asked_for() -> None:
    play = opened(renew_every=15.0, grace=4.0)
    play >> Passed(14.9)
    play >> Passed(0.1) << Tell.of("renew", within=4)
    assert play.over().state is State.RENEWING


for state in BOTH:

    @plays(state, Event.RENEWED)
    def renewed(state: State = state) -> None:
        play = in_state(state) >> Renewed(life=900.0)
        end = int(play.clock.now()) + 900
        play << Tell.of("ready", expires_at=end, renew_by=end - 60)
        assert play.over().state is State.OPEN

    @plays(state, Event.RENEWAL_REFUSED)
    def a_refused_renewal_is_answered_and_it_stays(state: State = state) -> None:
        play = (
            in_state(state) >> RenewalRefused(Reason.TOKEN_EXPIRED, "7") << Tell.of("refused", reason="refused", id="7")
        )
        assert (play >> Message(b"x") << Deliver(b"x")).over().state is state

    @plays(state, Event.RENEWAL_DEMANDED)
    def a_renewal_is_demanded(state: State = state) -> None:
        play = (
            in_state(state)
            >> Does(lambda live: live.demand_renewal(now=live.lease.proven_at))
            << Tell.of("renew", within=60)
        )
        assert play.over().state is State.RENEWING

    @plays(state, Event.ROLES_CHANGED)
    def roles_change(state: State = state) -> None:
        play = in_state(state) >> Does(lambda live: live.put_roles(("guest",))) << Tell.of("ready", subject="alice")
        assert play.over().state is state
        assert play.live.principal.roles == ("guest",)


# ---- open and renewing: what ends it

ENDINGS: dict[Event, tuple[Input, Close, Reason]] = {
    Event.IDENTITY_CHANGED: (
        RenewalRefused(Reason.IDENTITY_CHANGED),
        Close(4401, "doorward:refused"),
        Reason.IDENTITY_CHANGED,
    ),
    Event.OPERATOR_CLOSED: (Does(Live.close_by_operator), Close(4403, "doorward:closed_by_operator"), Reason.OPERATOR),
    Event.REPLACED: (Does(Live.replace), Close(4409, "doorward:replaced"), Reason.REPLACED),
    Event.DRAINED: (
        Does(lambda live: live.drain(reconnect_after=2.5)),
        Close(1012, "doorward:draining; retry_after=3"),
        Reason.DRAINING,
    ),
    Event.STORE_AWAY: (
        Does(lambda live: live.store_away(reconnect_after=3)),
        Close(1013, "doorward:unavailable; retry_after=3"),
        Reason.STORE_AWAY,
    ),
    Event.VERIFIER_AWAY: (Happens(Event.VERIFIER_AWAY), Close(1013, "doorward:unavailable"), Reason.VERIFIER_AWAY),
    Event.BACKEND_GONE: (Does(Live.backend_gone), Close(1014, "doorward:backend_unavailable"), Reason.BACKEND_GONE),
    Event.BACKEND_FAULT: (Does(lambda live: live.backend_fault("x")), Close(1014), Reason.BACKEND_PROTOCOL),
    Event.REVOKED: (revoked(), CloseNow(4002, "doorward:revoked"), Reason.REVOKED),
    Event.PEER_FAULT: (
        Does(lambda live: live.peer_fault(Reason.MESSAGE_TOO_BIG)),
        CloseNow(1009, "doorward:message_too_big"),
        Reason.MESSAGE_TOO_BIG,
    ),
    Event.OUR_FAULT: (
        Does(lambda live: live.wrong(RuntimeError("x"))),
        CloseNow(1011, "doorward:internal"),
        Reason.INTERNAL,
    ),
}

for state in BOTH:
    for event, (happening, close, reason) in ENDINGS.items():

        @plays(state, event)
        def it_ends(
            state: State = state, happening: Input = happening, close: Close = close, reason: Reason = reason
        ) -> None:
            play = in_state(state) >> happening << close
            ended(play, reason, close.code, State.CLOSING)
            ended(play >> Message(b"late"), reason, close.code, State.CLOSING)
            ended(play >> Passed(CLOSE_WITHIN) << Cut(), reason, close.code, State.CLOSED)

    @plays(state, Event.RENEWAL_SPENT)
    def the_third_refused_renewal_closes(state: State = state) -> None:
        play = in_state(state)
        for _ in range(2):
            play >> RenewalRefused() << Tell.of("refused", reason="refused")
        play >> RenewalRefused() << Close(4401, "doorward:refused")
        ended(play, Reason.RENEWAL_REFUSED, 4401, State.CLOSING)

    @plays(state, Event.UNENTITLED)
    def roles_that_do_not_suffice_close(state: State = state) -> None:
        members = replace(ROUTE, permission="chat:join", lease=QUIET)
        play = Conversation(route=members, roles={"member": ("chat:join",)}) << Tell.of("ready")
        if state is State.RENEWING:
            play >> Does(lambda live: live.demand_renewal(now=live.lease.proven_at)) << Tell.of("renew")
        play >> Does(lambda live: live.put_roles(("member",))) << Tell.of("ready")
        play >> Does(lambda live: live.put_roles(())) << CloseNow(4403, "doorward:forbidden")
        ended(play, Reason.PERMISSION, 4403, State.CLOSING)

    @plays(state, Event.LIFETIME_OVER)
    def its_lifetime_is_over(state: State = state) -> None:
        play = in_state(state, max=10.0) >> Passed(9.9)
        ended(play >> Passed(0.1) << Close(4408, "doorward:lifetime"), Reason.LIFETIME, 4408, State.CLOSING)

    @plays(state, Event.IDLE_OVER)
    def it_was_idle(state: State = state) -> None:
        play = in_state(state, idle=10.0) >> Passed(6.0)
        play >> Message(b"x") << Deliver(b"x")
        play >> Passed(9.9)
        ended(play >> Passed(0.1) << Close(4408, "doorward:idle"), Reason.IDLE, 4408, State.CLOSING)

    @plays(state, Event.PONG_LATE)
    def its_peer_does_not_answer(state: State = state) -> None:
        play = in_state(state) >> Passed(PING_EVERY) << Ping()
        play >> Passed(PONG_WITHIN - 0.1)
        ended(play >> Passed(0.1) << Close(4408, "doorward:no_pong"), Reason.NO_PONG, 4408, State.CLOSING)

    @plays(state, Event.STALLED)
    def its_peer_does_not_read(state: State = state) -> None:
        play = in_state(state) >> Unsent() >> Passed(STALL_WITHIN - 0.1)
        play.over()
        ended(play >> Passed(0.1) << Cut(), Reason.SLOW_CONSUMER, 1013, State.CLOSED)

    @plays(state, Event.PEER_CLOSED)
    def the_peer_says_close(state: State = state) -> None:
        play = in_state(state) >> peer_closed(1001)
        ended(play, Ended.PEER_CLOSED, 1001, State.CLOSING)
        ended(play >> peer_gone() << Free(), Ended.PEER_CLOSED, 1001, State.CLOSED)

    @plays(state, Event.BACKEND_CLOSED)
    def the_backend_says_close(state: State = state) -> None:
        play = in_state(state) >> backend_closed(4000)
        ended(play, Ended.BACKEND_CLOSED, 4000, State.CLOSING)
        ended(play >> peer_closed(4000) << Free(), Ended.BACKEND_CLOSED, 4000, State.CLOSED)

    @plays(state, Event.PEER_GONE)
    def the_peer_is_gone(state: State = state) -> None:
        ended(in_state(state) >> peer_gone() << Free(), Ended.PEER_GONE, None, State.CLOSED)


@plays(State.OPEN, Event.LEASE_OVER)
def a_credential_that_cannot_be_renewed_ends_it() -> None:
    play = Conversation(controls=False, life=15.0) >> Passed(14.9)
    ended(play >> Passed(0.1) << Close(4001, "doorward:expired"), Reason.EXPIRED, 4001, State.CLOSING)


@plays(State.RENEWING, Event.LEASE_OVER)
def without_renewal_it_ends_when_grace_does() -> None:
    play = Conversation(life=15.0) << Tell.of("ready")
    play >> Passed(10.0) << Tell.of("renew", within=5)
    play >> Passed(4.9)
    ended(play >> Passed(0.1) << Close(4001, "doorward:expired"), Reason.EXPIRED, 4001, State.CLOSING)


# ---- closing: only its end, and nothing more to say

CLOSING_ENDS: dict[Event, tuple[Input, Cut | Free]] = {
    Event.PEER_CLOSED: (peer_closed(4403), Free()),
    Event.PEER_GONE: (peer_gone(), Free()),
    Event.CLOSE_LATE: (Passed(CLOSE_WITHIN), Cut()),
    Event.REVOKED: (revoked(), Cut()),
    Event.PEER_FAULT: (Does(lambda live: live.peer_fault(Reason.PROTOCOL_ERROR)), Cut()),
    Event.STALLED: (Happens(Event.STALLED), Cut()),
    Event.OUR_FAULT: (Does(lambda live: live.wrong(RuntimeError("x"))), Cut()),
}

for event, (happening, last) in CLOSING_ENDS.items():

    @plays(State.CLOSING, event)
    def it_is_over(happening: Input = happening, last: Cut | Free = last) -> None:
        ended(closing() >> happening << last, Reason.OPERATOR, 4403, State.CLOSED)


for event in Event:
    if event not in CLOSING_ENDS:

        @plays(State.CLOSING, event)
        def nothing_more_is_said(event: Event = event) -> None:
            play = closing() >> Happens(event)
            ended(play, Reason.OPERATOR, 4403, State.CLOSING)
            ended(play >> peer_gone() << Free(), Reason.OPERATOR, 4403, State.CLOSED)

    @plays(State.CLOSED, event)
    def closed_is_the_end(event: Event = event) -> None:
        play = opened() >> peer_gone() << Free()
        ended(play >> Happens(event) >> Passed(100_000), Ended.PEER_GONE, None, State.CLOSED)


@pytest.mark.parametrize(("state", "event"), TABLE, ids=lambda part: part.value)
def test_a_row_of_the_table(state, event) -> None:
    PLAYS[state, event]()


def test_none_is_missing_and_none_is_made_up() -> None:
    assert set(PLAYS) == set(TABLE)
