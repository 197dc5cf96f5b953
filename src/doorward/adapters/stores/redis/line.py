"""One connection to one server: what is asked in one turn of the loop leaves in one write, and answers come in order.

An answer belongs to the call at the head of the row, whether anybody still waits for it or not. So a caller may be
cancelled at any moment, and nobody gets another's answer (CVE-2023-28858). What breaks that order ends the line.

redis-py connects, checks certificates and authenticates. Then its stream is taken away from it, and hiredis reads what
arrives at once: a task that writes and one that reads would cost a call three times as much.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import hiredis
from redis._parsers import BaseParser
from redis.asyncio.connection import Connection
from redis.exceptions import ConnectionError, InvalidResponse, RedisError, ResponseError

from doorward.adapters.stores.redis.address import RedisAddress
from doorward.adapters.stores.redis.call import Argument, Call, packed
from doorward.adapters.stores.redis.connecting import connect_to

Lost = Callable[[str], None]
Refused = Callable[["Line", Call, ResponseError], None]

_NO_MORE: Final = object()


class Line(asyncio.Protocol):
    """`lost` is called once, with why, when the line is of no use any more, and `refused` for each error answered."""

    def __init__(self, address: RedisAddress, *, lost: Lost, refused: Refused) -> None:
        self.address = address
        self.life = ""
        self._lost = lost
        self._refused = refused
        self._loop = asyncio.get_running_loop()
        self._connection: Connection | None = None
        self._transport: asyncio.WriteTransport | None = None
        self._answers = hiredis.Reader(
            protocolError=InvalidResponse, replyError=BaseParser.parse_error, notEnoughData=_NO_MORE
        )
        self._handed: list[Call | bytes] = []
        self._in_flight: deque[Call | None] = deque()
        self._over = False

    async def open(self) -> None:
        """Connect and authenticate. Raises RedisError or OSError."""
        self._connection = await connect_to(self.address)

    async def ask(self, *command: Argument) -> Any:
        """Before `begin` only: one command, one answer. Raises RedisError or OSError."""
        connection = self._connection
        if connection is None:
            raise ConnectionError("it is not connected")
        await connection.send_packed_command([packed(*command)], check_health=False)
        return await connection.read_response()

    def begin(self) -> None:
        """From now on `send` works. Raises ConnectionError when it is over already."""
        writer = None if self._connection is None else self._connection._writer
        if writer is None or writer.is_closing():
            raise ConnectionError("it hung up")
        transport = self._transport = writer.transport
        transport.set_protocol(self)

    def send(self, call: Call, *before: bytes) -> None:
        """Write it at the end of this turn, right after what stands `before` it, whose answers nobody needs."""
        call.sent = True
        handed = self._handed
        if not handed:
            self._loop.call_soon(self._flush)
        if before:
            handed += before
        handed.append(call)

    async def close(self) -> None:
        """Those that still wait are not told."""
        self._over = True
        if self._transport is not None:
            self._transport.abort()
        if self._connection is not None:
            await self._connection.disconnect(nowait=True)

    def _flush(self) -> None:
        handed, self._handed = self._handed, []
        if self._over or self._transport is None:
            return
        in_flight = self._in_flight
        chunks = []
        for one in handed:
            if isinstance(one, bytes):
                chunks.append(one)
                in_flight.append(None)
            elif not one.future.done():
                chunks.append(one.command)
                in_flight.append(one)
        if chunks:
            # What it can't take now waits in our memory, for no longer than the deadline lets the line live.
            self._transport.write(chunks[0] if len(chunks) == 1 else b"".join(chunks))

    def _end(self, why: str) -> None:
        if not self._over:
            self._over = True
            self._lost(why)

    # what the transport says

    def data_received(self, data: bytes) -> None:
        next_answer, in_flight = self._answers.gets, self._in_flight
        try:
            self._answers.feed(data)
            while (answer := next_answer()) is not _NO_MORE and not self._over:
                if not in_flight:
                    self._end("it answered what nobody had asked")
                    return
                call = in_flight.popleft()
                if isinstance(answer, RedisError):
                    self._failed(call, answer)
                elif call is not None and not call.future.done():
                    call.future.set_result(answer)
        except RedisError as error:
            self._end(f"it does not speak RESP: {error}")

    def connection_lost(self, error: Exception | None) -> None:
        self._end("it hung up" if error is None else str(error) or type(error).__name__)

    def _failed(self, call: Call | None, error: RedisError) -> None:
        if not isinstance(error, ResponseError):
            # It speaks of the connection: it loads its data, has too many clients, or does not know us any more.
            self._end(str(error))
        elif call is not None and not call.future.done():
            call.sent = False
            self._refused(self, call, error)
