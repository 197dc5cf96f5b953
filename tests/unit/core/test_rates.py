"""GCRA: exactly the burst at once, the rate from then on, and no clock's jump that locks or opens."""

from math import inf

import pytest

from doorward.core.rates import NEVER, pace, take
from doorward.values.rules import Rate

FIVE = Rate(count=5, period=1.0, burst=10)


def admitted(rate: Rate, *, now: float, tat: float = NEVER, tries: int = 1000) -> tuple[int, float]:
    """(how many of so many tries at one instant are admitted, the TAT then)."""
    count = 0
    for _ in range(tries):
        tat, wait = take(tat, rate, now)
        count += not wait
    return count, tat


@pytest.mark.parametrize("now", [0.0, -1000.0, 12345.678, 1.79e9, 1e-9])
@pytest.mark.parametrize("rate", [FIVE, Rate(1, 1.0, 1), Rate(10, 1.0, 50), Rate(100, 60.0, 100), Rate(600, 60.0, 600)])
def test_exactly_the_burst_at_once(rate: Rate, now: float) -> None:
    assert admitted(rate, now=now)[0] == rate.burst


def test_then_the_rate() -> None:
    _, tat = admitted(FIVE, now=100.0)
    later, tat = admitted(FIVE, now=101.0, tat=tat)
    assert later == 5
    assert admitted(FIVE, now=1000.0, tat=tat)[0] == FIVE.burst, "what was not used is kept up to the burst"


def test_the_wait_is_true_and_sufficient() -> None:
    _, tat = admitted(FIVE, now=50.0)
    same, wait = take(tat, FIVE, 50.0)
    assert same == tat, "a refused event costs nothing"
    assert wait == pytest.approx(0.2)
    assert take(tat, FIVE, 50.0 + wait / 2)[1] > 0.0
    assert take(tat, FIVE, 50.0 + wait)[1] == 0.0


def test_a_cost_is_several_events() -> None:
    tat, wait = take(NEVER, FIVE, 0.0, 10)
    assert wait == 0.0
    assert take(tat, FIVE, 0.0)[1] == pytest.approx(0.2)
    assert take(NEVER, FIVE, 0.0, 11) == (NEVER, inf)


def test_a_burst_of_nothing_admits_nothing() -> None:
    assert take(NEVER, Rate(5, 1.0, 0), 0.0) == (NEVER, inf)


def test_a_clock_that_steps_back_costs_a_burst_at_most() -> None:
    """FX-07: a TAT of the old time is taken as a burst just spent."""
    tat, _ = take(NEVER, FIVE, 1e9)
    tat, wait = take(tat, FIVE, 100.0)
    assert wait == pytest.approx(0.2)
    assert admitted(FIVE, now=101.0, tat=tat)[0] == 5


def test_a_clock_that_steps_forward_gives_a_burst_at_most() -> None:
    _, tat = admitted(FIVE, now=0.0)
    assert admitted(FIVE, now=1e9, tat=tat)[0] == FIVE.burst


def test_pace_is_what_take_judges_by() -> None:
    interval, window = pace(FIVE)
    assert interval == pytest.approx(0.2)
    assert window == pytest.approx(2.0, abs=0.001)
    assert pace(None) == (0.0, inf)
