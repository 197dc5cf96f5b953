"""Turns to be closed, by example; tests/property/test_pacing.py has the rule for any number of them."""

import pytest

from doorward.core.pacing import Turn, share, spread, turns


def test_nobody_needs_no_turn() -> None:
    assert list(turns(0, rate=1.0, closing=30.0)) == []


def test_closes_that_are_slow_enough_need_no_delays() -> None:
    assert list(turns(4, rate=200.0, closing=9.0)) == [Turn(0.0, 1), Turn(2.0, 1), Turn(4.0, 1), Turn(6.0, 1)]


def test_the_first_goes_at_once_however_much_time_there_is() -> None:
    assert [turn.after for turn in turns(6, rate=200.0, closing=3595.0, phase=0.9)][:2] == pytest.approx(
        [0, 599], abs=0.1
    )


def test_closes_that_are_faster_than_the_rate_are_told_later_and_later() -> None:
    """8 in 5 s, back at one a second: closes stay spread, and nobody comes in a second that is taken."""
    plan = list(turns(8, rate=1.0, closing=5.0))
    assert [turn.after + turn.delay for turn in sorted(plan, key=sum)] == pytest.approx([1, 2, 3, 4, 5, 6, 7, 8])
    assert max(turn.after for turn in plan) <= 5
    assert sum(turn.after > 2 for turn in plan) >= 3


def test_all_at_once_come_back_by_the_second() -> None:
    assert list(turns(5, rate=2.0, closing=0.0)) == [
        Turn(0.0, 1),
        Turn(0.0, 1),
        Turn(0.0, 2),
        Turn(0.0, 2),
        Turn(0.0, 3),
    ]


def test_nine_thousand_at_the_default_rate() -> None:
    plan = list(turns(9000, rate=200.0, closing=25.0))
    assert len(plan) == 9000
    assert max(turn.after + turn.delay for turn in plan) == pytest.approx(46, abs=0.1)
    assert max(turn.delay for turn in plan) <= 22


@pytest.mark.parametrize(("rate", "workers", "each"), [(200.0, 1, 200.0), (200.0, 3, 66.0), (1.0, 4, 0.25)])
def test_a_workers_share(rate: float, workers: int, each: float) -> None:
    assert share(rate, workers) == each


def test_over_what_time_all_come_back() -> None:
    assert spread(9000, rate=200.0) == 45.0
