"""The audit log in the store, where `audit query` and every node find it: batched, in the loop's idle moments.

What the store can't take now is kept, in order, and tried again; so is what comes meanwhile, with a KeptError. Beyond
a bound the newest are refused with OSError, and the stream counts them (LOG-07). A batch whose answer was lost with the
connection is stored again: twice is better than never, and its node, worker, sequence and instant tell it. One that the
store will never take is given up, alone, and told: it must keep neither the others nor the door waiting.
"""

import asyncio
import errno
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from random import SystemRandom
from typing import Final

from doorward.core.auditing import line_of
from doorward.ports import AuditStore, KeptError, RefusedError, StoreError
from doorward.values.audit import AuditEvent

# lines are made on the loop: about a millisecond a batch
BATCH: Final = 64
MOST: Final = 65536
MOST_BYTES: Final = 64 << 20
RETRY: Final = 0.5
MOST_BUGS: Final = 10
"""Tries of one batch that end in a bug of ours, before one event of it is given up."""

_BARE: Final = 768  # bytes of an event without its long texts, about
_chance = SystemRandom()


class StoreLines:
    """An AuditSink before an AuditStore; used from one loop only. `fault` is told of our own exceptions.

    At most `most` events wait, and about `most_bytes`. `retry`: seconds between two tries, a third more or less.
    """

    def __init__(
        self,
        store: AuditStore,
        *,
        fault: Callable[[str, BaseException], None],
        most: int = MOST,
        most_bytes: int = MOST_BYTES,
        retry: float = RETRY,
    ) -> None:
        self._store = store
        self._fault = fault
        self._most = most
        self._most_bytes = most_bytes
        self._bytes = 0
        self._retry = retry
        self._waiting: deque[AuditEvent] = deque()
        self._failing = ""  # why
        self._singly = 0  # so many of the first are stored one by one, to find which of them it is
        self._bugs = 0
        self._told = False
        self._task: asyncio.Task[None] | None = None

    def write(self, events: Sequence[AuditEvent]) -> None:
        weight = sum(map(_weight, events))
        if len(self._waiting) + len(events) > self._most or self._bytes + weight > self._most_bytes:
            raise OSError(errno.EAGAIN, f"the store is {len(self._waiting)} audit events behind")
        self._waiting.extend(events)
        self._bytes += weight
        if self._task is None and self._waiting:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="audit store")
        if self._failing:
            raise KeptError(errno.EIO, f"the store does not take the audit: {self._failing}")

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
                batch = list(islice(self._waiting, 1 if self._singly else BATCH))
                if not await self._done(batch):
                    # nodes that lost it together do not come back in step
                    await asyncio.sleep(self._retry * _chance.uniform(0.67, 1.33))
        finally:
            self._task = None

    async def _done(self, batch: Sequence[AuditEvent]) -> bool:
        """Store it. Whether the next may follow at once: the store is not away."""
        try:
            await self._store.append([(event, line_of(event)) for event in batch])
        except RefusedError as error:
            self._refused(batch, error)
        except StoreError as error:
            self._failing = str(error) or type(error).__name__
            return False
        except Exception as error:  # noqa: BLE001 - a bug of ours: told once, tried again, and given up alone at last
            self._failing = type(error).__name__
            self._tell(error)
            self._bugs += 1
            if self._bugs >= MOST_BUGS:
                self._refused(batch, error)
            return False
        else:
            self._told = False
            self._over(batch)
        self._failing = ""
        return True

    def _refused(self, batch: Sequence[AuditEvent], error: Exception) -> None:
        if len(batch) > 1:
            self._singly = len(batch)
        else:
            self._over(batch)
            self._tell(error)

    def _tell(self, error: Exception) -> None:
        """Once until something is stored again: what is told is an event too, and goes the same way."""
        if not self._told:
            self._told = True
            self._fault("audit store", error)

    def _over(self, batch: Sequence[AuditEvent]) -> None:
        for event in batch:
            self._waiting.popleft()
            self._bytes -= _weight(event)
        self._singly = max(0, self._singly - len(batch))
        self._bugs = 0


def _weight(event: AuditEvent) -> int:
    """Bytes, about: it must only tell what is long from what is short."""
    return _BARE + len(event.user_agent) + len(event.origin) + len(event.path) + len(event.subject) + len(event.detail)
