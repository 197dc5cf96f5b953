"""Any life of a real Live: whatever comes, in whatever order, it closes once, says nothing after, and is let go."""

from collections.abc import Callable
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from doorward.core.deadlines import CLOSE_WITHIN
from doorward.core.lifecycle import State
from doorward.service.live import Live
from doorward.testing.conversation import ROUTE, Conversation
from doorward.testing.happenings import (
    Close,
    Cut,
    Deliver,
    Does,
    Free,
    Input,
    Message,
    Output,
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
from doorward.values.decision import Reason
from doorward.values.lease import InGrace, LeaseTerms
from doorward.values.rules import Limits

WATCH: list[Callable[[Live], object]] = [
    Live.close_by_operator,
    Live.replace,
    lambda live: live.store_away(reconnect_after=2),
    Live.pong,
    Live.json_ping,
    Live.dropped,
    Live.watched,
    Live.backend_gone,
    lambda live: live.drain(reconnect_after=3.0),
    lambda live: live.demand_renewal(now=live._watch.clock.now()),
    lambda live: live.put_roles(("member",)),
    lambda live: live.put_roles(()),
    lambda live: live.peer_fault(Reason.PROTOCOL_ERROR),
    lambda live: live.backend_fault("x"),
    lambda live: live.refused(Reason.MESSAGE_RATE, 1.0),
    lambda live: live.wrong(RuntimeError("x")),
    lambda live: live.broken(RuntimeError("x")),
    lambda live: live.control(b'{"type":"doorward.nonsense"}'),
]

quiet = st.one_of(
    st.just(Message(b"x")),
    st.floats(min_value=0.0, max_value=30.0).map(Passed),
    st.builds(Renewed, life=st.floats(min_value=1.0, max_value=100.0), over_socket=st.booleans()),
    st.just(Says.of("doorward.ping")),
    st.just(Says.of("doorward.auth", token="a.b.c")),
    st.just(RenewalRefused()),
)
events: st.SearchStrategy[Input] = st.one_of(
    quiet,
    quiet,
    st.sampled_from(WATCH).map(Does),
    st.sampled_from([revoked(), peer_closed(), backend_closed(), peer_gone()]),
    st.just(Unsent()),
    st.builds(
        RenewalRefused, st.sampled_from([Reason.IDENTITY_CHANGED, Reason.VERIFIER_UNAVAILABLE, Reason.TOKEN_EXPIRED])
    ),
)
routes = st.builds(
    lambda grace, renew, idle, longest, permission: replace(
        ROUTE,
        permission=permission,
        limits=Limits(refusals_before_close=2),
        lease=LeaseTerms(in_grace=grace, renew_every=renew, grace=5.0, idle=idle, max=longest),
    ),
    st.sampled_from(InGrace),
    st.none() | st.floats(min_value=5.0, max_value=60.0),
    st.none() | st.floats(min_value=5.0, max_value=60.0),
    st.none() | st.floats(min_value=10.0, max_value=200.0),
    st.sampled_from([None, "chat:join"]),
)


def closing(output: Output) -> bool:
    return isinstance(output, Close | Cut | Free)


@given(
    routes,
    st.booleans(),
    st.none() | st.floats(min_value=1.0, max_value=300.0),
    st.lists(events, max_size=30),
    st.integers(0, 3),
)
def test_any_life(route, controls, life, happenings, before_attached) -> None:
    play = Conversation(
        route=route, controls=controls, life=life, pings=False, attach=False, roles={"member": ("chat:join",)}
    )
    said: list[Output] = []
    for place, happening in enumerate([*happenings, peer_gone()]):
        if place == before_attached:
            play.attach()
            said += play.hands.out
            play.hands.out.clear()
        if place < before_attached and isinstance(happening, Passed):
            continue  # a 101 follows its decision within the same moment
        was = play.state
        play >> happening
        said += play.hands.out
        play.hands.out.clear()
        check(play, was)
    ends = [place for place, output in enumerate(said) if closing(output)]
    first = ends[0] if ends else len(said)
    after = said[first + 1 :]
    assert sum(isinstance(output, Close) for output in said) <= 1
    assert not [output for output in after if isinstance(output, Tell | Deliver)]
    assert sum(isinstance(output, Cut | Free) for output in said) <= 1


def check(play: Conversation, was: State) -> None:
    live = play.live
    assert len(play.closes) == (live.ended is not None)
    assert (live.state in (State.CLOSING, State.CLOSED)) == (live.ended is not None)
    assert was is not State.CLOSED or live.state is State.CLOSED
    assert was is not State.CLOSING or live.state in (State.CLOSING, State.CLOSED)
    assert play.is_held is (live.state is not State.CLOSED)
    assert play.watch.finishes == (live.state is State.CLOSED)
    now = play.clock.now()
    if live.state is State.CLOSING and live._hands is not None:
        assert live.due <= now + CLOSE_WITHIN
    if live.state in (State.OPEN, State.RENEWING) and live._hands is not None:
        for end in (live.lease.deadline, live.lease.ends_at):
            assert end is None or now < end, "it outlived its authority"
            assert end is None or live.due <= end
