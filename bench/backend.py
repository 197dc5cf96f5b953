"""The backend echoes: it answers the upgrade and sends every message back, as cheaply as Python can.

Not strict, for its clients are the bench's own. It counts what it sees of each upgrade (`GET /seen`), so that the
bench can prove that a peer did the work that its figure stands for.

Run as `python -m bench.backend PORT`.
"""

import asyncio
import base64
import gc
import hashlib
import json
import signal
import sys
from typing import Final, cast

import uvloop
from websockets.speedups import apply_mask

GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""RFC 6455 section 1.3."""

WATCHED: Final = ("authorization", "x-doorward-subject", "x-doorward-assertion", "x-jwt-subject")
"""Headers of an upgrade that are counted."""

_CLOSE: Final = 8
_PING: Final = 9


def accept_of(key: bytes) -> bytes:
    """The Sec-WebSocket-Accept that answers `key` (RFC 6455 section 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key + GUID, usedforsecurity=False).digest())


def header_of(first: int, length: int) -> bytes:
    """The unmasked frame header of minimal length (RFC 6455 section 5.2)."""
    if length < 126:
        return bytes((first, length))
    if length < 65536:
        return bytes((first, 126)) + length.to_bytes(2, "big")
    return bytes((first, 127)) + length.to_bytes(8, "big")


class Seen:
    """What the upgrades so far carried."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(("upgrades", *WATCHED), 0)
        self.live = 0

    def note(self, head: bytes) -> None:
        lowered = head.lower()
        self.counts["upgrades"] += 1
        for name in WATCHED:
            if b"\r\n" + name.encode() + b":" in lowered:
                self.counts[name] += 1


class Echo(asyncio.Protocol):
    """One connection: an upgrade, then frames."""

    __slots__ = ("_buffer", "_open", "_seen", "_transport")

    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self._buffer = b""
        self._open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._open:
            self._seen.live -= 1

    def data_received(self, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
        if not self._open:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._buffer = data
                return
            self._upgrade(data[: end + 4])
            data = data[end + 4 :]
        while (used := self._frame(data)) and len(data) > used:
            data = data[used:]
        self._buffer = b"" if used else data

    def _upgrade(self, head: bytes) -> None:
        fields = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(b":") for line in head.split(b"\r\n")[1:])
        }
        key = fields.get(b"sec-websocket-key")
        if key is None:
            body = json.dumps({**self._seen.counts, "live": self._seen.live}).encode()
            self._transport.write(
                b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
            )
            self._transport.close()
            return
        self._open = True
        self._seen.note(head)
        self._seen.live += 1
        self._transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept_of(key) + b"\r\n\r\n"
        )

    def _frame(self, data: bytes) -> int:
        """Answer the frame at the start of `data`. Returns its size, or 0 while it is not whole."""
        if len(data) < 6:
            return 0
        first, length, start = data[0], data[1] & 127, 2
        if length == 126:
            length, start = int.from_bytes(data[2:4], "big"), 4
        elif length == 127:
            length, start = int.from_bytes(data[2:10], "big"), 10
        end = start + 4 + length
        if len(data) < end:
            return 0
        payload = apply_mask(data[start + 4 : end], data[start : start + 4])
        opcode = first & 15
        if opcode < _CLOSE:
            self._transport.write(header_of(first, length) + payload)
        elif opcode == _CLOSE:
            self._transport.write(header_of(first, length) + payload)
            self._transport.close()
        elif opcode == _PING:
            self._transport.write(header_of(0x8A, length) + payload)
        return end


async def serve(port: int) -> None:
    """Serve on 127.0.0.1:`port` until SIGTERM."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    seen = Seen()
    server = await loop.create_server(lambda: Echo(seen), "127.0.0.1", port, backlog=4096)
    gc.freeze()
    gc.disable()
    await stopped.wait()
    server.close()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
