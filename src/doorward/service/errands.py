"""Work that nobody waits for: kept alive until done, and never failing in silence."""

import asyncio
from collections.abc import Callable, Coroutine

from doorward.service.within import begin


class Errands:
    """Background tasks of one worker. `fault` is told of an exception; StoreErrors are theirs to handle."""

    def __init__(self, fault: Callable[[str, BaseException], None]) -> None:
        self._fault = fault
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self, name: str, work: Coroutine[object, object, None]) -> None:
        self._keep(asyncio.get_running_loop().create_task(self._guard(name, work), name=name))

    def begin(self, name: str, work: Coroutine[object, object, None]) -> None:
        """The same at once, and without a task where nothing is waited for (service/within.py)."""
        task = begin(self._guard(name, work), name=name)
        if task is not None:
            self._keep(task)

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guard(self, name: str, work: Coroutine[object, object, None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - a bug of ours: audited, and a refusal
            self._fault(name, error)

    async def finish(self, within: float) -> None:
        """Wait for what is under way, then cancel the rest. `within` in seconds."""
        if self._tasks:
            _, late = await asyncio.wait(list(self._tasks), timeout=within)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
