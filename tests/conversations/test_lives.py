"""Whole lives, and the corners where two things meet."""

from dataclasses import replace

import pytest

from doorward.core.deadlines import CLOSE_WITHIN, REPORT_EVERY
from doorward.core.lifecycle import State
from doorward.service.live import Live
from doorward.testing.conversation import ROUTE, Conversation
from doorward.testing.happenings import (
    Close,
    CloseNow,
    Cut,
    Deliver,
    Does,
    Free,
    Message,
    Passed,
    RenewalRefused,
    Renewed,
    Says,
    Tell,
    Unsent,
    backend_closed,
    peer_closed,
    peer_gone,
    revoked,
)
from doorward.values.audit import EventKind
from doorward.values.credential import Kind, Place
from doorward.values.decision import Ended, Reason
from doorward.values.lease import InGrace, LeaseTerms
from doorward.values.rules import Limits


def opened(**more) -> Conversation:
    return Conversation(**more) << Tell.of("ready")


def test_the_example_of_the_house() -> None:
    (opened() >> Message(b"x") << Deliver(b"x") >> revoked() << CloseNow(4002)).over()


def test_a_long_life() -> None:
    route = replace(ROUTE, lease=LeaseTerms(renew_every=900.0, grace=4.0, max=3600.0))
    play = opened(route=route, pings=False, life=3600.0)
    for _ in range(3):
        play >> Passed(900.0) << Tell.of("renew", within=4)
        play >> Message(b"in grace") << Deliver(b"in grace")
        play >> Renewed(life=3600.0) << Tell.of("ready")
    play >> Passed(899.9)
    (play >> Passed(0.1) << Close(4408, "doorward:lifetime")).over()


def test_a_renewal_over_the_socket_is_judged_once_at_a_time() -> None:
    play = opened() >> Says.of("doorward.auth", token="a.b.c", id="1")
    assert [(credential.kind, credential.place, id) for credential, id in play.watch.asked] == [
        (Kind.TOKEN, Place.MESSAGE, "1")
    ]
    play >> Says.of("doorward.auth", token="d.e.f", id="2") << Tell.of("refused", reason="rate_limited", id="2")
    play >> Renewed() << Tell.of("ready")
    play >> Says.of("doorward.auth", ticket="t", id="3")
    assert len(play.over().watch.asked) == 2


def test_its_ping_is_answered() -> None:
    (opened() >> Says.of("doorward.ping") << Tell.of("pong")).over()


@pytest.mark.parametrize("kind", ["doorward.nonsense", "doorward.ready", "doorward."])
def test_what_is_no_control_message_closes(kind) -> None:
    play = opened() >> Says.of(kind) << CloseNow(4400, "doorward:malformed")
    assert play.over().closes[0].reason == "control_malformed"


def test_what_is_not_the_peers_fault_does_not_count_towards_the_third() -> None:
    play = opened()
    for _ in range(9):
        play >> RenewalRefused(Reason.VERIFIER_UNAVAILABLE) << Tell.of("refused", reason="unavailable")
    for _ in range(2):
        play >> RenewalRefused() << Tell.of("refused")
    play >> Renewed() << Tell.of("ready")
    for _ in range(2):
        play >> RenewalRefused() << Tell.of("refused")
    (play >> RenewalRefused() << Close(4401)).over()


def test_a_refused_renewal_from_outside_is_answered_there() -> None:
    (opened() >> RenewalRefused(over_socket=False)).over()


def test_a_renewal_that_comes_too_late_changes_nothing() -> None:
    play = opened() >> Says.of("doorward.auth", token="a.b.c") >> revoked() << CloseNow(4002)
    before = play.live.lease
    play >> Renewed()
    play >> RenewalRefused()
    assert play.over().live.lease == before
    assert play.state is State.CLOSING


def test_a_renewal_gives_the_grace_back() -> None:
    play = opened(life=15.0, pings=False) >> Passed(10.0) << Tell.of("renew", within=5)
    play >> Renewed(life=15.0) << Tell.of("ready")
    play >> Passed(9.9)
    (play >> Passed(0.1) << Tell.of("renew", within=5)).over()


def test_a_demanded_renewal_ends_what_cannot_renew() -> None:
    play = Conversation(controls=False) >> Does(lambda live: live.demand_renewal(now=live.opened_at))
    (play << Close(4001, "doorward:expired")).over()


def test_a_demanded_renewal_that_nobody_answers_ends_with_its_grace() -> None:
    play = opened(life=36000.0, pings=False) >> Passed(15.0)
    play >> Does(lambda live: live.demand_renewal(now=play.clock.now())) << Tell.of("renew", within=60)
    play >> Passed(59.9)
    (play >> Passed(0.1) << Close(4001)).over()


class TestWithoutControlMessages:
    def test_nothing_is_said_to_the_peer(self) -> None:
        play = Conversation(controls=False).over() >> Message(b"x") << Deliver(b"x")
        play >> Does(lambda live: live.put_roles(("guest",)))
        play >> Does(lambda live: live.refused(Reason.MESSAGE_RATE, 2.0))
        play >> Says.of("doorward.ping")
        play.over()

    def test_but_a_json_ping_is_answered(self) -> None:
        play = Conversation(controls=False) >> Does(Live.json_ping)
        assert play.hands.out.popleft() == Tell("pong")


class TestRefusedMessages:
    def test_the_peer_is_told_and_stays(self) -> None:
        play = opened() >> Does(lambda live: live.refused(Reason.MESSAGE_RATE, 1.5))
        (play << Tell.of("refused", reason="rate_limited", retry_after=1.5)).over()
        assert play.watch.events.emitted[-1].kind is EventKind.REFUSED_MESSAGE

    def test_too_many_of_them_close(self) -> None:
        play = opened(route=replace(ROUTE, limits=Limits(refusals_before_close=2)))
        for _ in range(2):
            play >> Does(lambda live: live.refused(Reason.MESSAGE_RATE, 1.0)) << Tell.of("refused")
        play >> Does(lambda live: live.refused(Reason.MESSAGE_RATE, 1.0)) << CloseNow(4429, "doorward:rate_limited")
        play.over()


class TestWhatMustGoAtOnce:
    def test_a_revocation_drops_what_is_queued_or_cuts(self) -> None:
        play = opened() >> Unsent() >> revoked() << Cut()
        assert play.over().state is State.CLOSED
        assert play.closes[0].reason == "revoked"
        assert not play.is_held

    def test_a_revocation_while_a_close_waits_behind_queued_output(self) -> None:
        play = opened() >> Does(Live.close_by_operator) << Close(4403)
        play >> Unsent() >> revoked() << Cut()
        assert play.over().state is State.CLOSED
        assert [event.reason for event in play.closes] == ["operator"]

    def test_expiry_waits_for_what_is_queued(self) -> None:
        play = Conversation(controls=False, life=5.0) >> Unsent() >> Passed(5.0) << Close(4001)
        (play >> Passed(CLOSE_WITHIN) << Cut()).over()


class TestBetweenRegistrationAnd101:
    def test_a_revocation_closes_at_once(self) -> None:
        play = Conversation(attach=False) >> revoked()
        play.over().attach() << Close(4002, "doorward:revoked")
        assert play.over().state is State.CLOSING

    def test_roles_count_from_the_first_message(self) -> None:
        play = Conversation(attach=False, roles={"member": ("chat:join",)}) >> Does(
            lambda live: live.put_roles(("member",))
        )
        play.over().attach() << Tell.of("ready")
        assert play.over().live.principal.permissions == {"chat:join"}

    def test_a_demanded_renewal_is_asked_for(self) -> None:
        play = Conversation(attach=False) >> Does(lambda live: live.demand_renewal(now=live.opened_at))
        play.over().attach() << Tell.of("ready") << Tell.of("renew", within=60)
        assert play.over().state is State.RENEWING

    def test_in_grace_refuse_counts_from_the_first_message(self) -> None:
        strict = replace(ROUTE, lease=LeaseTerms(in_grace=InGrace.REFUSE))
        play = Conversation(attach=False, route=strict) >> Does(lambda live: live.demand_renewal(now=live.opened_at))
        play.over().attach() << Tell.of("ready") << Tell.of("renew")
        (play >> Message(b"x") << Tell.of("refused", reason="expired")).over()

    @pytest.mark.parametrize("second", [revoked(), peer_gone()])
    def test_what_is_over_before_it_began_never_opens(self, second) -> None:
        """Twice revoked, or the peer gone: it is out of the table, so nothing would ever end it again."""
        play = Conversation(attach=False) >> revoked() >> second
        assert play.over().state is State.CLOSED
        play.attach() << Cut()
        play.over()

    def test_nobody_there_for_the_101(self) -> None:
        play = Conversation(attach=False) >> Does(Live.abandon)
        assert play.over().state is State.CLOSED
        assert play.closes[0].reason == Ended.PEER_GONE.value
        assert not play.is_held

    def test_withdrawn_it_was_never_open(self) -> None:
        play = Conversation(attach=False) >> Does(Live.withdraw)
        assert play.over().closes == []
        assert not play.is_held


class TestClosing:
    def closing(self) -> Conversation:
        return opened() >> revoked() << CloseNow(4002)

    def test_nothing_is_said_after_our_close(self) -> None:
        play = self.closing()
        play >> Says.of("doorward.ping")
        play >> Says.of("doorward.auth", token="a.b.c")
        play >> Does(Live.json_ping)
        play >> Does(lambda live: live.refused(Reason.MESSAGE_RATE, 1.0))
        play >> Message(b"x")
        play >> Passed(CLOSE_WITHIN - 0.1)
        assert play.over().watch.asked == []

    def test_an_unanswered_close_is_cut_after_5_seconds(self) -> None:
        play = self.closing() >> Passed(4.9)
        assert (play >> Passed(0.1) << Cut()).over().state is State.CLOSED

    def test_so_is_one_that_was_passed_on(self) -> None:
        play = opened() >> backend_closed(1000) >> Passed(4.9)
        assert (play >> Passed(0.1) << Cut()).over().closes[0].close == 1000

    def test_both_ends_close_at_once(self) -> None:
        play = opened() >> peer_closed(1000) >> backend_closed(1000)
        assert play.over().state is State.CLOSING
        assert (play >> peer_gone() << Free()).over().closes[0].reason == Ended.PEER_CLOSED.value


class TestTheAudit:
    def test_one_close_with_what_passed_since_the_last_report(self) -> None:
        play = opened(life=36000.0, pings=False)
        play.hands.counts.messages_in, play.hands.counts.bytes_in = 3, 30
        play >> Passed(REPORT_EVERY)
        interval = play.over().watch.events.emitted[-1]
        assert (interval.kind, interval.messages_in, interval.bytes_in) == (EventKind.INTERVAL, 3, 30)
        play.hands.counts.messages_in, play.hands.counts.messages_out = 5, 1
        play >> Passed(1.0) >> peer_gone() << Free()
        close = play.over().closes[0]
        assert (close.messages_in, close.messages_out, close.bytes_in) == (2, 1, 0)
        assert close.duration == REPORT_EVERY + 1.0

    def test_a_fault_of_ours_is_noted_and_says_nothing(self) -> None:
        play = opened() >> Does(lambda live: live.wrong(RuntimeError("secret"))) << CloseNow(1011, "doorward:internal")
        assert len(play.over().watch.events.faults) == 1
        assert "secret" not in repr(play.closes)

    def test_a_dropped_message_of_the_backend(self) -> None:
        play = opened() >> Does(Live.dropped)
        assert play.over().watch.events.emitted[-1].kind is EventKind.DROPPED_MESSAGE
