"""The helpers that ship: time that stands, chance that is foretold, answers from a can."""

import pytest

from doorward.core.proving import Steps
from doorward.testing import START, FakeClock, FakeEntropy, play
from doorward.values.decision import MISSING, Found
from doorward.values.question import AskBan, TakePending


def test_a_clock_moves_when_it_is_told_to() -> None:
    clock = FakeClock()
    assert clock.now() == clock.now() == START
    assert clock.advance(1.5) == clock.now() == START + 1.5
    with pytest.raises(ValueError):
        clock.advance(-0.1)


def test_entropy_is_the_same_for_the_same_seed_and_never_twice() -> None:
    one, two = FakeEntropy(), FakeEntropy()
    codes = [one.bytes(16) for _ in range(100)]
    assert codes == [two.bytes(16) for _ in range(100)]
    assert len(set(codes)) == 100
    assert len(one.bytes(32)) == 32
    assert FakeEntropy("other").bytes(16) != FakeEntropy().bytes(16)


def steps() -> Steps[list]:
    found = []
    for _ in range(2):
        answer, now = yield AskBan()
        found.append((answer, now))
    answer, now = yield TakePending("k", 1)
    return [*found, (answer, now)]


def test_play() -> None:
    played = play(
        steps(), {AskBan: [MISSING, Found(1)], TakePending: lambda question: Found(question.key)}, now=5.0, pace=1.0
    )
    assert played.result == [(MISSING, 6.0), (Found(1), 7.0), (Found("k"), 8.0)]
    assert played.kinds() == [AskBan, AskBan, TakePending]
    assert played.now == 8.0


def test_a_can_that_runs_dry() -> None:
    with pytest.raises(LookupError):
        play(steps(), {AskBan: [MISSING]})
