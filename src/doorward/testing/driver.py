"""Drives a generator of the core with canned answers, and notes every question: no store, no loop, no clock.

What is not canned is answered as on a good day, so that a test names only what it is about.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from doorward.core.proving import Steps
from doorward.testing.clock import START
from doorward.values.admission import BackendAnswer
from doorward.values.decision import MISSING, Answer, Found
from doorward.values.question import (
    AskBan,
    AskRevocations,
    FetchSession,
    OpenBackend,
    Question,
    Register,
    Slot,
    SpendTicket,
    TakePending,
    TakeRate,
    TakeSlot,
    VerifySignature,
)
from doorward.values.token import Signature

T = TypeVar("T")

Reaction = Answer[object] | Callable[[Any], Answer[object]] | Sequence[Answer[object]]
"""One answer for every question of a kind, one made from the question, or one for each time that it is asked."""

GOOD_DAY: Final[Mapping[type, Reaction]] = {
    AskBan: MISSING,
    TakePending: Found(None),
    TakeRate: Found(0.0),
    VerifySignature: Found(Signature.GOOD),
    SpendTicket: MISSING,
    FetchSession: MISSING,
    AskRevocations: Found(()),
    TakeSlot: Found(Slot()),
    OpenBackend: Found(BackendAnswer(None)),
    Register: Found(None),
}


@dataclass(frozen=True, slots=True)
class Played(Generic[T]):
    """What came of it, everything that was asked on the way, in order, and the time by then."""

    result: T
    asked: tuple[Question, ...]
    now: float

    def kinds(self) -> list[type]:
        """The questions' types, for a test of their order."""
        return [type(question) for question in self.asked]


def play(
    steps: Steps[T], answers: Mapping[type, Reaction] | None = None, *, now: float = START, pace: float = 0.0
) -> Played[T]:
    """Run `steps` to the end. Every answer takes `pace` seconds. Raises LookupError when a canned sequence runs dry."""
    canned = {**GOOD_DAY, **(answers or {})}
    counts: dict[type, int] = {}
    asked: list[Question] = []
    try:
        question = next(steps)
        while True:
            asked.append(question)
            kind = type(question)
            now += pace
            counts[kind] = counts.get(kind, 0) + 1
            question = steps.send((_react(canned[kind], question, counts[kind]), now))
    except StopIteration as done:
        return Played(done.value, tuple(asked), now)


def _react(reaction: Reaction, question: Question, time: int) -> Answer[object]:
    if isinstance(reaction, Sequence):
        if time > len(reaction):
            raise LookupError(f"{type(question).__name__} is asked for the {time}th time, and nothing is canned")
        return reaction[time - 1]
    return reaction(question) if callable(reaction) else reaction
