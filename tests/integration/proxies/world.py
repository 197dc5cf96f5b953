"""A gateway behind all four proxies at once, each by its recipe, and clients with addresses of their own."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve

from tests.integration.proxies.recipes import NAME, Site, recipe
from tests.integration.proxies.starting import Proxy, standing
from tests.integration.running import WITHIN, Backend, Client, Gateway, Refused, attempt, free_port

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
HEADER_PROXIES = ("nginx", "haproxy", "caddy", "envoy")


SERVER = {"trusted_proxies": ["127.0.0.1/32"], "hosts": [NAME], "public_url": f"https://{NAME}"}
# what one address may do here; every test's clients have addresses of their own
LIMITS = {"refusals_per_address": "6/min", "connections_per_address": 4}
ROUTES = [{"path": "/chat"}, {"path": "/fragments"}, {"path": "/close/{code}"}]
_SOURCES = (f"127.1.{number // 250}.{number % 250 + 1}" for number in range(1, 60000))


def fresh() -> str:
    """An address that no other client has: whoever has 127.0.0.1 is a proxy here."""
    return next(_SOURCES)


class Paths(Backend):
    """A backend that does what the path says. `farewells` are the clients' own ends: subject -> (code, reason)."""

    def __init__(self) -> None:
        super().__init__()
        self.serve = self._by_path
        self.farewells: dict[str, asyncio.Future[tuple[int | None, str | None]]] = {}

    async def start(self) -> None:
        self._server: Server | None = await serve(
            self._accept,
            "127.0.0.1",
            self.port,
            max_size=1 << 24,
            compression=None,
            ping_interval=None,
            select_subprotocol=lambda socket, offers: "app.v2" if "app.v2" in offers else None,  # type: ignore[arg-type, return-value]
        )
        self.port = next(iter(self._server.sockets)).getsockname()[1]

    async def _by_path(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        what, _, code = socket.request.path.removeprefix("/").partition("/")
        subject = socket.request.headers["X-Doorward-Subject"]
        match what:
            case "close":
                await socket.close(int(code), "its own words")
            case "fragments":
                while True:
                    parts = [part async for part in socket.recv_streaming(decode=False)]
                    await socket.send(part for part in parts)
            case _:
                try:
                    async for message in socket:
                        await socket.send(message)
                finally:
                    if not self.farewell(subject).done():  # the first of a subject counts
                        self.farewell(subject).set_result((socket.close_code, socket.close_reason))

    def farewell(self, subject: str) -> "asyncio.Future[tuple[int | None, str | None]]":
        return self.farewells.setdefault(subject, asyncio.get_running_loop().create_future())

    def head_of(self, subject: str) -> dict[str, str]:
        """The newest handshake of a subject, by lower-case names; a name that came twice has the last value."""
        return next(head for _, head in reversed(self.heads) if head["x-doorward-subject"] == subject)

    def entered(self, subject: str) -> int:
        return sum(head["x-doorward-subject"] == subject for _, head in self.heads)


def upgrade(token: str | None, *more: str, path: str = "/chat", key: str = KEY) -> bytes:
    """A strict handshake's head, and more lines of it."""
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {NAME}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
        *([] if token is None else [f"Authorization: Bearer {token}"]),
        *more,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


class Guest(Client):
    """A client that came in through a proxy."""

    def leave(self) -> None:
        """At once: Envoy takes a second over an end in good order."""
        self.socket.transport.abort()


@dataclass
class Way:
    """A client's way in: through one proxy's port, with TLS or without."""

    gateway: Gateway
    proxy: Proxy
    site: Site
    secure: int
    plain: int
    trust: ssl.SSLContext = field(init=False)

    def __post_init__(self) -> None:
        self.trust = ssl.create_default_context(cafile=self.site.authority)

    @property
    def backend(self) -> Paths:
        assert isinstance(self.gateway.backend, Paths)
        return self.gateway.backend

    async def try_enter(
        self,
        token: str | None,
        path: str = "/chat",
        *,
        source: str,
        protocols: tuple[str, ...] = (),
        headers: Mapping[str, str] | list[tuple[str, str]] | None = None,
        tls: bool = True,
        host: str = NAME,
        **more: Any,
    ) -> Guest | Refused:
        found = await attempt(
            f"{'wss' if tls else 'ws'}://{host}{path}",
            token=token,
            headers=headers.items() if isinstance(headers, Mapping) else headers or (),
            protocols=protocols,
            host="127.0.0.1",
            port=self.secure if tls else self.plain,
            local_addr=(source, 0),
            **{"ssl": self.trust if tls else None, **more},
        )
        return found if isinstance(found, Refused) else Guest(found)

    async def enter(self, subject: str, path: str = "/chat", *, source: str, life: float = 60.0, **more: Any) -> Guest:
        client = await self.try_enter(self.gateway.token(subject, life), path, source=source, **more)
        assert isinstance(client, Guest), (client, self.proxy.said, self.gateway.printed)
        return client

    async def raw(self, octets: bytes, *, source: str, tls: bool = True, alpn: str = "http/1.1") -> "Spoken":
        """Bytes at the proxy's own port, and whatever comes of them."""
        context = None
        if tls:
            context = ssl.create_default_context(cafile=self.site.authority)
            context.set_alpn_protocols([alpn])
        reader, writer = await asyncio.open_connection(
            "127.0.0.1",
            self.secure if tls else self.plain,
            ssl=context,
            server_hostname=NAME if tls else None,
            local_addr=(source, 0),
        )
        writer.write(octets)
        return Spoken(reader, writer)


@dataclass
class Spoken:
    """A connection of bytes to a proxy."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    data: bytes = b""

    def say(self, octets: bytes) -> None:
        self.writer.write(octets)

    async def until(self, wanted: bytes, within: float = WITHIN) -> bytes:
        """All that came, once that is in it."""
        async with asyncio.timeout(within):
            while wanted not in self.data:
                more = await self.reader.read(65536)
                assert more, self.data
                self.data += more
        return self.data

    async def rest(self, quiet: float) -> bytes:
        """All that came, to the end, or until nothing has come for `quiet` seconds."""
        with suppress(TimeoutError, OSError):
            while more := await asyncio.wait_for(self.reader.read(65536), quiet):
                self.data += more
        return self.data

    async def close(self) -> None:
        self.writer.transport.abort()
        with suppress(OSError):
            await self.writer.wait_closed()


@asynccontextmanager
async def gateway_for(folder: Path, **more: Any) -> AsyncIterator[Gateway]:
    """A gateway before a backend that does what the path says; both end with the test."""
    backend = Paths()
    await backend.start()
    server = {**SERVER, **more.pop("server", {})}
    gateway = Gateway(folder, backend, server=server, **more)
    try:
        await gateway.start()
        yield gateway
        assert "Traceback" not in gateway.printed, gateway.printed
    finally:
        if gateway.process is not None and gateway.process.returncode is None:
            with suppress(ProcessLookupError):  # a drain may end it between two signals
                await gateway.stop()
            await gateway.ended()
        await backend.stop()
        await gateway.left()


@asynccontextmanager
async def way_through(kind: str, folder: Path, certificate: Site, gateway: Gateway, **more: Any) -> AsyncIterator[Way]:
    """One proxy by its recipe before the gateway. `also` changes the recipe's text."""
    secure, plain = free_port(), free_port()
    text = recipe(kind, certificate, secure=secure, plain=plain, gateway=gateway.port, **more)
    async with standing(kind.partition("-")[0], folder / kind, text, ports=(secure, plain)) as proxy:
        yield Way(gateway, proxy, certificate, secure, plain)
