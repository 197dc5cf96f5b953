"""Standard error is written by a thread of its own: who reads it slowly, or hangs, holds up nothing of ours (LOG-09).

What can't be written, or finds too much waiting, is dropped and counted; the count is said as soon as it can be.
"""

import io
import os
import select
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import IO, Final, TextIO, cast

MOST: Final = 1 << 22
"""Characters that may wait: of a minute's flood of refusals, what a reader that is only slow still gets."""

FINISH_WITHIN: Final = 1.0
"""Seconds that the end of the process waits for a reader."""

Put = Callable[[bytes], int]
"""As os.write: how much of it was taken; it may block, and raise OSError."""


class Printer(io.TextIOBase):
    """A text stream that takes everything at once, from any thread, and raises nothing for what stands behind it.

    `most` in characters. `flush` promises nothing; `finish` waits.
    """

    def __init__(self, put: Put, *, encoding: str = "utf-8", most: int = MOST) -> None:
        self._put = put
        self._encoding = encoding
        self._most = most
        self._begin()
        # the lock may be held and the thread is missing in a child; what waits there is its parent's to write
        begin = weakref.WeakMethod(self._begin)
        os.register_at_fork(after_in_child=lambda: (here := begin()) and here())

    def _begin(self) -> None:
        self._turn = threading.Condition()
        self._queue: deque[tuple[str, int]] = deque()  # what is to be written, and for how many lines it stands
        self._waiting = 0
        self._lost = 0
        self._failing = False
        self._torn = False
        self._thread: threading.Thread | None = None

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if not text:
            return 0
        with self._turn:
            if self._waiting + len(text) > self._most or not self._is_served():
                self._lost += text.count("\n")
            else:
                self._tell_lost()
                self._append(text, text.count("\n"))
                self._turn.notify_all()
        return len(text)

    def finish(self, within: float = FINISH_WITHIN) -> bool:
        """Wait for at most `within` seconds until all is written that can be; False when it is not."""
        with self._turn:
            return self._turn.wait_for(lambda: not self._waiting and not self._may_tell(), within)

    def _append(self, text: str, lines: int) -> None:
        self._queue.append((text, lines))
        self._waiting += len(text)

    def _tell_lost(self) -> None:
        if self._lost:
            self._append(f"{self._lost} lines lost: they could not be written\n", self._lost)
            self._lost = 0

    def _may_tell(self) -> bool:
        """Where nothing can be written, the next line is the next attempt."""
        return self._lost > 0 and not self._failing

    def _is_served(self) -> bool:
        """Begun with the first line: a process that prints nothing has no thread, and may fork."""
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="printer", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                return False
            self._thread = thread
        return True

    def _run(self) -> None:
        while True:
            with self._turn:
                while not self._queue and not self._may_tell():
                    self._turn.wait()
                if not self._queue:
                    self._tell_lost()
                text, lines = self._queue.popleft()
            written = self._put_all(text)
            with self._turn:
                self._waiting -= len(text)
                self._failing = not written
                self._lost += 0 if written else lines
                self._turn.notify_all()

    def _put_all(self, text: str) -> bool:
        rest = text.encode(self._encoding, "backslashreplace")
        if self._torn:
            rest = b"\n" + rest
        begun = False
        try:
            while rest:
                taken = self._put(_whole(rest))
                begun = begun or taken > 0
                rest = rest[taken:]
        except Exception:  # noqa: BLE001 - whatever stands behind it; there is no other place to say it
            self._torn = self._torn or begun
            return False
        self._torn = False
        return True


def _whole(block: bytes) -> bytes:
    """As many whole lines as a pipe takes in one piece: several processes write to it, and none within another's."""
    if len(block) <= select.PIPE_BUF:
        return block
    end = block.rfind(b"\n", 0, select.PIPE_BUF) + 1
    return block[: end or block.find(b"\n") + 1 or len(block)]


def printer_to(stream: "IO[str] | Printer | None") -> Printer:
    """Before `stream`, which is usually sys.stderr, and none where the process has none."""
    if isinstance(stream, Printer):
        return stream
    if stream is None:
        return Printer(len)
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        stream.fileno()
    except (OSError, ValueError):
        return Printer(partial(_say, stream, encoding), encoding=encoding)
    # not by the stream: a thread that hangs would hold the stream's lock, and the interpreter's end wants it
    return Printer(partial(_write, stream), encoding=encoding)


def _write(stream: IO[str], block: bytes) -> int:
    descriptor = stream.fileno()  # each time: after it was closed, the number may be another file's
    try:
        return os.write(descriptor, block)
    except BlockingIOError:  # whoever shares it with us may have made it so
        waiting = select.poll()
        waiting.register(descriptor, select.POLLOUT)
        waiting.poll()
        return 0


def _say(stream: IO[str], encoding: str, block: bytes) -> int:
    stream.write(block.decode(encoding))
    stream.flush()
    return len(block)


@contextmanager
def printing_aside() -> Iterator[Printer]:
    """Meanwhile sys.stderr is a Printer, whoever prints: for a process of ours, not for somebody's application."""
    before = sys.stderr
    printer = printer_to(before)
    sys.stderr = cast("TextIO", printer)
    try:
        yield printer
    finally:
        sys.stderr = before
        printer.finish()
