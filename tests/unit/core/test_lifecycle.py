"""The table itself, read as a whole; tests/conversations plays every row of it."""

import itertools

import pytest

from doorward.core.endings import ENDINGS
from doorward.core.lifecycle import REASONS, TABLE, Action, Event, State, reason_of, step
from doorward.values.decision import Reason

RANK = {State.PENDING: 0, State.OPEN: 1, State.RENEWING: 1, State.CLOSING: 2, State.CLOSED: 3}
CLOSING = (Action.CLOSE, Action.CLOSE_NOW)
PAIRS = list(itertools.product(State, Event))


@pytest.mark.parametrize(("state", "event"), PAIRS)
def test_every_pair_is_answered_and_none_goes_back(state, event) -> None:
    after, action = step(state, event)
    assert RANK[after] >= RANK[state]
    assert isinstance(action, Action)


@pytest.mark.parametrize(("state", "event"), [pair for pair in PAIRS if pair not in TABLE])
def test_what_the_table_does_not_list_closes_with_internal(state, event) -> None:
    assert step(state, event) == (State.CLOSING, Action.CLOSE_NOW)
    assert reason_of(state, event) is Reason.INTERNAL
    assert reason_of(state, event, Reason.EXPIRED) is Reason.INTERNAL


@pytest.mark.parametrize("event", Event)
class TestTheEnd:
    def test_closed_is_the_end(self, event) -> None:
        assert step(State.CLOSED, event) == (State.CLOSED, Action.NOTHING)

    def test_closing_only_ends_and_says_nothing_more(self, event) -> None:
        """One Close per connection: nothing that happens after it may send another, announce, ask or deliver."""
        after, action = step(State.CLOSING, event)
        assert after in (State.CLOSING, State.CLOSED)
        assert action in (Action.NOTHING, Action.DROP, Action.CUT, Action.FREE)
        assert (after is State.CLOSED) is (action in (Action.CUT, Action.FREE))

    def test_closing_is_total(self, event) -> None:
        """A peer reaches any of these after our Close: none of them may look like a bug of ours."""
        assert (State.CLOSING, event) in TABLE


@pytest.mark.parametrize(("state", "event"), TABLE)
def test_state_and_action_agree(state, event) -> None:
    after, action = TABLE[state, event]
    if action in (*CLOSING, Action.PASS_CLOSE):
        assert after is State.CLOSING
        assert state is not State.CLOSING
    if action in (Action.CUT, Action.FREE):
        assert after is State.CLOSED
    if action in (Action.DELIVER, Action.DELIVER_IN_GRACE, Action.ANNOUNCE, Action.ASK, Action.ANSWER):
        assert after in (State.OPEN, State.RENEWING)
    if after is State.CLOSING and state is not State.CLOSING:
        assert action in (*CLOSING, Action.PASS_CLOSE)


def test_nothing_is_delivered_but_where_it_is_open() -> None:
    delivering = {pair for pair, (_, action) in TABLE.items() if action in (Action.DELIVER, Action.DELIVER_IN_GRACE)}
    assert delivering == {(State.OPEN, Event.MESSAGE), (State.RENEWING, Event.MESSAGE)}


@pytest.mark.parametrize("state", [State.PENDING, State.OPEN, State.RENEWING])
@pytest.mark.parametrize("event", [Event.REVOKED, Event.UNENTITLED, Event.PEER_FAULT, Event.STALLED, Event.OUR_FAULT])
def test_what_must_not_wait_behind_queued_output_does_not(state, event) -> None:
    assert step(state, event) == (State.CLOSING, Action.CLOSE_NOW)


def test_a_revocation_while_closing_drops_what_is_queued() -> None:
    assert step(State.CLOSING, Event.REVOKED) == (State.CLOSED, Action.CUT)


def test_every_closing_event_has_a_reason_with_a_close_code() -> None:
    brings_its_own = {Event.PEER_FAULT, Event.PROOF_REFUSED}
    closing = {event for (_, event), (_, action) in TABLE.items() if action in CLOSING}
    assert closing - brings_its_own == set(REASONS)
    assert [event for event, reason in REASONS.items() if ENDINGS[reason].close is None] == []


@pytest.mark.parametrize(
    ("event", "code"),
    [
        (Event.LEASE_OVER, 4001),
        (Event.REVOKED, 4002),
        (Event.IDENTITY_CHANGED, 4401),
        (Event.RENEWAL_SPENT, 4401),
        (Event.UNENTITLED, 4403),
        (Event.OPERATOR_CLOSED, 4403),
        (Event.LIFETIME_OVER, 4408),
        (Event.IDLE_OVER, 4408),
        (Event.PONG_LATE, 4408),
        (Event.PROOF_LATE, 4408),
        (Event.REPLACED, 4409),
        (Event.DRAINED, 1012),
        (Event.STALLED, 1013),
        (Event.VERIFIER_AWAY, 1013),
        (Event.STORE_AWAY, 1013),
        (Event.BACKEND_GONE, 1014),
        (Event.BACKEND_FAULT, 1014),
        (Event.OUR_FAULT, 1011),
    ],
)
def test_the_contracts_codes(event, code) -> None:
    state = State.PENDING if event is Event.PROOF_LATE else State.OPEN
    assert ENDINGS[reason_of(state, event)].close == code


def test_reason_of() -> None:
    assert reason_of(State.OPEN, Event.PEER_FAULT, Reason.MESSAGE_TOO_BIG) is Reason.MESSAGE_TOO_BIG
    assert reason_of(State.OPEN, Event.PEER_FAULT) is Reason.INTERNAL, "it should have said why"
    assert reason_of(State.OPEN, Event.LEASE_OVER) is Reason.EXPIRED
