"""A loop in which nobody waits: when nothing but timers is left, it is the first one's time at once.

For pauses of a second and more between fakes. Not where a thread, a process or a socket works: its work takes time.
"""

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from selectors import DefaultSelector, SelectorKey
from typing import Any


class _Leaps(DefaultSelector):
    """Sleeps through no timer. `ahead`: how far the loop's time is before the machine's, in seconds."""

    ahead = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        ready = super().select(timeout and 0)
        if timeout and not ready:
            self.ahead += timeout
        return ready


class LeapingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._leaps = _Leaps()
        super().__init__(self._leaps)

    def time(self) -> float:
        return super().time() + self._leaps.ahead


def leaping(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """The asynchronous test in such a loop."""

    @wraps(test)
    def run(*arguments: Any, **more: Any) -> None:
        with asyncio.Runner(loop_factory=LeapingLoop) as runner:
            runner.run(test(*arguments, **more))

    return run
