"""A TCP proxy on loopback, in a thread of its own, that does what a network does: cut, hold, drop, delay.

Whoever is behind it is real. A test says what the network does now, and from that moment it does so with what is open
and with what is opened later. Nothing here waits for the test's own event loop.
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from enum import Enum, auto
from typing import Any, TypeVar

T = TypeVar("T")
Waiting = asyncio.Queue[tuple[float, bytes]]

CHUNK = 65536
STARTS_WITHIN = 30.0
NEVER_LINGER = struct.pack("ii", 1, 0)


class Way(Enum):
    """What becomes of what is sent."""

    FLOWS = auto()
    HELD = auto()  # nobody reads it: the peer's window fills, and nobody is told; it goes on when healed
    DROPPED = auto()  # it is read, and is gone
    CUT = auto()  # every connection is reset, and every new one as soon as it is there


class Proxy:
    """`target` is asked for each new connection, so a server may come back on another port."""

    def __init__(self, target: Callable[[], tuple[str, int]]) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self.accepted = 0
        self.carried = 0
        self._way = Way.FLOWS
        self._delay_to = self._delay_back = 0.0
        self._pairs: dict[asyncio.Task[None], list[socket.socket]] = {}
        self._loop = asyncio.new_event_loop()
        self._changed = asyncio.Condition()
        self._thread = threading.Thread(target=self._run, name=f"proxy-{self.port}", daemon=True)
        self._thread.start()

    # what the network does, from now on

    def flow(self) -> None:
        """All is well. What was held goes on; a connection of which something was dropped is reset."""
        self._do(self._turn(Way.FLOWS, reset=self._way is Way.DROPPED))

    def hold(self) -> None:
        """Accept, and say nothing: packets are lost, and nobody knows."""
        self._do(self._turn(Way.HELD, reset=False))

    def drop(self) -> None:
        """Take all that is sent, and pass nothing on."""
        self._do(self._turn(Way.DROPPED, reset=False))

    def cut(self) -> None:
        """Reset what is open and whatever is opened."""
        self._do(self._turn(Way.CUT, reset=True))

    def reset(self) -> None:
        """Reset what is open, once."""
        self._do(self._turn(self._way, reset=True))

    def delay(self, *, to: float = 0.0, back: float = 0.0) -> None:
        """Whatever is sent from now on arrives so many seconds later, in order."""

        async def change() -> None:
            self._delay_to, self._delay_back = to, back

        self._do(change())

    @property
    def open(self) -> int:
        """Connections that it has now."""
        return len(self._pairs)

    def close(self) -> None:
        """Reset everything and end the thread."""
        if self._thread.is_alive():
            self._do(self._turn(Way.CUT, reset=True))
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(STARTS_WITHIN)
        self._listener.close()

    # its thread

    def _do(self, what: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(STARTS_WITHIN)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        accepting = self._loop.create_task(self._accept())
        try:
            self._loop.run_forever()
            accepting.cancel()
            rest = list(self._pairs)
            for task in rest:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(accepting, *rest, return_exceptions=True))
        finally:
            self._loop.close()

    async def _turn(self, way: Way, *, reset: bool) -> None:
        async with self._changed:
            self._way = way
            self._changed.notify_all()
        if reset:
            ending = list(self._pairs)
            for task in ending:
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)

    async def _until(self, *ways: Way) -> Way:
        async with self._changed:
            await self._changed.wait_for(lambda: self._way in ways)
            return self._way

    async def _accept(self) -> None:
        while True:
            near, _ = await self._loop.sock_accept(self._listener)
            near.setblocking(False)
            self.accepted += 1
            if self._way is Way.CUT:
                _abort(near)
                continue
            ends = [near]
            task = self._loop.create_task(self._carry(ends))
            self._pairs[task] = ends
            task.add_done_callback(self._forget)

    def _forget(self, task: "asyncio.Task[None]") -> None:
        """Also where it was cancelled before its first step."""
        for end in self._pairs.pop(task):
            _abort(end)

    async def _carry(self, ends: list[socket.socket]) -> None:
        """Both ways until both have ended, or either end is gone. A server that is not there is a reset."""
        with suppress(OSError):
            await self._until(Way.FLOWS)
            far = socket.socket()
            ends.append(far)
            far.setblocking(False)
            await self._loop.sock_connect(far, self._target())
            for end in ends:
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._both(ends[0], far)

    async def _both(self, near: socket.socket, far: socket.socket) -> None:
        there: Waiting = asyncio.Queue(256)
        back: Waiting = asyncio.Queue(256)
        work = [
            self._loop.create_task(step)
            for step in (
                self._read(near, there, lambda: self._delay_to),
                self._write(far, there),
                self._read(far, back, lambda: self._delay_back),
                self._write(near, back),
            )
        ]
        try:
            await asyncio.wait(work, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)

    async def _read(self, source: socket.socket, waiting: Waiting, delay: Callable[[], float]) -> None:
        data = b"?"
        while data:
            await self._until(Way.FLOWS, Way.DROPPED)
            data = await self._loop.sock_recv(source, CHUNK)
            if self._way is not Way.DROPPED or not data:
                await waiting.put((self._loop.time() + delay(), data))

    async def _write(self, sink: socket.socket, waiting: Waiting) -> None:
        while True:
            due, data = await waiting.get()
            await asyncio.sleep(due - self._loop.time())
            await self._until(Way.FLOWS)  # it was under way when the network stood still
            if not data:
                sink.shutdown(socket.SHUT_WR)
                return
            await self._loop.sock_sendall(sink, data)
            self.carried += len(data)


def _abort(end: socket.socket) -> None:
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NEVER_LINGER)
    end.close()


@contextmanager
def proxied(target: Callable[[], tuple[str, int]]) -> Iterator[Proxy]:
    proxy = Proxy(target)
    try:
        yield proxy
    finally:
        proxy.close()
