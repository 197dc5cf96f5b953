"""Sockets on which nobody says anything, through every proxy at once, from the first test of the folder to the last.

Each has the timeouts of its recipe or its proxy's own defaults. One nginx stands before a backend that does not ping,
to show that there is something to be kept from.
"""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from tests.integration.proxies.recipes import NAME, Site, recipe
from tests.integration.proxies.starting import standing
from tests.integration.proxies.world import Guest, Way, fresh, gateway_for, way_through
from tests.integration.running import free_port


@dataclass
class Silence:
    """`since` is when all of them had come in, by time.monotonic. `unpinged` is for how long nobody's pings are enough:
    its result is the seconds after which nginx cut."""

    since: float
    clients: Mapping[str, Guest]
    tunnel: Way
    unpinged: "asyncio.Task[float]"


@asynccontextmanager
async def silent_sockets(ways: Mapping[str, Way], certificate: Site, folder: Path) -> AsyncIterator[Silence]:
    secure = free_port()
    async with (
        gateway_for(folder / "gateway", server={"forwarded_header": "proxy-protocol"}) as gateway,
        way_through("haproxy-proxy-protocol", folder, certificate, gateway) as tunnel,
        _never_pinging() as backend,
        standing("nginx", folder, recipe("nginx", certificate, secure=secure, gateway=backend), ports=[secure]),
    ):
        through = {**ways, "haproxy in TCP mode": tunnel}
        unpinged = asyncio.create_task(_until_cut(secure, certificate))
        clients = {name: await way.enter("silent", source=fresh(), life=900.0) for name, way in through.items()}
        try:
            yield Silence(time.monotonic(), clients, tunnel, unpinged)
        finally:
            unpinged.cancel()
            await asyncio.gather(unpinged, return_exceptions=True)
            for client in clients.values():
                client.leave()


@asynccontextmanager
async def _never_pinging() -> AsyncIterator[int]:
    """A port whose server never pings."""

    async def listen(socket: ServerConnection) -> None:
        await socket.wait_closed()

    async with serve(listen, "127.0.0.1", 0, ping_interval=None) as server:
        yield next(iter(server.sockets)).getsockname()[1]


async def _until_cut(port: int, certificate: Site) -> float:
    trust = ssl.create_default_context(cafile=certificate.authority)
    where = {"host": "127.0.0.1", "port": port, "ssl": trust, "proxy": None, "ping_interval": None}
    async with connect(f"wss://{NAME}/", **where) as socket:  # type: ignore[arg-type]
        begun = time.monotonic()
        await socket.wait_closed()
        return time.monotonic() - begun
