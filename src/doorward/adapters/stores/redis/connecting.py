"""A connection of redis-py's, with everything of its own turned off that would try again or time out behind our back.

Under TLS the chain and the host's name are checked, always (TRN-14). Reading the system's authorities takes some 80 ms,
so it is done in a thread, and once for as long as the files are the same.
"""

import asyncio
import os
from functools import lru_cache
from ssl import SSLContext, create_default_context
from typing import Any

from redis.asyncio.connection import Connection, SSLConnection

from doorward.adapters.stores.redis.address import RedisAddress


async def connect_to(address: RedisAddress) -> Connection:
    """Connected and authenticated. Raises RedisError or OSError."""
    connection = await _made(address)
    try:
        await connection.connect()  # type: ignore[no-untyped-call]
    except BaseException:
        await connection.disconnect(nowait=True)
        raise
    return connection


async def _made(address: RedisAddress) -> Connection:
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
    connection = SSLConnection(**keys)
    connection.ssl_context.context = await asyncio.to_thread(tls_context, address)
    return connection


def tls_context(address: RedisAddress) -> SSLContext:
    """Raises OSError naming the file that can't be read."""
    files = (address.ca_file, address.certificate_file, address.key_file)
    return _context(*files, tuple(os.stat(file).st_mtime_ns for file in files if file))


@lru_cache(maxsize=8)
def _context(ca_file: str, certificate_file: str, key_file: str, changed: tuple[int, ...]) -> SSLContext:
    """With an authority of our own no other one is believed."""
    try:
        context = create_default_context(cafile=ca_file or None)
        if certificate_file:
            context.load_cert_chain(certificate_file, key_file or None)
    except OSError as error:
        named = ", ".join(file for file in (ca_file, certificate_file, key_file) if file)
        raise OSError(f"{named}: {error}") from None
    return context
