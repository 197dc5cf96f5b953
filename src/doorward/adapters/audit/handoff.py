"""A file is written by a thread of its own: whatever a disk does, the loop does not wait for it (LOG-09).

What could not be written is kept and tried again. Meanwhile, and when too much is waiting, new batches are refused
with OSError, so that the stream counts what is lost and its readers know that it is losing (LOG-07).
"""

import errno
import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Protocol

from doorward.ports import AuditSink
from doorward.service.noting import Note, unfailing
from doorward.values.audit import AuditEvent

# lines are made with the interpreter's lock held: about half a millisecond a slice, then the write lets the loop in
SLICE: Final = 32
MOST: Final = 65536
RETRY: Final = 0.5
CLOSING: Final = 5.0


class FileSink(AuditSink, Protocol):
    def reopen(self) -> None: ...


class Handoff:
    """An AuditSink before a FileSink. `report` gets a line for our own log, from the thread; times in seconds."""

    def __init__(
        self,
        sink: FileSink,
        *,
        name: str,
        report: Note,
        most: int = MOST,
        retry: float = RETRY,
        closing: float = CLOSING,
    ) -> None:
        self._sink = sink
        self._name = name
        self._report = unfailing(report)
        self._most = most
        self._retry = retry
        self._patience = closing
        self._turn = threading.Condition()
        self._batches: deque[Sequence[AuditEvent]] = deque()
        self._waiting = 0
        self._failure: Exception | None = None
        self._reopening = False
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=f"audit {name}", daemon=True)
        self._thread.start()

    def write(self, events: Sequence[AuditEvent]) -> None:
        with self._turn:
            if self._failure is not None:
                raise OSError(getattr(self._failure, "errno", None) or errno.EIO, f"{self._name} fails")
            if self._waiting + len(events) > self._most:
                raise OSError(errno.EAGAIN, f"{self._name} is {self._waiting} events behind")
            self._batches.append(events)
            self._waiting += len(events)
            self._turn.notify()

    def reopen(self) -> None:
        """Ask for it; what was handed over before still goes to the old file."""
        with self._turn:
            self._reopening = True
            self._turn.notify()

    def close(self) -> None:
        """Write what is waiting, for at most `closing` seconds, and let go of the file."""
        with self._turn:
            self._closing = True
            self._turn.notify()
        self._thread.join(self._patience)
        if self._thread.is_alive():
            self._report(f"{self._name} could not be written to its end: {self._waiting} events are lost")

    def _run(self) -> None:
        while (batch := self._next()) is not None:
            for start in range(0, len(batch), SLICE):
                piece = batch[start : start + SLICE]
                if not self._insist(partial(self._sink.write, piece)):
                    return
                with self._turn:
                    self._waiting -= len(piece)
        self._insist(self._sink.close)

    def _next(self) -> Sequence[AuditEvent] | None:
        """The next batch; None when there will be no more."""
        while True:
            with self._turn:
                while not (self._batches or self._reopening or self._closing):
                    self._turn.wait()
                if self._batches:
                    return self._batches.popleft()
                if not self._reopening:
                    return None
                self._reopening = False
            self._reopen()

    def _reopen(self) -> None:
        try:
            self._sink.reopen()
        except OSError as error:
            # nothing is lost: the old file is still there
            self._report(f"{self._name} stays in its old file: {error}")

    def _insist(self, deed: Callable[[], None]) -> bool:
        """Do it until it is done; False when there is no time left for that."""
        while True:
            try:
                deed()
            except Exception as error:  # noqa: BLE001 - a thread that died in silence would lose everything after
                self._failed(error)
            else:
                self._recovered()
                return True
            with self._turn:
                if self._closing or self._turn.wait_for(lambda: self._closing, self._retry):
                    return False

    def _failed(self, error: Exception) -> None:
        with self._turn:
            first = self._failure is None
            self._failure = error
        if first:
            self._report(f"{self._name} fails and is tried again: {error}")

    def _recovered(self) -> None:
        with self._turn:
            if self._failure is None:
                return
            self._failure = None
        self._report(f"{self._name} is written again")
