"""What young collections miss is found when hardly anybody is connected, and nobody is stopped for it before."""

import gc
import weakref
from collections.abc import Iterator
from typing import Any, cast

import pytest

from doorward.adapters.gateway.garbage import EVERY, FEW, THRESHOLDS, Garbage


class Timers:
    """As much of an event loop as Garbage needs."""

    def __init__(self) -> None:
        self.timers: list[tuple[float, Any, tuple[Any, ...]]] = []

    def call_later(self, seconds: float, call: Any, *arguments: Any) -> None:
        self.timers.append((seconds, call, arguments))

    def ring(self) -> None:
        ((seconds, call, arguments),) = self.timers
        assert seconds == EVERY
        self.timers.clear()
        call(*arguments)


class Ring:
    """Refers to itself."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    thresholds, callbacks = gc.get_threshold(), list(gc.callbacks)
    yield
    gc.set_threshold(*thresholds)
    gc.callbacks[:] = callbacks
    gc.unfreeze()


def test_a_cycle_that_has_grown_old_goes_when_few_are_connected() -> None:
    timers, count, notes = Timers(), FEW + 1, list[str]()
    garbage = Garbage(lambda: count, notes.append)
    garbage.begin(cast(Any, timers))
    assert gc.get_threshold() == THRESHOLDS
    ring = Ring()
    gc.collect(1)
    found = weakref.ref(ring)
    del ring
    gc.collect(1)
    timers.ring()
    assert found() is not None, "thousands are connected: nobody is stopped for it"
    count = FEW
    timers.ring()
    assert found() is None
    assert not garbage.look(), "nothing has grown old since"
    garbage.end()


def test_a_long_look_is_told_of() -> None:
    timers, notes = Timers(), list[str]()
    garbage = Garbage(lambda: 0, notes.append, long=0.0)
    garbage.begin(cast(Any, timers))
    gc.collect()
    assert not notes, "not in the midst of a collection"
    timers.ring()
    assert any(note.startswith("garbage: generation 2 took ") for note in notes)
    garbage.end()
    garbage.end()
