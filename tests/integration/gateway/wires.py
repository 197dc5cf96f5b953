"""Both other sides of the gateway, byte by byte: a client that says what it likes, and a backend that does."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager

from doorward.adapters.gateway.upgrading import accept_of, switching
from doorward.core.frame_headers import BINARY, CLOSE, TEXT, encode_frame
from tests.integration.gateway.standing_in import KEY

MASK = b"\x01\x02\x03\x04"
WITHIN = 30.0


def head(path: str = "/ws", *extra: str) -> bytes:
    """SECURITY's base request, with extra header lines."""
    headers = {
        "Host": "gw.example",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": KEY,
        "Sec-WebSocket-Version": "13",
    }
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), *extra]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class Client:
    """A raw client. Every wait of its is bounded."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def head(self) -> bytes:
        async with asyncio.timeout(WITHIN):
            return await self.reader.readuntil(b"\r\n\r\n")

    async def exactly(self, size: int) -> bytes:
        async with asyncio.timeout(WITHIN):
            return await self.reader.readexactly(size)

    async def rest(self, within: float = WITHIN) -> bytes:
        """Everything up to the end. Raises ConnectionError for a reset."""
        async with asyncio.timeout(within):
            return await self.reader.read(-1)

    async def frame(self) -> tuple[int, bytes]:
        """(first byte, payload) of the next unmasked frame."""
        first, length = await self.exactly(2)
        if length == 126:
            length = int.from_bytes(await self.exactly(2))
        elif length == 127:
            length = int.from_bytes(await self.exactly(8))
        return first, await self.exactly(length)

    async def close_frame(self) -> tuple[int, str]:
        first, payload = await self.frame()
        assert first == 0x80 | CLOSE, (first, payload)
        return int.from_bytes(payload[:2]), payload[2:].decode()

    def close(self) -> None:
        self.writer.close()


@asynccontextmanager
async def client(port: int, tls: ssl.SSLContext | None = None, *, limit: int = 1 << 26):
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=tls, server_hostname="gw.example" if tls else None, limit=limit
    )
    try:
        yield Client(reader, writer)
    finally:
        writer.transport.abort()


@asynccontextmanager
async def upgraded(port: int, *extra: str, tls: ssl.SSLContext | None = None, first: bytes = b""):
    """A client whose 101 is in. `first` goes in the handshake's own segment."""
    async with client(port, tls) as found:
        found.send(head("/ws", *extra) + first)
        answer = await found.head()
        assert answer.startswith(b"HTTP/1.1 101 "), answer
        yield found


def text(payload: bytes | str, *, fin: bool = True, mask: bytes | None = MASK) -> bytes:
    frame = encode_frame(TEXT, payload.encode() if isinstance(payload, str) else payload, mask=mask)
    return frame if fin else bytes([frame[0] & 0x7F]) + frame[1:]


def binary(payload: bytes, *, mask: bytes | None = MASK) -> bytes:
    return encode_frame(BINARY, payload, mask=mask)


Serve = Callable[[Client, bytes], Awaitable[None]]


@asynccontextmanager
async def backend(serve: Serve, tls: ssl.SSLContext | None = None):
    """A raw backend: `serve` gets each connection and the request's head. Yields its port."""
    tasks: set[asyncio.Task[None]] = set()

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            tasks.add(task)
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            await serve(Client(reader, writer), request)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(accepted, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def good_answer(request: bytes, *, protocol: str | None = None, deflate: str | None = None) -> bytes:
    key = next(line for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:"))
    return switching(accept=accept_of(key.partition(b":")[2].strip().decode()), protocol=protocol, deflate=deflate)


def then(serve: Serve, first: bytes = b"") -> Serve:
    """Answer with a good 101, `first` in its segment, and go on."""

    async def answering(other: Client, request: bytes) -> None:
        other.send(good_answer(request) + first)
        await serve(other, request)

    return answering


async def echo(other: Client, request: bytes) -> None:
    """Echoes raw frames, unmasked: enough for what is not about the backend. A Close is answered, then the end."""
    while True:
        first, length = await other.exactly(2)
        size = length & 0x7F
        if size == 126:
            size = int.from_bytes(await other.exactly(2))
        elif size == 127:
            size = int.from_bytes(await other.exactly(8))
        mask = await other.exactly(4)
        payload = await other.exactly(size)
        clear = unmasked(payload, mask)
        opcode = first & 0x0F
        if opcode == 0x9:
            opcode = 0xA
        elif opcode == 0xA:
            continue
        frame = encode_frame(opcode, clear, mask=None)
        other.send(bytes([(first & 0xF0) | opcode]) + frame[1:])
        await other.writer.drain()
        if opcode == CLOSE:
            return


def unmasked(payload: bytes, mask: bytes) -> bytes:
    stream = (mask * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload) ^ int.from_bytes(stream)).to_bytes(len(payload))


async def silent(other: Client, request: bytes) -> None:
    """Reads nothing, says nothing, and stays."""
    await asyncio.Event().wait()
