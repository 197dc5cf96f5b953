"""A relay that is nothing but two walkers: handshakes pass as they come, no authentication, no timers, no pings.

It stands in for the gateway until that is there, and afterwards shows what of a failure is the walker's.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import cast

from doorward.core.endings import ENDINGS
from doorward.core.frame_headers import encode_close
from doorward.core.frames import Walker
from doorward.values.decision import Reason
from doorward.values.message import FrameRules, PeerClosed, Violation

# Autobahn sends messages of 16 MiB, in frames of 64 bytes, and pings as it likes.
AUTOBAHN = FrameRules(
    masked=True,
    message_size=64 << 20,
    frames_per_message=1 << 20,
    empty_frames_per_message=1 << 20,
    message_time=300.0,
    control_rate=None,
)
HEAD_END = b"\r\n\r\n"
LAST_WORDS = 5.0  # seconds for the peer to finish after our Close (SECURITY, FRM-07)


class End(asyncio.Protocol):
    """One end of the relay. What it reads goes to `other`: as it is until the head has passed, then by its walker."""

    def __init__(self, relay: "Pair") -> None:
        self.relay = relay
        self.transport: asyncio.Transport | None = None
        self.walker: Walker | None = None
        self.head = bytearray()
        self.other: End | None = None
        self.lost = asyncio.Event()
        self.paused = asyncio.Event()  # set once what goes to this end had to wait

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are of no common class
        self.transport = cast(asyncio.Transport, transport)
        if self.relay.send_buffer is not None:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self.relay.send_buffer)
        self.relay.open_ends.add(self)
        self.relay.arrived(self)

    def data_received(self, data: bytes) -> None:
        if self.walker is not None:
            self.frames(data)
            return
        self.head += data
        if HEAD_END in self.head:
            end = self.head.index(HEAD_END) + len(HEAD_END)
            head, rest = bytes(self.head[:end]), bytes(self.head[end:])
            self.relay.head_read(self, head, rest)

    def frames(self, data: bytes) -> None:
        if self.walker is None or not data:
            return
        for piece in self.walker.feed(data, asyncio.get_running_loop().time()):
            if isinstance(piece, bytes):
                self.relay.pass_on(self, piece)
            elif isinstance(piece, Violation):
                self.relay.broken(self, piece.reason)
            elif not isinstance(piece, PeerClosed):
                raise TypeError(piece)

    def write(self, data: bytes) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def pause_writing(self) -> None:
        self.paused.set()
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None and not self.other.transport.is_closing():
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.relay.open_ends.discard(self)
        self.lost.set()
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()


@dataclass(slots=True)
class Pair:
    """One client's connection and the one to the backend that was opened for it."""

    open_backend: Callable[["End"], None]
    rules: FrameRules
    open_ends: set[End]
    send_buffer: int | None
    client: End = field(init=False)
    backend: End = field(init=False)
    requested: bytes = b""
    early: bytes = b""

    def __post_init__(self) -> None:
        self.client, self.backend = End(self), End(self)
        self.client.other, self.backend.other = self.backend, self.client

    def arrived(self, end: End) -> None:
        if end is self.backend:
            self.backend.write(self.requested)

    def head_read(self, end: End, head: bytes, rest: bytes) -> None:
        if end is self.client:
            if self.client.transport is not None:
                self.client.transport.pause_reading()
            self.requested, self.early = head, rest
            self.open_backend(self.backend)
            return
        self.client.write(head)
        deflate = b"permessage-deflate" in head.lower()
        self.client.walker = Walker(replace(self.rules, deflate=deflate))
        self.backend.walker = Walker(replace(self.rules, masked=False, deflate=deflate))
        self.backend.frames(rest)
        self.client.frames(self.early)
        if self.client.transport is not None and not self.client.transport.is_closing():
            self.client.transport.resume_reading()

    def pass_on(self, end: End, data: bytes) -> None:
        if end.other is not None:
            end.other.write(data)

    def broken(self, end: End, reason: Reason) -> None:
        """Whoever broke a rule, the client is told by a Close where one may stand, and the backend loses it."""
        client, backend = self.client.transport, self.backend.transport
        if client is None or backend is None or self.backend.walker is None:
            return
        backend.abort()
        self.backend.other = None
        code = ENDINGS[reason].close
        if self.backend.walker.at_frame_boundary and code is not None:
            self.client.write(encode_close(code, mask=None))
            client.write_eof()
            asyncio.get_running_loop().call_later(LAST_WORDS, client.abort)
        else:
            client.abort()


@asynccontextmanager
async def relay(
    backend_port: int,
    *,
    rules: FrameRules = AUTOBAHN,
    send_buffer: int | None = None,
    watch: Callable[[Pair], None] = lambda pair: None,
) -> AsyncIterator[int]:
    """The port of a relay to the backend on loopback. `send_buffer`: bytes in the kernel. `watch` sees every pair."""
    loop = asyncio.get_running_loop()
    ends: set[End] = set()
    opening: set[asyncio.Task[object]] = set()

    def open_backend(end: End) -> None:
        task = loop.create_task(loop.create_connection(lambda: end, "127.0.0.1", backend_port))
        opening.add(task)
        task.add_done_callback(opening.discard)

    def accept() -> End:
        pair = Pair(open_backend, rules, ends, send_buffer)
        watch(pair)
        return pair.client

    server = await loop.create_server(accept, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
    for task in opening:
        task.cancel()
    for end in ends:
        if end.transport is not None:
            end.transport.abort()
    await asyncio.gather(*(end.lost.wait() for end in ends))
