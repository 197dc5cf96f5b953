"""The load is closed-loop and bounded: every step has a count and a time limit, every echo is compared whole."""

import asyncio
import os
import random
import ssl
import struct
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast, overload

from websockets.speedups import apply_mask

from bench.backend import accept_of, header_of
from bench.processes import BenchError
from bench.tokens import base64url

ORIGIN: Final = "https://app.bench.example"
STEP_SECONDS: Final = 60.0
"""The most that one step (opening, sending, leaving) may take."""

AT_ONCE: Final = 64
"""How many handshakes are under way at once."""

_CLOSE: Final = 8
_PING: Final = 9
_VARIANTS: Final = 4


@dataclass(frozen=True, slots=True)
class Url:
    """Where a peer listens: always 127.0.0.1. `trust` is None for plain, else the client's TLS settings."""

    port: int
    path: str = "/bench"
    trust: ssl.SSLContext | None = None
    source: str | None = None
    """The loopback address that clients come from; None lets the system choose."""


@dataclass(frozen=True, slots=True)
class Opening:
    """One handshake, ready to send, and the Sec-WebSocket-Accept that it must be answered with."""

    request: bytes
    accept: bytes


@dataclass(frozen=True, slots=True)
class Exchange:
    """One masked frame to send, and the frame that must come back."""

    frame: bytes
    echo: bytes


def opening(url: Url, *, token: str | None = None, ticket: str | None = None, protocol: str | None = None) -> Opening:
    """A handshake such as a browser-like client sends, with at most one credential; `protocol` is what it offers."""
    key = base64url(os.urandom(16)).replace("-", "+").replace("_", "/") + "=="
    query = f"?ticket={ticket}" if ticket else ""
    offer = f"Sec-WebSocket-Protocol: {protocol}\r\n" if protocol else ""
    bearer = f"Authorization: Bearer {token}\r\n" if token else ""
    head = (
        f"GET {url.path}{query} HTTP/1.1\r\nHost: 127.0.0.1:{url.port}\r\nConnection: Upgrade\r\n"
        f"Upgrade: websocket\r\nOrigin: {ORIGIN}\r\nUser-Agent: doorward-bench\r\nSec-WebSocket-Version: 13\r\n"
        f"{bearer}{offer}Sec-WebSocket-Key: {key}\r\n\r\n"
    )
    return Opening(head.encode(), accept_of(key.encode()))


def masked(first: int, payload: bytes, *, mask: bytes) -> bytes:
    """A client's frame (RFC 6455 section 5.3)."""
    header = header_of(first, len(payload))
    return header[:1] + bytes((header[1] | 128,)) + header[2:] + mask + apply_mask(payload, mask)


def exchanges(size: int, *, seed: int) -> tuple[Exchange, ...]:
    """A few binary messages of `size` bytes, different for every seed, so that a mix-up between sockets shows."""
    chance = random.Random(seed)
    return tuple(
        Exchange(masked(0x82, payload, mask=chance.randbytes(4)), header_of(0x82, size) + payload)
        for payload in (chance.randbytes(size) for _ in range(_VARIANTS))
    )


_LEAVE: Final = masked(0x88, struct.pack("!H", 1000), mask=b"\x11\x22\x33\x44")


class Socket(asyncio.Protocol):
    """One client connection: a handshake, then as many exchanges as it is told."""

    def __init__(self, wanted: Opening) -> None:
        loop = asyncio.get_running_loop()
        self._wanted = wanted
        self._buffer = b""
        self._echo = b""
        self._script: Iterator[Exchange] = iter(())
        self._finished: Callable[[str | None], None] | None = None
        self._upgraded = False
        self._leaving = False
        self.status: asyncio.Future[int] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._wanted.request)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.status.done():
            self.status.set_result(0)
        if not self.closed.done():
            self.closed.set_result(None)
        self._finish("the connection ended")

    def data_received(self, data: bytes) -> None:
        if data == self._echo and not self._buffer:
            self._next()
            return
        self._buffer += data
        if not self._upgraded and not self._read_head():
            return
        while self._read_frame():
            pass

    def play(self, script: Iterator[Exchange], finished: Callable[[str | None], None]) -> None:
        """Send each exchange once the one before came back; then call `finished` with None, or with the fault."""
        self._script, self._finished = script, finished
        self._next()

    def leave(self) -> None:
        """Begin the closing handshake."""
        self._leaving = True
        self._transport.write(_LEAVE)

    def cut(self) -> None:
        """End the connection at once."""
        self._transport.abort()

    def _next(self) -> None:
        exchange = next(self._script, None)
        if exchange is None:
            self._echo = b""
            self._finish(None)
            return
        self._echo = exchange.echo
        self._transport.write(exchange.frame)

    def _finish(self, fault: str | None) -> None:
        if self._finished is not None:
            finished, self._finished = self._finished, None
            finished(fault)

    def _read_head(self) -> bool:
        """Read the answer to the handshake. Returns whether frames follow."""
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found or self.status.done():
            return False
        lines = head.split(b"\r\n")
        status = int(lines[0].split(b" ", 2)[1])
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines[1:])}
        if status == 101 and fields.get(b"sec-websocket-accept") == self._wanted.accept:
            self._upgraded, self._buffer = True, rest
            self.status.set_result(status)
            return True
        if status != 101 and len(rest) < int(fields.get(b"content-length", b"0")):
            return False
        # A 101 with another connection's accept value is no answer to this handshake.
        self.status.set_result(status if status != 101 else 0)
        self._transport.close()
        return False

    def _read_frame(self) -> bool:
        """Read the frame at the start of the buffer. Returns whether one was whole."""
        buffer = self._buffer
        if len(buffer) < 2:
            return False
        length, start = buffer[1] & 127, 2
        if length == 126:
            length, start = int.from_bytes(buffer[2:4], "big"), 4
        elif length == 127:
            length, start = int.from_bytes(buffer[2:10], "big"), 10
        if len(buffer) < start + length:
            return False
        frame, self._buffer = buffer[: start + length], buffer[start + length :]
        opcode = frame[0] & 15
        if opcode == _PING:
            self._transport.write(masked(0x8A, frame[start:], mask=b"\x55\x66\x77\x88"))
        elif opcode == _CLOSE:
            if not self._leaving:
                self._finish(f"closed with {frame[start:]!r}")
            self._transport.close()
        elif opcode < _CLOSE:
            self._message(frame)
        return True

    def _message(self, frame: bytes) -> None:
        if frame == self._echo:
            self._next()
        else:
            self._finish("an echo was not what had been sent")


S = TypeVar("S", bound=Socket)


async def in_parallel(jobs: Iterator[Coroutine[None, None, None]], *, at_once: int) -> None:
    """Run all of `jobs`, at most `at_once` together. Raises the first fault, TimeoutError after STEP_SECONDS."""

    async def worker() -> None:
        for job in jobs:
            await job

    try:
        async with asyncio.timeout(STEP_SECONDS), asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(worker())
    except ExceptionGroup as faults:
        raise faults.exceptions[0] from None


async def connect(url: Url, wanted: Opening, kind: type[S]) -> S:
    """A TCP (and TLS) connection on which the handshake has been answered."""
    loop = asyncio.get_running_loop()
    _, socket = await loop.create_connection(
        lambda: kind(wanted), "127.0.0.1", url.port, ssl=url.trust, server_hostname="127.0.0.1" if url.trust else None,
        local_addr=None if url.source is None else (url.source, 0),
    )  # fmt: skip
    await socket.status
    return socket


@overload
async def open_all(url: Url, wanted: Sequence[Opening]) -> list[Socket]: ...
@overload
async def open_all(url: Url, wanted: Sequence[Opening], kind: type[S]) -> list[S]: ...
async def open_all(url: Url, wanted: Sequence[Opening], kind: type[Any] = Socket) -> list[Any]:
    """One open socket for each of `wanted`, in their order. Raises BenchError unless every one is answered with 101."""
    sockets: dict[int, Socket] = {}

    async def one(place: int, opening: Opening) -> None:
        socket = await connect(url, opening, kind)
        if socket.status.result() != 101:
            raise BenchError(f"handshake {len(sockets)} was answered with {socket.status.result() or 'a cut'}, not 101")
        sockets[place] = socket

    try:
        await in_parallel((one(place, each) for place, each in enumerate(wanted)), at_once=AT_ONCE)
    except BaseException:
        for socket in sockets.values():
            socket.cut()
        raise
    return [sockets[place] for place in range(len(wanted))]


async def refuse_all(url: Url, wanted: Sequence[Opening]) -> None:
    """Send each of `wanted`. Raises BenchError unless every one is answered with 401 or 403."""

    async def one(opening: Opening) -> None:
        socket = await connect(url, opening, Socket)
        if socket.status.result() not in (401, 403):
            socket.cut()
            raise BenchError(f"a forged token was answered with {socket.status.result() or 'a cut'}")
        await socket.closed

    await in_parallel((one(each) for each in wanted), at_once=AT_ONCE)


async def play_all(sockets: Sequence[Socket], scripts: Sequence[Iterator[Exchange]]) -> None:
    """Play each script on its socket, all at once. Raises BenchError at the first wrong or missing echo."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()
    left = len(sockets)

    def finished(fault: str | None) -> None:
        nonlocal left
        left -= 1
        if done.done():
            return
        if fault is not None:
            done.set_exception(BenchError(fault))
        elif left == 0:
            done.set_result(None)

    for socket, script in zip(sockets, scripts, strict=True):
        socket.play(script, finished)
    async with asyncio.timeout(STEP_SECONDS):
        await done


async def leave_all(sockets: Sequence[Socket]) -> None:
    """Close every socket with the closing handshake; cut those that are still there after 10 s."""
    for socket in sockets:
        if not socket.closed.done():
            socket.leave()
    pending = [socket.closed for socket in sockets if not socket.closed.done()]
    if pending:
        await asyncio.wait(pending, timeout=10)
    for socket in sockets:
        if not socket.closed.done():
            socket.cut()


@asynccontextmanager
async def opened(url: Url, wanted: Sequence[Opening]) -> AsyncIterator[list[Socket]]:
    """The sockets of `open_all`, left at the end."""
    sockets = await open_all(url, wanted)
    try:
        yield sockets
    finally:
        await leave_all(sockets)


async def ask(url: Url, request: bytes) -> tuple[int, bytes]:
    """One plain HTTP exchange on a connection of its own: status and body, read to the end."""
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", url.port, ssl=url.trust, server_hostname="127.0.0.1" if url.trust else None
        )
        try:
            writer.write(request)
            answer = await reader.read(-1)
        finally:
            writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]) if head.startswith(b"HTTP/1.1 ") else 0, body
