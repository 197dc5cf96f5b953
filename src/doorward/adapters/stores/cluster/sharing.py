"""Many who ask the same at once are answered by one asking, which begins after the last of them came."""

import asyncio
from collections.abc import Awaitable, Callable


class Sharing:
    """`work` never runs twice at a time. Who comes while it runs is answered by the next run."""

    def __init__(self, work: Callable[[], Awaitable[None]]) -> None:
        self._work = work
        self._running: asyncio.Task[None] | None = None
        self._next: asyncio.Task[None] | None = None

    async def __call__(self) -> None:
        """Raises what the work raises. Who is cancelled takes nobody along."""
        if self._next is None:
            self._next = asyncio.create_task(self._after(self._running))
            self._next.add_done_callback(_heard)
        await asyncio.shield(self._next)

    async def _after(self, before: "asyncio.Task[None] | None") -> None:
        if before is not None:
            await asyncio.wait([before])
        self._running, self._next = self._next, None
        await self._work()

    def end(self) -> None:
        """Whoever still waits is told that it is over."""
        for task in (self._running, self._next):
            if task is not None:
                task.cancel()


def _heard(task: "asyncio.Task[None]") -> None:
    """Whoever still waits hears of its failure; that nobody does is no fault."""
    if not task.cancelled():
        task.exception()
