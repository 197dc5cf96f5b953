"""The proxy that the faults are made with does what it says: else the other tests here would prove nothing."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import pytest_asyncio

from tests.servers.proxy import Proxy, proxied

WITHIN = 20.0


@pytest_asyncio.fixture
async def proxy() -> AsyncIterator[Proxy]:
    serving: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        with suppress(ConnectionResetError):
            while data := await reader.read(4096):
                writer.write(data)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    with proxied(lambda: ("127.0.0.1", server.sockets[0].getsockname()[1])) as proxy:
        yield proxy
    server.close()
    await asyncio.gather(*filter(None, serving))


@asynccontextmanager
async def through(proxy: Proxy):
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def says(ends, text: bytes) -> bytes:
    ends[1].write(text)
    async with asyncio.timeout(WITHIN):
        return await ends[0].readexactly(len(text))


async def is_reset(proxy: Proxy) -> bool:
    """Perhaps before it is even open."""
    try:
        async with asyncio.timeout(WITHIN), through(proxy) as ends:
            return await ends[0].read(1) == b""
    except ConnectionResetError:
        return True


async def nothing_comes(reader: asyncio.StreamReader) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await reader.read(1)


async def test_it_carries_and_passes_the_end_on(proxy) -> None:
    async with through(proxy) as ends:
        assert await says(ends, b"x" * 300_000) == b"x" * 300_000
        assert proxy.open == 1
        ends[1].write_eof()
        async with asyncio.timeout(WITHIN):
            assert await ends[0].read() == b""


async def test_what_is_held_goes_on_and_nothing_is_lost(proxy) -> None:
    async with through(proxy) as ends:
        await says(ends, b"before")
        proxy.hold()
        ends[1].write(b"meanwhile")
        await nothing_comes(ends[0])
        async with through(proxy) as late:
            late[1].write(b"late")
            await nothing_comes(late[0])
            proxy.flow()
            async with asyncio.timeout(WITHIN):
                assert await ends[0].readexactly(9) == b"meanwhile"
                assert await late[0].readexactly(4) == b"late"


async def test_what_is_dropped_is_gone_and_its_connection_too(proxy) -> None:
    async with through(proxy) as ends:
        await says(ends, b"before")
        proxy.drop()
        ends[1].write(b"lost")
        await nothing_comes(ends[0])
        proxy.flow()
        with pytest.raises(ConnectionResetError):
            async with asyncio.timeout(WITHIN):
                await ends[0].readexactly(4)
    async with through(proxy) as ends:
        assert await says(ends, b"again") == b"again"


async def test_a_cut_resets_what_is_open_and_what_is_opened(proxy) -> None:
    async with through(proxy) as ends:
        await says(ends, b"before")
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            async with asyncio.timeout(WITHIN):
                await ends[0].read(1)
    assert await is_reset(proxy)
    proxy.flow()
    async with through(proxy) as ends:
        assert await says(ends, b"again") == b"again"


async def test_a_delay_counts_each_way(proxy) -> None:
    async with through(proxy) as ends:
        await says(ends, b"before")
        proxy.delay(to=0.2, back=0.3)
        begun = time.monotonic()
        assert await says(ends, b"slow") == b"slow"
        assert time.monotonic() - begun >= 0.5
        proxy.delay()
        assert await says(ends, b"quick") == b"quick"


async def test_a_server_that_is_not_there_is_a_reset() -> None:
    with proxied(lambda: ("127.0.0.1", 1)) as proxy:
        assert await is_reset(proxy)
