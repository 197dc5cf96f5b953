"""Both sides of a door, byte by byte: a client that sends what a vector says, a backend that does as its path says."""

import asyncio
import base64
import hashlib
import json
import re
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Address, ip_address
from typing import Any

WITHIN = 15.0
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
CLOSE = b"\x88\x82\x00\x00\x00\x00\x03\xe8"  # 1000, masked with zeros


def accept_of(key: str) -> str:
    """RFC 6455 section 4.2.2, by nothing of Doorward's own."""
    return base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()


@dataclass(frozen=True)
class Heard:
    """One answer, and whatever came after its head. The status is 0 where there was none in HTTP/1."""

    status: int
    headers: dict[str, str]
    rest: bytes
    raw: bytes

    @property
    def problem(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.rest)
        return found


def heard(raw: bytes) -> Heard:
    if not raw.startswith(b"HTTP/1."):
        return Heard(0, {}, b"", raw)
    head, _, rest = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    names = [line.partition(":")[0].lower() for line in lines]
    assert len(set(names)) == len(names), f"a header twice: {names}"
    headers = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in lines}
    return Heard(int(first.split(" ")[1]), headers, rest, raw)


async def exchange(port: int, data: bytes, *, source: str) -> Heard:
    """Send it in one go, close politely what was opened, and read to the end. The end is the server's to make."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    try:
        writer.write(data)
        async with asyncio.timeout(WITHIN):
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError as early:
                return heard(early.partial)
            if head.startswith(b"HTTP/1.1 101 "):
                writer.write(CLOSE)
            return heard(head + await reader.read(-1))
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


class Ear(asyncio.Protocol):
    """Keeps all that was heard, whatever became of the connection then: a StreamReader forgets it at a reset."""

    def __init__(self) -> None:
        self.heard = b""
        self.is_over = False
        self._more = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.heard += data
        self._more.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_over = True
        self._more.set()

    async def until(self, enough: Callable[[bytes], bool]) -> None:
        """Until it is enough, or nothing more will come."""
        while not (self.is_over or enough(self.heard)):
            self._more.clear()
            await self._more.wait()


async def knock(port: int, data: bytes, *, source: str, is_closed: bool = False, is_last: bool = False) -> Heard:
    """The same at a server that keeps its connections: one whole answer, and of a 101 all until its end.

    `is_closed`: the server says Close first. `is_last`: nothing comes after `data`, which the server is told: the end
    is its to make. Raises TimeoutError when it neither answers nor ends the connection.
    """
    transport, ear = await asyncio.get_running_loop().create_connection(Ear, "127.0.0.1", port, local_addr=(source, 0))
    try:
        async with asyncio.timeout(WITHIN):
            transport.write(data)
            if is_last:
                transport.write_eof()
            await ear.until(lambda said: b"\r\n\r\n" in said)
            if ear.heard.startswith(b"HTTP/1.1 101 "):
                if is_closed:
                    await ear.until(_has_frame)
                transport.write(CLOSE)
                await ear.until(lambda said: False)
            else:
                await ear.until(is_whole)
    finally:
        transport.abort()
        await ear.until(lambda said: False)
    return heard(ear.heard)


def _has_frame(said: bytes) -> bool:
    """Is there one frame, of up to 125 bytes, after the head?"""
    frame = said.partition(b"\r\n\r\n")[2]
    return len(frame) > 1 and len(frame) >= 2 + frame[1]


def is_whole(said: bytes) -> bool:
    """Is there a body as long as the head says? Without a word about it, it ends with the connection."""
    head, _, body = said.partition(b"\r\n\r\n")
    length = re.search(rb"(?im)^content-length: *([0-9]+)\r?$", head)
    if length is not None:
        return len(body) >= int(length[1])
    return body.endswith(b"0\r\n\r\n") and re.search(rb"(?im)^transfer-encoding: *chunked\r?$", head) is not None


def proxy_header(told: dict[str, Any], *, port: int) -> bytes:
    """PROXY protocol v2, as a proxy at the wire's address would write it for the client that the vector names."""
    client = ip_address(told["proxied"])
    is_v4 = isinstance(client, IPv4Address)
    server = ip_address("127.0.0.1" if is_v4 else "::1")
    body = client.packed + server.packed + struct.pack("!HH", 4711, port)
    tls = told.get("proxied_tls")
    if tls is not None:
        value = struct.pack("!BI", 1 if tls else 0, 0)
        body += struct.pack("!BH", 0x20, len(value)) + value
    return b"\r\n\r\n\x00\r\nQUIT\n" + struct.pack("!BBH", 0x21, 0x11 if is_v4 else 0x21, len(body)) + body


@dataclass
class Backend:
    """What it answers is in the path's last segment; `heads` are the requests that reached it."""

    port: int = 0
    heads: list[bytes] = field(default_factory=list)
    _server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            writer.write(self._answer(head.decode("latin-1")))
            if await reader.readexactly(2) == b"\x88\x82":
                writer.write(b"\x88\x02\x03\xe8")
            await reader.read(-1)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    def _answer(self, head: str) -> bytes:
        target = head.split(" ")[1]
        offers = re.search(r"(?im)^sec-websocket-protocol: *(.*?)\r$", head)
        key = re.search(r"(?im)^sec-websocket-key: *(.*?)\r$", head)
        assert key is not None
        protocol = ""
        match target.partition("?")[0]:
            case "/hang":
                return b""
            case "/refuse":
                return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
            case "/nonsense":
                return b"HELO backend.example\r\n\r\n"
            case "/select-unoffered":
                protocol = "invented.v1"
            case "/select-first" if offers is not None:
                protocol = offers[1].partition(",")[0].strip()
        lines = [
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {accept_of(key[1])}",
            *([f"Sec-WebSocket-Protocol: {protocol}"] if protocol else []),
        ]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()
