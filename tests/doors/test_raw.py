"""The client that knocks loses nothing that was said, whoever ends the connection, and takes slowness for no answer."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from tests.doors import raw

Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
ACCEPTED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
FAREWELL = b"\x88\x08\x11\x31sorry."


@asynccontextmanager
async def standing(peer: Peer) -> AsyncIterator[int]:
    """The port of a server that does as `peer` does, and then ends the connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await peer(reader, writer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


def reset(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def knock(port: int, **more: bool) -> raw.Heard:
    return await raw.knock(port, b"GET / HTTP/1.1\r\n\r\n", source="127.0.0.1", **more)


async def test_a_close_is_heard_though_our_own_meets_a_reset() -> None:
    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(ACCEPTED + FAREWELL)
        assert await reader.readexactly(len(raw.CLOSE)) == raw.CLOSE
        reset(writer)

    async with standing(peer) as port:
        assert (await knock(port, is_closed=True)).rest == FAREWELL


async def test_we_answer_a_close_when_all_of_it_is_here() -> None:
    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(ACCEPTED + FAREWELL[:4])
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.1)
        writer.write(FAREWELL[4:])
        await reader.readexactly(len(raw.CLOSE))

    async with standing(peer) as port:
        assert (await knock(port, is_closed=True)).rest == FAREWELL


async def test_an_answer_is_heard_though_a_reset_follows_it() -> None:
    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n{")
        await asyncio.sleep(0)
        writer.write(b"}")
        reset(writer)

    async with standing(peer) as port:
        assert (await knock(port)).problem == {}


async def test_who_keeps_the_connection_has_answered_by_its_length() -> None:
    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\n{}")
        assert await reader.read(1) == b""

    async with standing(peer) as port:
        assert (await knock(port)).problem == {}


async def test_silence_is_no_answer(monkeypatch) -> None:
    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)

    monkeypatch.setattr(raw, "WITHIN", 0.1)
    async with standing(peer) as port:
        with pytest.raises(TimeoutError):
            await knock(port)


async def test_who_is_told_that_nothing_follows_ends_it() -> None:
    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.read(1) == b""

    async with standing(peer) as port:
        assert (await knock(port, is_last=True)).raw == b""
