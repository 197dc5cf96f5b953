"""A limit on how long a task may wait: what `asyncio.timeout` does, for a fifth of its price.

Every handshake has two of them, and nearly none is ever over.
"""

import asyncio
from types import TracebackType
from typing import Self


class Within:
    """`with Within(seconds):` around what awaits; TimeoutError where it took longer. For the current task alone.

    Whoever else cancels the task is heard, also at the same moment.
    """

    __slots__ = ("_cancelled_before", "_handle", "_over", "_seconds", "_task")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._over = False

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a limit is a task's")
        self._task: asyncio.Task[object] = task
        self._cancelled_before = task.cancelling()
        self._handle: asyncio.TimerHandle = task.get_loop().call_later(self._seconds, self._end)
        return self

    def again(self, seconds: float) -> None:
        """Count anew, from now. Only while the task runs, and so before it is over."""
        self._handle.cancel()
        if not self._over:
            self._handle = self._task.get_loop().call_later(seconds, self._end)

    def _end(self) -> None:
        self._over = True
        self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handle.cancel()
        if self._over and self._task.uncancel() <= self._cancelled_before and kind is asyncio.CancelledError:
            raise TimeoutError from error
