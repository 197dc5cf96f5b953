"""What a slow reader gets through the walker is, byte for byte, what was sent: no buffer is handed on and then reused.

A relay that gave its transport views of a read buffer wrote 219 of 400 such frames wrong under backpressure, on uvloop.
"""

import asyncio
import hashlib
import random
import socket
from asyncio import AbstractEventLoop, StreamReader, StreamWriter
from collections.abc import Callable

import pytest
import uvloop

from tests.integration.autobahn.relay import Pair, relay
from tests.unit.core.framing import frame

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
CONNECTIONS = 4
SMALL = 4096  # bytes of a socket's buffer in the kernel, so that what the reader hasn't read waits in the relay
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\r\n"
RESPONSE = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"


def frames(connection: int, *, key: bool) -> bytes:
    """100 messages of 9 to 29 KB, no two alike; every third in two fragments with a ping between them."""
    chance = random.Random(connection)
    stream = b""
    for index in range(100):
        payload = hashlib.shake_128(b"%d/%d" % (connection, index)).digest(chance.randint(9_000, 29_000))
        mask = chance.randbytes(4) if key else None
        # The masked bytes only have to be distinct: nobody unmasks them.
        if index % 3:
            stream += header(0x82, len(payload), key=mask) + payload
        else:
            half = len(payload) // 2
            stream += header(0x02, half, key=mask) + payload[:half] + frame(0x89, b"ping", key=mask)
            stream += header(0x80, len(payload) - half, key=mask) + payload[half:]
    return stream


def header(first: int, size: int, *, key: bytes | None) -> bytes:
    return frame(first, key=key, declare=size)


async def read_slowly(reader: socket.socket, size: int) -> bytes:
    """So many bytes, a small piece a turn of the loop."""
    loop = asyncio.get_running_loop()
    got = bytearray()
    while len(got) < size and (piece := await loop.sock_recv(reader, 1500)):
        got += piece
    return bytes(got)


async def connect(port: int) -> socket.socket:
    """A client with a small receive buffer, upgraded."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, ("127.0.0.1", port))
    await loop.sock_sendall(client, REQUEST)
    assert await read_slowly(client, len(RESPONSE)) == RESPONSE
    return client


def peer(pair: Pair) -> object:
    return pair.client.transport is not None and pair.client.transport.get_extra_info("peername")


async def to_the_client() -> None:
    pairs: list[Pair] = []

    async def backend(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(RESPONSE)
        number = await reader.readexactly(7)
        writer.write(frames(number[-1], key=False))
        await writer.drain()
        await reader.read()
        writer.close()

    async def one(number: int, port: int) -> None:
        client = await connect(port)
        (pair,) = (pair for pair in pairs if peer(pair) == client.getsockname())
        try:
            # which stream it wants, as a legal message of one byte
            await asyncio.get_running_loop().sock_sendall(client, frame(0x82, bytes([number]), key=bytes(4)))
            await pair.client.paused.wait()
            expected = frames(number, key=False)
            assert await read_slowly(client, len(expected)) == expected
        finally:
            client.close()

    server = await asyncio.start_server(backend, "127.0.0.1", 0)
    async with server, relay(server.sockets[0].getsockname()[1], send_buffer=SMALL, watch=pairs.append) as port:
        await asyncio.gather(*(one(number, port) for number in range(CONNECTIONS)))


async def to_the_backend() -> None:
    pairs: list[Pair] = []
    loop = asyncio.get_running_loop()

    async def one(number: int, client_port: int, listener: socket.socket) -> None:
        expected = frames(number, key=True)
        connecting = asyncio.create_task(connect(client_port))
        backend, _ = await loop.sock_accept(listener)
        try:
            assert await read_slowly(backend, len(REQUEST)) == REQUEST
            await loop.sock_sendall(backend, RESPONSE)
            client = await connecting
            sending = asyncio.create_task(loop.sock_sendall(client, expected))
            try:
                await pairs[-1].backend.paused.wait()
                assert await read_slowly(backend, len(expected)) == expected
                await sending
            finally:
                sending.cancel()
                client.close()
        finally:
            backend.close()

    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        async with relay(listener.getsockname()[1], send_buffer=SMALL, watch=pairs.append) as port:
            for number in range(CONNECTIONS):
                await one(number, port, listener)


@pytest.mark.parametrize("scenario", [to_the_client, to_the_backend])
@pytest.mark.parametrize("loop", LOOPS)
def test_distinct_frames_to_a_slow_reader(loop: str, scenario: Callable) -> None:
    factory: Callable[[], AbstractEventLoop] = LOOPS[loop]
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(asyncio.wait_for(scenario(), 50))
