"""One process does the imports, and forks every gateway from there: what the tests start is up a second sooner.

The child runs the very command, in a session of its own, with the limits and the output that it was given.
"""

import asyncio
import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import Future
from threading import Lock, Thread
from typing import NoReturn

MOST = 65536
ENDED_BY_A_BUG = 70


class Child:
    """A gateway that was started. `output` is the reading end of what it prints."""

    def __init__(self, pid: int, output: int, ended: "Future[int]") -> None:
        self.pid = pid
        self.output = output
        self._ended = ended

    @property
    def returncode(self) -> int | None:
        return self._ended.result() if self._ended.done() else None

    async def wait(self) -> int:
        return await asyncio.shield(asyncio.wrap_future(self._ended))


class Forge:
    """Started with its first child, ends with the tests. It belongs to no event loop."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._socket: socket.socket | None = None
        self._forked: list[Future[tuple[int, Future[int]]]] = []
        self._ended: dict[int, Future[int]] = {}

    def start(self, arguments: Sequence[str], *, limits: dict[str, int], environment: dict[str, str]) -> Child:
        with self._lock:
            if self._socket is None:
                self._socket = self._open(environment)
            reading, writing = os.pipe()
            forked: Future[tuple[int, Future[int]]] = Future()
            self._forked.append(forked)
            order = json.dumps({"arguments": arguments, "limits": limits, "environment": environment}).encode()
            socket.send_fds(self._socket, [order], [writing])
            os.close(writing)
            pid, ended = forked.result(60)
            return Child(pid, reading, ended)

    def _open(self, environment: dict[str, str]) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        Thread(target=self._listen, args=(ours, theirs, environment), daemon=True, name="forge").start()
        return ours

    def _listen(self, ours: socket.socket, theirs: socket.socket, environment: dict[str, str]) -> None:
        """In a thread that lives as long as the tests: with the one that started it, the process would die."""
        process = subprocess.Popen(
            [sys.executable, __file__, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            env=environment,
        )
        theirs.close()
        while told := ours.recv(MOST):
            said, pid, code = json.loads(told)
            if said == "forked":
                self._ended[pid] = Future()
                self._forked.pop(0).set_result((pid, self._ended[pid]))
            else:
                self._ended.pop(pid).set_result(code)
        process.wait()


FORGE = Forge()


# ---- as a program ----------------------------------------------------------------------------------------------------


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, int(signal.SIGKILL))  # PR_SET_PDEATHSIG


def _serve(orders: socket.socket) -> None:
    waking, woken = socket.socketpair()
    for end in (waking, woken):
        end.setblocking(False)
    signal.set_wakeup_fd(woken.fileno())
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    while True:
        ready, _, _ = select.select([orders, waking], [], [])
        if waking in ready:
            waking.recv(MOST)
            for pid, code in _reaped():
                orders.send(json.dumps(["ended", pid, code]).encode())
        if orders in ready:
            order, files, _, _ = socket.recv_fds(orders, MOST, 1)
            if not order:
                return
            pid = os.fork()
            if pid == 0:
                orders.close()
                _become(json.loads(order), files[0])
            os.close(files[0])
            orders.send(json.dumps(["forked", pid, 0]).encode())


def _reaped() -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        found.append((pid, os.waitstatus_to_exitcode(status)))


def _become(order: dict, output: int) -> NoReturn:
    import resource

    import doorward.cli

    code = ENDED_BY_A_BUG
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        _die_with_parent()
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)
        os.environ.clear()
        os.environ.update(order["environment"])
        for name, most in order["limits"].items():
            resource.setrlimit(getattr(resource, name), (most, most))
        sys.argv = ["doorward", *order["arguments"]]
        doorward.cli.main()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:  # noqa: BLE001 - the process ends here, whatever it was
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    import doorward.adapters.gateway.main
    import doorward.cli.run
    import doorward.config.assemble
    import doorward.config.load  # noqa: F401

    _die_with_parent()
    _serve(socket.socket(fileno=int(sys.argv[1])))
