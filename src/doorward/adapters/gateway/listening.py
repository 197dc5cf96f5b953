"""Who receives a connection that was accepted just now: PROXY protocol first where it is on, then TLS, then a front.

The context, the timeouts and the trusted peers are those of this moment, so a reload needs no new socket.
"""

import asyncio
import errno
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from doorward.adapters.gateway.exchange import HttpSide
from doorward.adapters.gateway.front import Front, peer_address
from doorward.adapters.gateway.parts import FrontParts, Where
from doorward.adapters.gateway.proxy_protocol import Malformed, read_proxy
from doorward.adapters.gateway.relay_rules import RuleBook
from doorward.adapters.gateway.secured import Securing
from doorward.adapters.gateway.sockets import cut, find_vanished
from doorward.adapters.gateway.turns import Afterwards, Heard, Turns
from doorward.service.asking import Pending
from doorward.values.decision import Deny, Reason, Step

BACKLOG: Final = 1024
LEAST_HEADLESS: Final = 64
SPARE: Final = 64
"""Connections over the limit that still get a 503; any more are cut unread."""

_NO_SUCH_FAMILY: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)  # a machine without IPv6 has its name all the same
_MARKER_SIZE: Final = 8
_NO_PROXY: Final = Deny(Reason.PROXY_PROTOCOL, Step.TRANSPORT)


class Listener:
    """One listening socket of this process. `fronts` are the connections without a decision, `count` is all of them."""

    def __init__(self, parts: FrontParts, loop: asyncio.AbstractEventLoop) -> None:
        self.parts = parts
        self.loop = loop
        self.http = HttpSide(parts)
        self.rule_book = RuleBook(b"doorward:" + parts.entropy.bytes(_MARKER_SIZE))
        self.fronts: set[Front] = set()
        self.headless = Pending()
        self.heard = Heard(parts.clock.now)
        self.turns = Turns(
            loop,
            is_anyone_live=lambda: self.count > len(self.fronts),
            heard=self.heard,
            seconds=parts.clock.now,
        )
        self.afterwards = Afterwards(loop)
        self.count = 0
        self.sockets: list[socket.socket] = []
        self._parted = asyncio.Event()
        self._servers: list[asyncio.Server] = []

    @property
    def is_full(self) -> bool:
        return self.count > self.parts.max_connections

    @property
    def most_headless(self) -> int:
        """Connections of one address that may be without a head at a time: nobody alone can fill all places with
        silence. Beyond it they are refused, or under TLS cut (HSK-20)."""
        return max(LEAST_HEADLESS, self.parts.max_connections // 4)

    async def open(self, where: Where, *, share: bool, given: Sequence[socket.socket] = ()) -> Where:
        """Listen. `share`: other processes listen on the same port, and the kernel spreads. `given`: sockets that
        listen there already, by inheritance. Returns the real place. Raises OSError when the address can't be had.
        """
        self.sockets = socks = list(given) or listening_sockets(where, share=share)
        try:
            for sock in socks:
                self._servers.append(await self.loop.create_server(self._receive, sock=sock, backlog=BACKLOG))
        except BaseException:
            self.stop()
            for sock in socks:
                sock.close()
            raise
        host, port = socks[0].getsockname()[:2]
        return host, port

    def _receive(self) -> asyncio.BaseProtocol:
        """The protocol of a connection that was accepted just now. uvloop would stop listening if this raised."""
        self.count += 1
        try:
            return _Cut(self) if self.count > self.parts.max_connections + SPARE else self._begin()
        except Exception as error:  # noqa: BLE001 - a bug of ours: audited, and it ends this connection alone
            self.parts.wrong("accept", error)
            return _Cut(self)

    def _begin(self) -> asyncio.BaseProtocol:
        parts = self.parts
        front = Front(self)
        context = parts.tls
        inner: Front | Securing = front
        if context is not None:
            inner = Securing(front, context, within=parts.handshake_timeout, wait=front.wait)
        return Proxied(self, front, inner) if parts.proxy_protocol else inner

    def left(self) -> None:
        self.count -= 1
        if not self.fronts:
            self._parted.set()

    def stop(self) -> None:
        """Accept no more."""
        for server in self._servers:
            server.close()
        self._servers = []

    async def parted(self, *, within: float) -> None:
        """Until whoever was refused has read it and is gone, or so many seconds are over."""
        self._parted.clear()
        if self.fronts:
            with suppress(TimeoutError):
                async with asyncio.timeout(within):
                    await self._parted.wait()

    def shut(self) -> None:
        """End all that is not live."""
        for front in list(self.fronts):
            front.shut()


class Proxied(asyncio.Protocol):
    """Before anything else a trusted proxy says for whom it speaks; who is not trusted, or says nothing, is cut."""

    __slots__ = ("_data", "_front", "_inner", "_listener")

    def __init__(self, listener: Listener, front: Front, inner: Front | Securing) -> None:
        self._listener = listener
        self._front = front
        self._inner = inner
        self._data = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._front.raw = transport
        if not self._listener.parts.is_trusted(peer_address(transport)[0]):
            self._cut()

    def data_received(self, data: bytes) -> None:
        transport = self._front.raw
        if transport is None or transport.is_closing():
            return
        self._data += data
        said = read_proxy(self._data)
        if said is None:
            return
        if isinstance(said, Malformed):
            self._cut()
            return
        self._front.proxied, self._front.proxied_tls = said.address, said.tls
        rest, self._data = self._data[said.size :], b""
        inner = self._inner
        transport.set_protocol(inner)
        inner.connection_made(transport)
        if rest:
            inner.data_received(rest)

    def _cut(self) -> None:
        self._listener.parts.door.refuse(self._front.wire(), _NO_PROXY)
        self._front.shut()

    def connection_lost(self, exc: Exception | None) -> None:
        self._front.connection_lost(exc)


class _Cut(asyncio.Protocol):
    """Too many: not even an answer."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        cut(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._listener.left()


def listening_sockets(where: Where, *, share: bool) -> list[socket.socket]:
    """Bound and not yet listening: one for each address of the host, for "localhost" may be two. Raises OSError."""
    host, port = where
    families = dict.fromkeys(found[0] for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    socks: list[socket.socket] = []
    try:
        for family in sorted(families):  # IPv4 first: its port is the one that is told
            socks.append(_bound(family, host, socks[0].getsockname()[1] if socks else port, share=share))
    except OSError as error:
        if not socks or error.errno not in _NO_SUCH_FAMILY:
            for sock in socks:
                sock.close()
            raise
    return socks


def _bound(family: int, host: str, port: int, *, share: bool) -> socket.socket:
    """Accepted sockets inherit its options."""
    address = socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)[0][4]
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if share:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        find_vanished(sock)
        sock.bind(address)
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"{error.strerror}: {host}:{port}") from error
    return sock
