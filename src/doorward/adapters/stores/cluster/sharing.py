"""Many who ask the same at once are answered by one asking, which begins after the last of them came."""

import asyncio
from collections.abc import Awaitable, Callable

from doorward.ports import StoreError


class Sharing:
    """`work` never runs twice at a time. Who comes while it runs is answered by the next run."""

    def __init__(self, work: Callable[[], Awaitable[None]]) -> None:
        self._work = work
        self._waiting: list[asyncio.Future[None]] = []
        self._task: asyncio.Task[None] | None = None

    def __call__(self) -> "asyncio.Future[None]":
        """Await it, or cancel: that takes nobody along. Raises what the work raises."""
        loop = asyncio.get_running_loop()
        waiting = loop.create_future()
        self._waiting.append(waiting)
        if self._task is None:
            self._task = loop.create_task(self._run())
        return waiting

    async def _run(self) -> None:
        answered: list[asyncio.Future[None]] = []
        try:
            while self._waiting:
                answered, self._waiting = self._waiting, []
                try:
                    await self._work()
                except Exception as error:  # noqa: BLE001 - it is handed to whoever asked
                    for one in answered:
                        if not one.done():
                            one.set_exception(error)
                else:
                    for one in answered:
                        if not one.done():
                            one.set_result(None)
        finally:
            self._task = None
            for one in (*answered, *self._waiting):
                if not one.done():
                    one.set_exception(StoreError("the store is closed"))

    def end(self) -> None:
        """Whoever still waits is told that it is over."""
        if self._task is not None:
            self._task.cancel()
