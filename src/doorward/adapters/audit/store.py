"""The audit log in the store, where `audit query` and every node find it: batched, in the loop's idle moments.

What the store can't take now is kept and tried again; meanwhile new batches are refused with OSError (LOG-07).
"""

import asyncio
import errno
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final

from doorward.core.auditing import line_of
from doorward.ports import AuditStore, StoreError
from doorward.values.audit import AuditEvent

# lines are made on the loop: about a millisecond a batch
BATCH: Final = 64
MOST: Final = 16384
RETRY: Final = 0.5


class StoreLines:
    """An AuditSink before an AuditStore; used from one loop only. `fault` is told of our own exceptions."""

    def __init__(
        self,
        store: AuditStore,
        *,
        fault: Callable[[str, BaseException], None],
        most: int = MOST,
        retry: float = RETRY,
    ) -> None:
        self._store = store
        self._fault = fault
        self._most = most
        self._retry = retry
        self._waiting: deque[AuditEvent] = deque()
        self._failing = False
        self._task: asyncio.Task[None] | None = None

    def write(self, events: Sequence[AuditEvent]) -> None:
        if self._failing:
            raise OSError(errno.EIO, "the store does not take the audit")
        if len(self._waiting) + len(events) > self._most:
            raise OSError(errno.EAGAIN, f"the store is {len(self._waiting)} audit events behind")
        self._waiting.extend(events)
        if self._task is None and self._waiting:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="audit store")

    async def finish(self, within: float) -> int:
        """Wait, `within` seconds at most, until all is stored; how many events are not. Before the store is closed."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=within)
        return len(self._waiting)

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        try:
            while self._waiting:
                batch = list(islice(self._waiting, BATCH))
                if await self._stored(batch):
                    for _ in batch:
                        self._waiting.popleft()
                else:
                    await asyncio.sleep(self._retry)
        finally:
            self._task = None

    async def _stored(self, batch: Sequence[AuditEvent]) -> bool:
        try:
            await self._store.append([(event, line_of(event)) for event in batch])
        except StoreError:
            self._failing = True
        except Exception as error:  # noqa: BLE001 - a bug of ours: told once, and tried again
            if not self._failing:
                self._fault("audit store", error)
            self._failing = True
        else:
            self._failing = False
        return not self._failing
