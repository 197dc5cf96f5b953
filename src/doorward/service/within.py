"""A task only for what waits, and a limit on how long: for a fraction of what asyncio's own cost a handshake.

`begin` runs a coroutine as far as nothing is waited for. Most refusals and most errands end there, and never need a
task. `Within` is `asyncio.timeout`, and holds for a coroutine that `begin` began as well.
"""

import asyncio
from collections.abc import Awaitable, Coroutine, Generator
from types import TracebackType, coroutine
from typing import Any, Final, Self, TypeVar

from doorward.ports import StoreError

_Work = Coroutine[Any, Any, None]
T = TypeVar("T")

STORE_WITHIN: Final = 6.0
"""Seconds for what nobody waits for. Adapters have shorter deadlines of their own, and better words."""


class Within:
    """`with Within(seconds):` around what awaits; TimeoutError where it took longer. For what runs here alone.

    Whoever else cancels the task is heard, also at the same moment.
    """

    __slots__ = ("_cancelled_before", "_handle", "_loop", "_over", "_seconds", "_task")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._over = False
        self._cancelled_before = 0
        self._task: asyncio.Task[Any] | None = None

    def __enter__(self) -> Self:
        """Raises RuntimeError outside of tasks, and of what `begin` began."""
        self._loop = asyncio.get_running_loop()
        if _unowned is not None:
            _unowned.append(self)
        elif (task := asyncio.current_task()) is not None:
            self._task = task
            self._cancelled_before = task.cancelling()
        else:
            raise RuntimeError("there is no task that could be told")
        self._handle = self._loop.call_later(self._seconds, self._end)
        return self

    def belongs_to(self, task: asyncio.Task[Any]) -> None:
        """What it limits has begun before, and goes on in this task."""
        self._task = task

    def again(self, seconds: float) -> None:
        """Count anew, from now, unless it is over already."""
        self._handle.cancel()
        if not self._over:
            self._handle = self._loop.call_later(seconds, self._end)

    def _end(self) -> None:
        if self._task is not None:
            self._over = True
            self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handle.cancel()
        if not self._over or self._task is None:
            return
        if self._task.uncancel() <= self._cancelled_before and kind is asyncio.CancelledError:
            raise TimeoutError from error


async def answered(work: Awaitable[T], *, within: float = STORE_WITHIN) -> T:
    """What a store says. Raises StoreError where it has said nothing within so many seconds: no loop of ours hangs."""
    try:
        with Within(within):
            return await work
    except TimeoutError as error:
        raise StoreError(f"no answer within {within:.0f} s") from error


_unowned: list[Within] | None = None
"""The limits that the work which is being begun just now has entered: they are its task's, should it need one."""


def begin(work: _Work, *, name: str | None = None) -> asyncio.Task[None] | None:
    """Run `work` up to where it waits. None: it is done. Else a task does the rest. Raises what `work` raises by then.

    Up to there `asyncio.current_task` is the caller's, if any: what begins so must not ask for it.
    """
    global _unowned
    outer, _unowned = _unowned, []
    try:
        awaited = work.send(None)
    except StopIteration:
        return None
    finally:
        limits, _unowned = _unowned, outer
    rest = _rest(work, awaited)
    rest.send(None)  # up to where a cancellation reaches it: one that has not begun would drop the work, and not end it
    task = asyncio.get_running_loop().create_task(rest, name=name)
    for limit in limits:
        limit.belongs_to(task)
    return task


async def _rest(work: _Work, awaited: object) -> None:
    """The rest of a coroutine that waits for `awaited`. Since Python 3.12 a task takes no generator."""
    await _go_on(work, awaited)


@coroutine
def _go_on(work: _Work, awaited: object) -> Generator[object, object, None]:
    error: BaseException | None = None
    sent: object = None
    try:
        yield None
    except BaseException as thrown:  # noqa: BLE001 - cancelled before its first step
        # what it waits for is cancelled as well, as a task would have done, and says so below
        if not (asyncio.isfuture(awaited) and awaited.cancel()):
            error = thrown
    while True:
        if error is None:
            try:
                sent = yield awaited
            except BaseException as thrown:  # noqa: BLE001 - it is the coroutine's, a cancellation too
                error = thrown
        try:
            awaited = work.send(sent) if error is None else work.throw(error)
        except StopIteration:
            return
        error = None
