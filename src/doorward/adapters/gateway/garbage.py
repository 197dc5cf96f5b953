"""Python may look for garbage among what is young: a look at all that thousands of connections hold stops them all.

Nothing of a connection is in a cycle, so all of it goes when the connection does, without any collector. What cycles
there are else, as in an exception's frames, mostly die young. The rest waits until hardly anybody is connected.
"""

import asyncio
import gc
import time
from collections.abc import Callable
from typing import Final

THRESHOLDS: Final = (4_000, 1, 1_000)
"""Objects more than before, until the youngest are looked at; such looks until all young ones are: at most 12,000
objects, 5 ms. And such looks until Python looks at all by itself: some 300,000 connections without a quiet moment."""

FEW: Final = 256
"""Connections with which a look at everything takes a few milliseconds."""

EVERY: Final = 60.0
LONG: Final = 0.01


class Garbage:
    """`connections` says how many there are; `note` is told of a look that took longer than `long` seconds."""

    def __init__(self, connections: Callable[[], int], note: Callable[[str], None], *, long: float = LONG) -> None:
        self._connections = connections
        self._note = note
        self._over = long
        self._began = 0.0
        self._long: list[str] = []

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """What was built for the start stays, and is never looked at again."""
        gc.collect()
        gc.freeze()
        gc.set_threshold(*THRESHOLDS)
        gc.callbacks.append(self._watched)
        loop.call_later(EVERY, self._look_again, loop)

    def end(self) -> None:
        if self._watched in gc.callbacks:
            gc.callbacks.remove(self._watched)

    def look(self) -> bool:
        """Look at everything, where that disturbs hardly anybody and something has grown old since. Whether it was."""
        if self._connections() > FEW or not gc.get_count()[2]:
            return False
        gc.collect()
        return True

    def _look_again(self, loop: asyncio.AbstractEventLoop) -> None:
        self.look()
        while self._long:
            self._note(self._long.pop(0))
        loop.call_later(EVERY, self._look_again, loop)

    def _watched(self, phase: str, facts: dict[str, int]) -> None:
        """In the midst of anything, even of a note: so what is to be said is said later."""
        if phase == "start":
            self._began = time.perf_counter()
        elif (took := time.perf_counter() - self._began) > self._over:
            self._long.append(f"garbage: generation {facts['generation']} took {took * 1000:.0f} ms")
