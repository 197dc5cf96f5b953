"""A connection apart, for commands that wait at the server until there is something (XREAD BLOCK)."""

import asyncio
from collections.abc import Callable
from typing import Any

from redis.asyncio.connection import Connection
from redis.exceptions import RedisError

from doorward.adapters.stores.redis.address import RedisAddress
from doorward.adapters.stores.redis.call import Argument, key_of, packed
from doorward.adapters.stores.redis.connecting import connect_to
from doorward.ports import StoreError


class RedisReader:
    """For one task, and for keys of one hash tag. `where` says who serves a key, and may raise StoreError."""

    def __init__(self, where: Callable[[str | bytes], RedisAddress]) -> None:
        self._where = where
        self._connection: Connection | None = None

    async def call(self, *command: Argument, within: float) -> Any:
        """One command and its bare answer, in at most so many seconds, connecting included.

        Raises StoreError. After that, or when cancelled, the connection is gone, and the next call makes a new one.
        """
        answered = False
        try:
            async with asyncio.timeout(within):
                connection = await self._connected(key_of(command))
                await connection.send_packed_command([packed(*command)], check_health=False)
                answer = await connection.read_response()
            answered = True
            return answer
        except (RedisError, OSError) as error:
            raise StoreError(f"{type(error).__name__}: {error}") from None
        finally:
            if not answered:
                await self.close()

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)

    async def _connected(self, key: str | bytes) -> Connection:
        if self._connection is None:
            self._connection = await connect_to(self._where(key))
        return self._connection
