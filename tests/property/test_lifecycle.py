"""Any order of events: a connection only goes forward, closes once, and delivers only where it is open."""

from hypothesis import given
from hypothesis import strategies as st

from doorward.core.leases import grant, renew_now
from doorward.core.lifecycle import TABLE, Action, Event, State, reason_of, step
from doorward.values.decision import Reason
from doorward.values.lease import LeaseTerms

events = st.lists(st.sampled_from(Event), max_size=40)
DELIVERS = {Action.DELIVER, Action.DELIVER_IN_GRACE}
CLOSES = {Action.CLOSE, Action.CLOSE_NOW, Action.PASS_CLOSE}
ENDS = {Action.CUT, Action.FREE}


@given(st.sampled_from([State.PENDING, State.OPEN]), events)
def test_any_life(state: State, happening: list[Event]) -> None:
    closes = ends = 0
    for event in happening:
        before = state
        state, action = step(before, event)
        if before is State.CLOSED:
            assert (state, action) == (State.CLOSED, Action.NOTHING)
        if before is State.CLOSING:
            assert state in (State.CLOSING, State.CLOSED)
        if action in DELIVERS:
            assert before in (State.OPEN, State.RENEWING)
        if action in CLOSES:
            assert reason_of(before, event, Reason.PROTOCOL_ERROR) in Reason
        closes += action in CLOSES
        ends += action in ENDS
        assert (state is State.CLOSED) is (ends == 1)
    assert closes <= 1
    assert ends <= 1


@given(events)
def test_nothing_is_delivered_before_a_proof(happening: list[Event]) -> None:
    state, proven = State.PENDING, False
    for event in happening:
        proven = proven or event is Event.PROVEN
        state, action = step(state, event)
        assert proven or action not in DELIVERS | {Action.ANNOUNCE}


@given(events)
def test_a_revocation_is_the_end_of_delivery_whatever_follows(happening: list[Event]) -> None:
    state, _ = step(State.OPEN, Event.REVOKED)
    for event in happening:
        state, action = step(state, event)
        assert action not in DELIVERS | {Action.ANNOUNCE, Action.ASK}


def test_every_state_can_end() -> None:
    """No state is a trap: some event of the table leads on from it, and from there to the end."""
    reach = {State.CLOSED}
    while True:
        more = {state for (state, _), (after, _) in TABLE.items() if after in reach} | reach
        if more == reach:
            break
        reach = more
    assert reach == set(State)


seconds = st.floats(min_value=0.0, max_value=1e6, allow_nan=False)
instants = st.floats(min_value=1.7e9, max_value=1.9e9, allow_nan=False)
terms = st.builds(
    LeaseTerms,
    renew_every=st.none() | st.floats(min_value=1.0, max_value=1e6),
    grace=st.floats(min_value=1.0, max_value=3600.0),
    max=st.none() | st.floats(min_value=1.0, max_value=1e7),
)
CLOSE_ENOUGH = 1e-5


@given(terms, st.none() | seconds, st.booleans(), instants, seconds)
def test_nothing_outlives_its_credential(terms, life, renewable, now, open_for) -> None:
    expires = None if life is None else now + life
    lease = grant(terms, expires_at=expires, renewable=renewable, opened_at=now - open_for, now=now)
    if expires is not None:
        assert lease.deadline is not None
        assert lease.deadline <= expires
    if lease.renew_at is not None:
        assert renewable
        assert lease.deadline is not None
        assert lease.renew_at <= lease.deadline
        grace = lease.deadline - lease.renew_at
        assert grace <= terms.grace + CLOSE_ENOUGH
        assert life is None or grace <= life / 3 + CLOSE_ENOUGH
        assert terms.renew_every is None or lease.renew_at <= now + terms.renew_every
    assert (lease.ends_at is None) is (terms.max is None)
    assert lease.ends_at is None or lease.ends_at == now - open_for + (terms.max or 0.0)


@given(terms, st.none() | seconds, st.booleans(), instants, seconds)
def test_a_demanded_renewal_never_gives_more_time(terms, life, renewable, now, later) -> None:
    expires = None if life is None else now + life
    lease = grant(terms, expires_at=expires, renewable=renewable, opened_at=now, now=now)
    demanded = renew_now(lease, terms, expires_at=expires, now=now + later)
    assert demanded.deadline is not None
    assert demanded.deadline <= now + later + terms.grace
    for end in (lease.deadline, expires):
        assert end is None or demanded.deadline <= end
    assert demanded.ends_at == lease.ends_at
