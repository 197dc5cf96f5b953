"""The workers of one node ask each other over Unix sockets in the node's private folder: nobody else can enter it.

One question, one answer, a line each, a connection each time. A worker that is not there is no neighbour; one that is
there and does not answer in time has said nothing, which the asker is told.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

WITHIN: Final = 2.0
MAX_SIZE: Final = 65536

_Answer = Callable[[bytes], Awaitable[bytes]]


class UnixNeighbours:
    """Fulfils ports.Neighbours. `folder` (mode 0700) is shared by the workers of one node and nobody else; `within` is
    in seconds."""

    def __init__(
        self, folder: Path, *, worker: int, fault: Callable[[str, BaseException], None], within: float = WITHIN
    ) -> None:
        self._folder = folder
        self._own = folder / f"{worker}.sock"
        self._fault = fault
        self._within = within
        self._server: asyncio.Server | None = None

    async def start(self, answer: _Answer) -> None:
        """Be asked from now on. Raises OSError."""
        self._own.unlink(missing_ok=True)  # a worker of this number was here before, and died
        self._server = await asyncio.start_unix_server(
            lambda reader, writer: self._serve(reader, writer, answer), self._own, limit=MAX_SIZE
        )

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._own.unlink(missing_ok=True)

    async def ask(self, question: bytes) -> AsyncGenerator[bytes | None]:
        """Each neighbour's answer as it comes; None for one that is there and does not answer."""
        others = [path for path in self._folder.glob("*.sock") if path != self._own]
        asked = [asyncio.create_task(self._ask(path, question), name="ask neighbour") for path in others]
        try:
            for one in asyncio.as_completed(asked):
                try:
                    yield await one
                except (FileNotFoundError, ConnectionRefusedError):
                    continue
                except OSError:
                    yield None
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)

    async def _ask(self, path: Path, question: bytes) -> bytes:
        """Raises OSError; TimeoutError is one."""
        async with asyncio.timeout(self._within):
            reader, writer = await asyncio.open_unix_connection(path, limit=MAX_SIZE)
            try:
                writer.write(question + b"\n")
                return await reader.readline()
            finally:
                writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: _Answer) -> None:
        try:
            with suppress(OSError):  # the asker is gone, or did not say all in time; it knows itself what that means
                async with asyncio.timeout(self._within):
                    writer.write(await answer(await reader.readline()) + b"\n")
                    await writer.drain()
        except Exception as error:  # noqa: BLE001 - a bug of ours: audited, and no answer
            self._fault("neighbours", error)
        finally:
            writer.close()
