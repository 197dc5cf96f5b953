"""GCRA against its own promise: never more than the burst and the rate, never less than the rate."""

from hypothesis import given
from hypothesis import strategies as st

from doorward.core.rates import NEVER, take
from doorward.values.rules import Rate

rates = st.builds(Rate, st.integers(1, 1000), st.sampled_from([1.0, 60.0, 3600.0]), st.integers(1, 200))
pauses = st.lists(st.floats(0.0, 2.0), max_size=60)


@given(rates, pauses, st.floats(0, 1e7))
def test_never_more_than_the_burst_and_the_rate(rate: Rate, pauses: list[float], start: float) -> None:
    tat, now, admitted = NEVER, start, 0
    for pause in pauses:
        now += pause
        for _ in range(3):
            tat, wait = take(tat, rate, now)
            admitted += not wait
    interval = rate.period / rate.count
    assert admitted <= rate.burst + (now - start) / interval + 0.11


@given(rates, st.integers(1, 50), st.floats(0, 1e7))
def test_who_waits_as_told_is_admitted(rate: Rate, times: int, now: float) -> None:
    tat = NEVER
    for _ in range(times):
        tat, wait = take(tat, rate, now)
        if wait:
            assert take(tat, rate, now + wait)[1] == 0.0
            now += wait


@given(rates, st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20))
def test_no_clock_locks_anybody_out(rate: Rate, instants: list[float]) -> None:
    """However the clock jumps, the wait is never longer than after a burst, and the true one."""
    interval = rate.period / rate.count
    tat = NEVER
    for now in instants:
        for _ in range(rate.burst + 1):
            tat, wait = take(tat, rate, now)
            assert 0.0 <= wait <= interval * 1.1 + 1e-6
