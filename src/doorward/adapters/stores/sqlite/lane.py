"""A lane is one thread and its queue: jobs go in from the event loop, outcomes come back with one wake a batch.

Nothing waits in it without bound: a job has a deadline, kept by one timer for all, and the queue has an end.
"""

import asyncio
import logging
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic
from typing import Any, Final, Protocol, TypeVar

from doorward.ports import StoreError

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]
Settle = Callable[[Sequence["Job"]], None]

DEADLINE: Final = 5.0
BATCH: Final = 256
MOST_WAITING: Final = 65_536

_log = logging.getLogger(__name__)


class Job:
    """One call on its way. The loop owns `future`; `result` and `error` are the thread's until the job is settled."""

    __slots__ = ("durable", "error", "future", "result", "until", "work")

    def __init__(self, work: Work[Any], future: asyncio.Future[Any], *, durable: bool, until: float) -> None:
        self.work = work
        self.future = future
        self.durable = durable
        self.until = until
        self.result: Any = None
        self.error: Exception | None = None

    def over(self) -> bool:
        """Nobody waits for it any more: cancelled, or too late."""
        return self.future.done() or monotonic() >= self.until


class Hands(Protocol):
    """What a lane's thread does."""

    def run(self, jobs: Sequence[Job], settle: Settle) -> None:
        """Do the jobs, giving each its result or error, and settle every one. Raises nothing."""

    def end(self) -> None:
        """Let go of the connection."""


class Lane:
    """`deadline` is in seconds, for each job; `batch` and `most_waiting` are numbers of jobs."""

    def __init__(
        self,
        hands: Hands,
        *,
        name: str,
        deadline: float = DEADLINE,
        batch: int = BATCH,
        most_waiting: int = MOST_WAITING,
    ) -> None:
        self._hands = hands
        self._deadline = deadline
        self._batch = batch
        self._most_waiting = most_waiting
        self._handed: list[Job] = []
        self._queue: SimpleQueue[list[Job] | None] = SimpleQueue()
        self._ahead: deque[Job] = deque()  # this and the next are the thread's
        self._last = False
        self._waiting: deque[Job] = deque()
        self._watch: asyncio.TimerHandle | None = None
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._ended = self._loop.create_future()
        # A daemon: a disk that hangs must not keep the process from ending.
        self._thread = Thread(target=self._main, name=name, daemon=True)
        self._thread.start()

    def do(self, work: Work[T], *, durable: bool = False) -> asyncio.Future[T]:
        """Have the thread call `work` with its connection. Await the outcome, or cancel.

        Raises StoreError when the lane is closed or overfull; the future raises it for everything that SQLite says,
        and once the deadline has passed.
        """
        if self._closed:
            raise StoreError("the store is closed")
        if len(self._waiting) >= self._most_waiting:
            raise StoreError(f"{self._most_waiting} calls wait for the store already")
        future: asyncio.Future[T] = self._loop.create_future()
        job = Job(work, future, durable=durable, until=monotonic() + self._deadline)
        self._waiting.append(job)
        if self._watch is None:
            self._watch = self._loop.call_later(self._deadline, self._look)
        # Handed over at the end of this turn of the loop, all that came in it together: the thread is woken once, and
        # runs while the loop is idle instead of wrestling with it for the interpreter's lock at each statement.
        if not self._handed:
            self._loop.call_soon(self._hand_over)
        self._handed.append(job)
        return future

    def post(self, work: Work[object], *, then: Callable[[], None] | None = None) -> bool:
        """Have the thread call `work`; nobody waits for it, and a failure is logged. Never raises StoreError.

        Whether it was taken; `then` is called once it is over, well or badly.
        """
        try:
            future = self.do(work)
        except StoreError as error:
            _log.warning("not done: %s", error)
            return False
        future.add_done_callback(_report)
        if then is not None:
            future.add_done_callback(lambda _: then())
        return True

    async def close(self) -> None:
        """Finish what waits, then end the thread. Raises StoreError if that takes longer than the deadline."""
        if not self._closed:
            self._closed = True
            self._hand_over()
            self._queue.put(None)
        done, _ = await asyncio.wait([self._ended], timeout=self._deadline)
        if self._watch is not None:
            self._watch.cancel()
        if not done:
            raise StoreError("the store's thread did not end")
        self._thread.join(self._deadline)

    # ---- on the loop

    def _hand_over(self) -> None:
        if self._handed:
            self._queue.put(self._handed)
            self._handed = []

    def _deliver(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            if job.future.done():
                continue
            if job.error is not None:
                job.future.set_exception(job.error)
            else:
                job.future.set_result(job.result)
        self._trim()

    def _look(self) -> None:
        """Fail what is too late, and look again when the next one would be."""
        self._trim()
        now = monotonic()
        while self._waiting and self._waiting[0].until <= now:
            late = self._waiting.popleft()
            if not late.future.done():
                late.future.set_exception(StoreError(f"no answer within {self._deadline:g} s"))
        self._trim()
        self._watch = self._loop.call_later(self._waiting[0].until - now, self._look) if self._waiting else None

    def _trim(self) -> None:
        waiting = self._waiting
        while waiting and waiting[0].future.done():
            waiting.popleft()

    def _end(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)

    # ---- in the thread

    def _main(self) -> None:
        while jobs := self._collect():
            self._hands.run(jobs, self._settle)
        self._hands.end()
        self._wake(self._end)

    def _collect(self) -> list[Job]:
        """The jobs that wait, as many as fit a batch. None: the lane has ended."""
        ahead = self._ahead
        try:
            while not self._last and len(ahead) < self._batch:
                handed = self._queue.get_nowait() if ahead else self._queue.get()
                if handed is None:
                    self._last = True
                else:
                    ahead.extend(handed)
        except Empty:
            pass
        return [ahead.popleft() for _ in range(min(len(ahead), self._batch))]

    def _settle(self, jobs: Sequence[Job]) -> None:
        self._wake(self._deliver, jobs)

    def _wake(self, call: Callable[..., None], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(call, *arguments)
        except RuntimeError:
            # The loop was closed without closing the store: nobody is left to hear it, and the thread may end.
            self._queue.put(None)


def _report(future: asyncio.Future[object]) -> None:
    if not future.cancelled() and (error := future.exception()) is not None:
        _log.warning("not done: %s", error)
