"""However many are closed, in whatever time, by however many workers: no second sees more returns than the rate."""

from bisect import bisect_left
from itertools import pairwise
from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from doorward.core.pacing import SOONEST, Turn, share, turns

COUNTS = st.integers(0, 3000)
RATES = st.one_of(st.integers(1, 2000).map(float), st.floats(0.2, 500.0))
CLOSINGS = st.one_of(st.sampled_from([0.0, 1.0, 2.0, 25.0]), st.floats(0.0, 600.0))
PHASES = st.floats(0.0, 1.0, exclude_max=True)
NOISE = 1e-6  # of floats: seconds


def busiest(instants: list[float]) -> int:
    """The most in any second, its end left out."""
    ordered = sorted(instants)
    return max((bisect_left(ordered, at + 1 - NOISE) - place for place, at in enumerate(ordered)), default=0)


def returns(plan: list[Turn]) -> list[float]:
    return [turn.after + turn.delay for turn in plan]


@given(COUNTS, RATES, CLOSINGS, PHASES)
def test_no_second_sees_more_than_the_rate(count, rate, closing, phase) -> None:
    plan = list(turns(count, rate=rate, closing=closing, phase=phase))
    assert len(plan) == count
    assert busiest(returns(plan)) <= ceil(rate)


@given(COUNTS, RATES, CLOSINGS, PHASES)
def test_all_are_closed_in_time_and_in_order(count, rate, closing, phase) -> None:
    plan = list(turns(count, rate=rate, closing=closing, phase=phase))
    assert all(one.after <= other.after for one, other in pairwise(plan))
    assert all(-NOISE <= turn.after <= closing + NOISE for turn in plan)


@given(st.integers(1, 3000), RATES, CLOSINGS, PHASES)
def test_nobody_is_told_more_than_it_needs(count, rate, closing, phase) -> None:
    """The last is back when the rate allows it, or when the closes themselves are over."""
    plan = list(turns(count, rate=rate, closing=closing, phase=phase))
    assert min(turn.delay for turn in plan) >= SOONEST
    needed = max((count - 1 + phase) / rate, closing)
    assert max(returns(plan)) <= SOONEST + needed + NOISE
    if closing >= 2 and count / (closing - 1) <= rate:
        assert {turn.delay for turn in plan} == {SOONEST}


@given(st.integers(1, 3000), RATES, st.floats(2.0, 600.0), PHASES)
def test_who_cannot_read_a_delay_is_spread_by_the_closes(count, rate, closing, phase) -> None:
    """No second has more closes than twice an even share of it (and a few)."""
    plan = list(turns(count, rate=rate, closing=closing, phase=phase))
    even = count / (closing - 1)
    assert busiest([turn.after for turn in plan]) <= 2 * even + 2


@given(st.lists(st.tuples(st.integers(0, 800), PHASES), min_size=1, max_size=8), RATES, CLOSINGS)
def test_the_workers_of_a_node_share_its_rate(workers, rate, closing) -> None:
    part = share(rate, len(workers))
    arrivals = [
        instant
        for count, phase in workers
        for instant in returns([*turns(count, rate=part, closing=closing, phase=phase)])
    ]
    assert busiest(arrivals) <= max(ceil(rate), len(workers))
