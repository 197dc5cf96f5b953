"""A backend that echoes, without limits of its own, so that what is refused is refused by what stands before it."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from websockets.asyncio.server import ServerConnection, serve

SILENT = logging.getLogger("tests.autobahn.echo")
SILENT.addHandler(logging.NullHandler())
SILENT.propagate = False


async def answer(socket: ServerConnection) -> None:
    async for message in socket:
        await socket.send(message)


@asynccontextmanager
async def echo() -> AsyncIterator[int]:
    """The port of the echo on loopback, with compression where it is offered."""
    async with serve(
        answer, "127.0.0.1", 0, max_size=None, compression="deflate", ping_interval=None, logger=SILENT
    ) as server:
        yield next(iter(server.sockets)).getsockname()[1]
