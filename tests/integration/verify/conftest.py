"""One gateway and one backend for the folder, and every proxy by its recipe between the clients and the backend."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from websockets.asyncio.server import ServerConnection

from tests.integration.proxies.starting import Proxy, standing
from tests.integration.running import WITHIN, Backend, Client, Gateway, Refused, attempt, free_port
from tests.integration.verify.recipes import FILES, NAME, Site, recipe, site

ORIGIN = "https://app.test"
ROUTES = [
    {"path": "/pages/{page}", "without_origin": "refuse", "places": ["header"]},
    {"path": "/members", "permission": "members:join", "places": ["header"]},
    {"path": "/open/{rest*}", "places": ["header", "query"]},
    {"path": "/chat/{room}", "places": ["header"]},
]


class Listening(Backend):
    """An echo that keeps every header line of every request that reached it, WebSocket or not."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[list[tuple[str, str]]] = []

    async def _accept(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        self.lines.append([(name.lower(), value) for name, value in socket.request.headers.raw_items()])
        await super()._accept(socket)


class Guest(Client):
    """A client that came in through a proxy."""

    def leave(self) -> None:
        """At once: Envoy takes a second over an end in good order."""
        self.socket.transport.abort()


@dataclass
class Way:
    """A client's way in, through one proxy that asks the gateway."""

    kind: str
    gateway: Gateway
    backend: Listening
    proxy: Proxy
    site: Site
    port: int
    trust: ssl.SSLContext = field(init=False)

    def __post_init__(self) -> None:
        self.trust = ssl.create_default_context(cafile=self.site.authority)

    async def try_enter(
        self,
        token: str | None,
        path: str = "/chat/a",
        *,
        source: str,
        headers: list[tuple[str, str]] | None = None,
        **more: Any,
    ) -> Guest | Refused:
        found = await attempt(
            f"wss://{NAME}{path}",
            token=token,
            headers=headers or (),
            ssl=self.trust,
            host="127.0.0.1",
            port=self.port,
            local_addr=(source, 0),
            **more,
        )
        if isinstance(found, Refused):
            return replace(found, headers={name.lower(): value for name, value in found.headers.items()})
        return Guest(found)

    async def enter(self, token: str | None, path: str = "/chat/a", **more: Any) -> Guest:
        client = await self.try_enter(token, path, **more)
        assert isinstance(client, Guest), (client, self.proxy.said, self.gateway.events()[-1:])
        return client

    async def raw(self, octets: bytes, *, source: str) -> bytes:
        """Bytes at the proxy's own port, and the answer's head."""
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=self.trust, server_hostname=NAME, local_addr=(source, 0)
        )
        try:
            writer.write(octets)
            async with asyncio.timeout(WITHIN):
                return await reader.readuntil(b"\r\n\r\n")
        finally:
            writer.transport.abort()


@asynccontextmanager
async def gateway_for(folder: Path, **server: Any) -> AsyncIterator[tuple[Gateway, Listening]]:
    backend = Listening()
    await backend.start()
    terms = {"trusted_proxies": ["127.0.0.1/32"], "hosts": [NAME], "public_url": f"https://{NAME}", **server}
    gateway = Gateway(
        folder, backend, server=terms, routes=ROUTES, roles={"member": ["members:join"]}, cluster_limits=LIMITS
    )
    try:
        await gateway.start()
        yield gateway, backend
        assert "Traceback" not in gateway.printed, gateway.printed
    finally:
        if gateway.process is not None and gateway.process.returncode is None:
            await gateway.stop()
        await backend.stop()
        await gateway.left()


LIMITS = {"refusals_per_address": "12/min"}


@asynccontextmanager
async def way_through(
    kind: str, folder: Path, on: Site, gateway: Gateway, backend: Listening, *, doorward: int | None = None
) -> AsyncIterator[Way]:
    """One proxy by its recipe. `doorward`: the port that it asks, where that is not the gateway's."""
    port = free_port()
    text = recipe(kind, on, port=port, doorward=doorward or gateway.port, backend=backend.port)
    async with standing(kind, folder / kind, text, ports=(port,)) as proxy:
        yield Way(kind, gateway, backend, proxy, on, port)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return site(tmp_path_factory.mktemp("certificate"))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def ways(tmp_path_factory: pytest.TempPathFactory, certificate: Site) -> AsyncIterator[dict[str, Way]]:
    """nginx and Caddy ask one gateway; Envoy asks another, since it tells of its clients in another header."""
    folder = tmp_path_factory.mktemp("verify")
    async with AsyncExitStack() as stack:
        usual = await stack.enter_async_context(gateway_for(folder / "usual"))
        envoys = await stack.enter_async_context(gateway_for(folder / "envoys", forwarded_header="forwarded"))
        yield {
            kind: await stack.enter_async_context(
                way_through(kind, folder, certificate, *(envoys if kind == "envoy" else usual))
            )
            for kind in FILES
        }


@pytest.fixture(params=sorted(FILES))
def way(request: pytest.FixtureRequest, ways: dict[str, Way]) -> Way:
    """Each proxy in turn."""
    return ways[request.param]


def _sources() -> Iterator[str]:
    """Addresses for clients: whoever has 127.0.0.1 is a proxy here."""
    for number in count():
        yield f"127.2.{number // 250}.{number % 250 + 1}"


_SOURCES = _sources()
_NUMBERS = count(1)


@pytest.fixture
def source() -> str:
    """An address that nobody else has had."""
    return next(_SOURCES)


@pytest.fixture
def another() -> str:
    return next(_SOURCES)


@pytest.fixture
def subject() -> str:
    """A name that nobody else has had."""
    return f"client-{next(_NUMBERS)}"
