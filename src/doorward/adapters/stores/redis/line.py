"""One connection to one server: what is asked in one turn of the loop leaves in one write, and answers come in order.

An answer belongs to the call at the head of the row, whether anybody still waits for it or not. So a caller may be
cancelled at any moment, and nobody gets another's answer (CVE-2023-28858). What breaks that order ends the line.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from redis.asyncio.connection import Connection, SSLConnection
from redis.exceptions import RedisError, ResponseError

from doorward.adapters.stores.redis.address import RedisAddress
from doorward.adapters.stores.redis.call import Argument, Call, packed

Lost = Callable[[str], None]
Refused = Callable[["Line", Call, ResponseError], None]


class Line:
    """`lost` is called once, with why, when the line is of no use any more, and `refused` for each error answered."""

    def __init__(self, address: RedisAddress, *, lost: Lost, refused: Refused) -> None:
        self.address = address
        self.life = ""
        self._lost = lost
        self._refused = refused
        self._connection = connect_to(address)
        self._handed: list[Call | bytes] = []
        self._in_flight: deque[Call | None] = deque()
        self._something = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._over = False

    async def open(self) -> None:
        """Connect and authenticate. Raises RedisError or OSError."""
        await self._connection.connect()  # type: ignore[no-untyped-call]

    async def ask(self, *command: Argument) -> Any:
        """Before `begin` only: one command, one answer. Raises RedisError or OSError."""
        await self._connection.send_packed_command([packed(*command)], check_health=False)
        return await self._connection.read_response()

    def begin(self) -> None:
        """From now on `send` works."""
        self._tasks = [
            asyncio.create_task(self._guarded(work), name=f"redis {name} {self.address.host}:{self.address.port}")
            for name, work in (("writes", self._write), ("reads", self._read))
        ]

    def send(self, call: Call, *before: bytes) -> None:
        """Write it at the end of this turn, right after what stands `before` it, whose answers nobody needs."""
        call.sent = True
        self._handed += before
        self._handed.append(call)
        self._something.set()

    async def close(self) -> None:
        """Those that still wait are not told."""
        self._over = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._connection.disconnect(nowait=True)

    async def _guarded(self, work: Callable[[], Any]) -> None:
        try:
            await work()
        except (RedisError, OSError, EOFError) as error:
            self._end(str(error) or type(error).__name__)

    def _end(self, why: str) -> None:
        if not self._over:
            self._over = True
            self._lost(why)

    async def _write(self) -> None:
        connection, in_flight, something = self._connection, self._in_flight, self._something
        while True:
            await something.wait()
            something.clear()
            handed, self._handed = self._handed, []
            chunks = []
            for one in handed:
                if isinstance(one, bytes):
                    chunks.append(one)
                    in_flight.append(None)
                elif not one.future.done():
                    chunks.append(one.command)
                    in_flight.append(one)
            # redis-py would connect anew, and the answers would be somebody else's.
            if self._over or not connection.is_connected:
                return
            if chunks:
                await connection.send_packed_command(chunks, check_health=False)

    async def _read(self) -> None:
        read, in_flight = self._connection.read_response, self._in_flight
        while True:
            try:
                answer = await read()
            except ResponseError as error:
                refused = self._next(in_flight)
                if refused is not None and not refused.future.done():
                    refused.sent = False
                    self._refused(self, refused, error)
                continue
            call = self._next(in_flight)
            if call is not None and not call.future.done():
                call.future.set_result(answer)

    def _next(self, in_flight: "deque[Call | None]") -> Call | None:
        if not in_flight:
            raise EOFError("it answered what nobody had asked")
        return in_flight.popleft()


def connect_to(address: RedisAddress) -> Connection:
    """redis-py's connection with everything of its own turned off that would try again or time out behind our back."""
    keys: dict[str, Any] = {
        "host": address.host,
        "port": address.port,
        "db": address.database,
        "username": address.username or None,
        "password": None if address.password is None else address.password.expose(),
        "protocol": 2,
        "socket_timeout": None,
        "socket_connect_timeout": None,
        "driver_info": None,
    }
    if not address.tls:
        return Connection(**keys)
    return SSLConnection(
        ssl_cert_reqs="required",
        ssl_check_hostname=True,
        ssl_ca_certs=address.ca_file or None,
        ssl_certfile=address.certificate_file or None,
        ssl_keyfile=address.key_file or None,
        **keys,
    )
