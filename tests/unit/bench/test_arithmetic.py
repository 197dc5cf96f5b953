"""The arithmetic that every published figure went through."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.arithmetic import added, flatness, others_share, paired, percentile, within

FINITE = st.floats(min_value=-1e9, max_value=1e9)


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([5.0], 0.99, 5.0),
        ([1.0, 2.0, 3.0, 4.0], 0.5, 2.0),
        ([4.0, 1.0, 3.0, 2.0], 0.75, 3.0),
        (list(range(1, 101)), 0.99, 99),
        (list(range(1, 301)), 0.99, 297),
        ([1.0, 2.0], 0.0, 1.0),
        ([1.0, 2.0], 1.0, 2.0),
    ],
)
def test_a_percentile_is_the_nearest_rank(values, share, expected) -> None:
    assert percentile(values, share) == expected


def test_nothing_has_no_percentile() -> None:
    with pytest.raises(ValueError, match="no value"):
        percentile([], 0.5)


@given(st.lists(FINITE, min_size=1), st.floats(min_value=0, max_value=1))
def test_a_percentile_is_one_of_the_values_and_covers_its_share(values, share) -> None:
    found = percentile(values, share)
    assert found in values
    assert sum(each <= found for each in values) >= share * len(values) * (1 - 1e-12)


def test_a_window_counts_both_its_ends() -> None:
    assert within([(0.9, 1), (1.0, 2), (1.5, 3), (2.0, 4), (2.1, 5)], 1.0, 2.0) == [2, 3, 4]


@pytest.mark.parametrize(
    ("series", "expected"),
    [
        ([2.0, 2.0, 2.0], 1.0),
        ([1.0, 9.0, 2.0], 2.0),
        ([1.0, 3.0, 0.0, 0.0, 8.0, 2.0], 2.5),
        ([1.0, 9.0, 9.0, 1.0], 1.0),
        ([0.0, 1.0, 0.0], 1.0),
        ([0.0, 0.0, 1.0], math.inf),
    ],
)
def test_flat_is_the_last_third_by_the_first(series, expected) -> None:
    assert flatness(series) == expected


def test_two_values_are_no_series() -> None:
    with pytest.raises(ValueError, match="short"):
        flatness([1.0, 2.0])


def test_a_ratio_is_taken_round_by_round() -> None:
    # the second round was noisy for both: the ratio of the medians would be 10
    assert paired([1.0, 100.0, 3.0], [1.0, 50.0, 0.3]) == 2.0
    assert paired([1.0, 2.0], [4.0]) == 0.25
    assert paired([], []) is None
    assert paired([1.0, 1.0], [1.0, 0.0]) is None
    assert paired([1.0, 1.0], [1.0, -2.0]) is None


def test_what_is_added_is_taken_round_by_round() -> None:
    assert added([5.0, 105.0, 6.0], [3.0, 100.0, 3.0]) == 3.0
    assert added([1.0], []) is None


def test_what_others_took_is_never_less_than_nothing() -> None:
    assert others_share(busy=3.0, ours=1.0, cores=2, seconds=4.0) == 0.25
    assert others_share(busy=1.0, ours=1.5, cores=2, seconds=4.0) == 0.0
    assert others_share(busy=1.0, ours=0.0, cores=2, seconds=0.0) == 0.0
