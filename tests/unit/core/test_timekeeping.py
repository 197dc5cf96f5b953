"""What a sample tells, which of a few is believed, when a jump counts, and the instant that no node's clock is past."""

from collections.abc import Iterator

import pytest

from doorward.core.timekeeping import (
    BEATS_APART,
    LONGEST_ROUND_TRIP,
    OWN_SKEW,
    SMALL,
    Offset,
    Sample,
    Samples,
    instant_for_all,
    shortest,
)

TRUE = 1_790_000_000.0


def asked(at: float, *, there: float, back: float, ahead: float = 0.0) -> Sample:
    """A question at `at` on our even clock to a store whose clock is TRUE and `ahead` more; how long each way takes."""
    return Sample(before=at, after=at + there + back, told=TRUE + at + there + ahead)


@pytest.mark.parametrize(("there", "back"), [(0.0, 0.0), (0.01, 0.01), (0.04, 0.001), (0.001, 0.04), (0.0, 0.09)])
def test_an_uneven_way_errs_by_half_a_round_trip_at_most(there: float, back: float) -> None:
    sample = asked(5.0, there=there, back=back)
    assert abs(sample.offset - TRUE) <= sample.error + 1e-6
    assert sample.error == pytest.approx((there + back) / 2)


def test_the_shortest_of_a_few_is_believed() -> None:
    some = [asked(1, there=0.08, back=0.0), asked(2, there=0.001, back=0.002), asked(3, there=0.0, back=0.05)]
    assert shortest(some) is some[1]
    samples = Samples()
    assert [samples.add(sample) for sample in some] == [some[0], some[1], some[1]]


def test_a_slow_sample_says_nothing() -> None:
    samples = Samples()
    assert samples.add(asked(1, there=LONGEST_ROUND_TRIP, back=0.001)) is None
    assert samples.add(asked(2, there=0.0, back=0.01)) is not None


def test_a_good_old_sample_is_not_believed_once_the_clock_has_jumped() -> None:
    samples = Samples()
    samples.add(asked(1, there=0.0005, back=0.0005))
    jumped = asked(3, there=0.02, back=0.02, ahead=5.0)
    assert samples.add(jumped) is jumped
    back = asked(5, there=0.02, back=0.02)
    assert samples.add(back) == asked(1, there=0.0005, back=0.0005), "and is again, when it has come back"


def test_two_that_know_the_store_by_the_slowest_samples_differ_by_no_more_than_the_own_skew() -> None:
    late, early = asked(1, there=0.1, back=0.0), asked(1, there=0.0, back=0.1)
    assert abs(late.offset - early.offset) <= OWN_SKEW + 1e-6


def follows(offset: Offset, steps: Iterator[tuple[float, float]]) -> list[float | None]:
    return [offset.follow(value, at=at) for at, value in steps]


def test_small_differences_are_followed_at_once() -> None:
    offset = Offset(100.0, lasts=5.0)
    assert offset.follow(100.0 + SMALL, at=0.0) is None
    assert offset.value == 100.0 + SMALL
    assert offset.follow(100.0, at=2.0) is None
    assert offset.value == pytest.approx(100.0)


@pytest.mark.parametrize("jump", [5.0, -5.0, 3600.0, -3600.0])
def test_a_jump_counts_when_it_has_lasted(jump: float) -> None:
    offset = Offset(100.0, lasts=5.0)
    assert follows(offset, iter([(0.0, 100 + jump), (2.0, 100 + jump), (4.0, 100 + jump)])) == [None] * 3
    assert offset.value == 100.0
    assert offset.follow(100 + jump, at=6.0) == jump
    assert offset.value == 100 + jump


def test_a_jump_there_and_back_never_shows() -> None:
    offset = Offset(100.0, lasts=5.0)
    assert follows(offset, iter([(0.0, 105.0), (2.0, 105.0), (4.0, 100.0), (6.0, 105.0), (8.0, 105.0)])) == [None] * 5
    assert offset.value == 100.0
    assert offset.follow(105.0, at=11.0) == 5.0, "counted from the second time"


@pytest.mark.parametrize(
    ("beats", "instant"),
    [
        ((), TRUE),
        ((TRUE - 1.9, TRUE - 0.2), TRUE),
        ((TRUE + OWN_SKEW, TRUE - 1), TRUE),
        ((TRUE + 5.0, TRUE - 1), TRUE + 5.0 + BEATS_APART),
        ((TRUE + 3600.0,), TRUE),
    ],
    ids=["nobody", "behind", "as exact as it gets", "ahead", "a fault"],
)
def test_no_node_is_past_a_revocations_instant(beats: tuple[float, ...], instant: float) -> None:
    assert instant_for_all(TRUE, beats) == instant
