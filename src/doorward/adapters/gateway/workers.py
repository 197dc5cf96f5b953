"""A parent of several worker processes: it starts them, restarts one that crashed, and passes signals on.

Forked before any loop, thread or store exists; each worker builds its own. Signals are waited for, so nothing here runs
inside a signal handler.
"""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from doorward.service.noting import Note, unfailing

DONE: Final = 0
CRASHED: Final = 1
START_FAILED: Final = 3

FIRST_WAIT: Final = 1.0
LONGEST_WAIT: Final = 30.0
"""Seconds between a crash and the restart: doubled each time, and back to the first after a long life."""

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
_CHECK_EVERY: Final = 1.0

Work = Callable[[int, int | None, Callable[[], None]], int]
"""(worker, lifeline, ready) -> exit code. It calls `ready` when it serves."""

Parting = Callable[[], object]


@dataclass(slots=True)
class _Worker:
    number: int
    pid: int = 0
    ready: int = -1  # the reading end of a pipe in which a byte means that it served
    started: float = 0.0
    wait: float = FIRST_WAIT
    due: float = 0.0  # when to start it again, while pid is 0


def supervise(work: Work, *, workers: int, note: Note, parting: Parting) -> int:
    """Run `workers` processes until SIGTERM or SIGINT. 3 when one of the first could not start, else 0.

    `parting` is called in each of them, last before it ends.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        return _Parent(work, workers, note, parting, before).run()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Parent:
    def __init__(self, work: Work, workers: int, note: Note, parting: Parting, mask: set[int | signal.Signals]) -> None:
        self._work = work
        self._parting = parting
        self._note = unfailing(note)
        self._mask = mask
        self._workers = [_Worker(number) for number in range(workers)]
        self._lifeline, self._held = os.pipe()
        self._code = DONE
        self._stopping = False

    def run(self) -> int:
        try:
            for worker in self._workers:
                self._start(worker)
            while not self._stopping or any(worker.pid for worker in self._workers):
                self._take(signal.sigtimedwait(_SIGNALS, _CHECK_EVERY))
                self._reap()
                self._restart()
            return self._code
        finally:
            os.close(self._lifeline)
            os.close(self._held)

    def _take(self, told: signal.struct_siginfo | None) -> None:
        if told is None or told.si_signo == signal.SIGCHLD:
            return
        number = signal.SIGHUP if told.si_signo == signal.SIGHUP else signal.SIGTERM
        self._stopping = self._stopping or number == signal.SIGTERM
        self._tell_all(number)

    def _tell_all(self, number: signal.Signals) -> None:
        for worker in self._workers:
            if worker.pid:
                os.kill(worker.pid, number)

    def _start(self, worker: _Worker) -> None:
        ready, told = os.pipe()
        os.set_blocking(ready, False)
        _flush()
        pid = os.fork()
        if pid == 0:
            os.close(ready)
            os.close(self._held)
            self._be(worker.number, told)
        os.close(told)
        worker.pid, worker.ready, worker.started = pid, ready, time.monotonic()

    def _be(self, number: int, told: int) -> None:
        """In the child: it never returns."""
        code = CRASHED
        try:
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
            code = self._work(number, self._lifeline, lambda: _say_ready(told))
        except BaseException:  # noqa: BLE001 - the process ends here, whatever it was
            with suppress(OSError, ValueError):
                traceback.print_exc()
        finally:
            try:
                _flush()
                self._parting()
            finally:
                os._exit(code)

    def _reap(self) -> None:
        for worker in self._workers:
            if not worker.pid:
                continue
            pid, status = os.waitpid(worker.pid, os.WNOHANG)
            if pid:
                self._ended(worker, os.waitstatus_to_exitcode(status))

    def _ended(self, worker: _Worker, code: int) -> None:
        served = _was_ready(worker.ready)
        now = time.monotonic()
        worker.pid = 0
        if self._stopping:
            return
        if code == START_FAILED and not served and worker.wait == FIRST_WAIT:
            self._code = START_FAILED
            self._stopping = True
            self._tell_all(signal.SIGTERM)
            return
        if now - worker.started > LONGEST_WAIT:
            worker.wait = FIRST_WAIT
        worker.due = now + worker.wait
        self._note(f"worker {worker.number} ended with {code}, starting it again in {worker.wait:.0f} s")
        worker.wait = min(worker.wait * 2, LONGEST_WAIT)

    def _restart(self) -> None:
        for worker in self._workers:
            if not worker.pid and not self._stopping and time.monotonic() >= worker.due:
                self._start(worker)


def _flush() -> None:
    """What can't be written is lost, and costs us no worker."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()


def _say_ready(told: int) -> None:
    os.write(told, b"1")
    os.close(told)


def _was_ready(ready: int) -> bool:
    try:
        return os.read(ready, 1) == b"1"
    finally:
        os.close(ready)
