"""The arithmetic of figures, pure, so that it can be tested: percentiles, spread, windows, flatness, ratios."""

import math
import statistics
from collections.abc import Iterable, Sequence


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile: the least value that at least `share` (0 to 1) of all do not exceed.

    Raises ValueError when there is none.
    """
    if not values:
        raise ValueError("no value has no percentile")
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def within(samples: Iterable[tuple[float, float]], begin: float, end: float) -> list[float]:
    """The values of those (instant, value) that lie in the window, both ends counted."""
    return [value for instant, value in samples if begin <= instant <= end]


def flatness(series: Sequence[float]) -> float:
    """What the last third of a series is to its first third, as means: 1 is flat. Raises ValueError below 3 values."""
    third = len(series) // 3
    if third == 0:
        raise ValueError("too short a series to be flat")
    first, last = statistics.fmean(series[:third]), statistics.fmean(series[-third:])
    return last / first if first > 0 else (1.0 if last == first else math.inf)


def paired(own: Sequence[float], other: Sequence[float]) -> float | None:
    """The median over the rounds of own by other; None without a round, or where `other` is nothing to divide by.

    Memory that a peer gave back instead of keeping is no divisor.
    """
    pairs = list(zip(own, other, strict=False))
    return statistics.median(a / b for a, b in pairs) if pairs and all(b > 0 for _, b in pairs) else None


def added(own: Sequence[float], other: Sequence[float]) -> float | None:
    """The median over the rounds of own less other."""
    pairs = list(zip(own, other, strict=False))
    return statistics.median(a - b for a, b in pairs) if pairs else None


def others_share(*, busy: float, ours: float, cores: int, seconds: float) -> float:
    """What share of the machine work that was not the bench's took: `busy` and `ours` are CPU seconds of the run."""
    return max(0.0, busy - ours) / (cores * seconds) if seconds > 0 else 0.0
