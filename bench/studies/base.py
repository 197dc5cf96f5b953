"""A study prepares, does something large once, and returns its figures; it is told apart from a row, which compares."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum, unique

from bench.peers import Site
from bench.phases import Load


@unique
class Limit(StrEnum):
    """On which side of its target a figure has to lie."""

    AT_MOST = "≤"
    AT_LEAST = "≥"


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of a study. `target` is in its unit; None where there is none to reach.

    `scaled`: the target counts things, and is smaller in a trial. `must`: off its target the run has failed, for it
    says whether the work was done, not how fast.
    """

    key: str
    title: str
    unit: str
    target: float | None = None
    side: Limit = Limit.AT_MOST
    digits: int = 1
    scaled: bool = False
    must: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """What one run of a study found: figures by key, and series for plots."""

    figures: Mapping[str, float]
    series: Mapping[str, Sequence[float]] = field(default_factory=dict)
    note: str = ""
    """What must be said beside them."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What a study stands on: the run's site and load."""

    site: Site
    load: Load


class Study(ABC):
    """One study. `long`: it takes minutes, and runs when it is asked for."""

    name: str
    title: str
    figures: tuple[Figure, ...]
    long: bool = False

    @abstractmethod
    async def __call__(self, ground: Ground) -> Finding:
        """Raises BenchError, OSError, TimeoutError or StoreError where a figure can't be had."""
